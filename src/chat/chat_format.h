// The choice of a model's chat template, and the rules that belong to it: stop strings, BOS.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bundle.h"
#include "chat/chat_template.h"
#include "core/json.h"

namespace lorikeet {

// The template that `choice` (RenderConfig::chat_template) names: "chatml", "plain", one of the
// tokenizer's named templates, or a file. "": the tokenizer's own, as `transformers` chooses it:
// the one called "tool_use" for conversations with tools, "default" otherwise, and an error at the
// first rendering if there are several and no such one. Nothing if the tokenizer has none. The
// built-in `chatml` ends turns with the tokenizer's own end token if it does not have
// <|im_end|>, so that sampling can stop. The built-in `plain` is for base models, which are not
// trained on turns but on many lists of questions with answers:
//
//   SYSTEM
//
//   Question: USER
//   Answer: ASSISTANT
//
//   Question: ...
//
// The end token follows the last answer of a text, so that training teaches it.
std::optional<ChatTemplate> ChooseChatTemplate(const TokenizerBundle& bundle,
                                               const std::string& choice);

// Variables of a chat template, those of a row over those of the command. Each is an object or
// null.
OrderedJson MergedVariables(OrderedJson variables, const OrderedJson& own);

// Adds the stop strings of a template, unless they are in the list. Only the built-in plain
// template has one: after an answer a base model continues with the next question. A folder that
// was trained with it is recognised by its template.
void AddStopStrings(const ChatTemplate& chat_template, std::vector<std::string>* stop_strings);

// The BOS rule of training and sampling: BOS as the tokenizer adds it (or whatever it puts before a
// text), unless the text begins with it.
bool NeedsBos(const TokenizerBundle& bundle, std::string_view text);
// Puts these ids before those of `text` where it needs them.
void PutBos(const TokenizerBundle& bundle, std::string_view text, std::vector<int32_t>* ids);

}  // namespace lorikeet
