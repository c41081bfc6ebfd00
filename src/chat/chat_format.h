// Which chat template a model is used with, and the rules that go with it: stop strings, BOS.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bundle.h"
#include "chat/chat_template.h"

namespace lorikeet {

// The template that `choice` (RenderConfig::chat_template) names, or nothing if the tokenizer has
// none. The built-in ChatML ends turns with the tokenizer's own end token where it knows no
// <|im_end|>, so that sampling can stop. The built-in plain is for base models, which know no turns
// but have read many lists of questions with answers:
//
//   SYSTEM
//
//   Question: USER
//   Answer: ASSISTANT
//
//   Question: ...
//
// An answer at the end of the text is followed by the end token, which training then teaches.
std::optional<ChatTemplate> ChooseChatTemplate(const TokenizerBundle& bundle,
                                               const std::string& choice);

// Adds the texts at which an answer is over although no token says so, unless they are there. Only
// the built-in plain template has one: a base model that has answered goes on with the next
// question. A folder that was trained with it is known by its template.
void AddStopStrings(const ChatTemplate& chat_template, std::vector<std::string>* stop_strings);

// The one BOS rule, for training and sampling alike: the tokenizer's wish, unless the text has it
// already.
bool NeedsBos(const TokenizerBundle& bundle, std::string_view text);

}  // namespace lorikeet
