// Checks of what a chat template does not write: what is not in the text is not learned. Where a
// search in the text is not enough, a known word is put in the place of the content and looked for.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "data/turns.h"

namespace lorikeet {

// The last of `messages`, a trained turn, whose part of the rendering is `written`, without its end
// token. Throws Error if its calls are not written, or nothing of a turn that is not empty; adds a
// remark for reasoning that is not.
void CheckTrainedTurn(const ChatTemplate& chat_template, std::span<const Message> messages,
                      const RenderOptions& options, std::string_view written,
                      std::vector<Remark>* remarks);

// `text` is the rendering of `messages`. Adds remarks for tools and for words of messages that are
// not in it; `trained` is the index of the last trained turn, which is not looked at.
void CheckContext(const ChatTemplate& chat_template, std::span<const Message> messages,
                  const RenderOptions& options, std::string_view text, size_t trained,
                  std::vector<Remark>* remarks);

// Whether the words of a message, or of each of its parts, are in the text as they are.
bool HasWords(std::string_view text, const Message& message);

// Keys of messages and variables that the template never reads: "messages.mood",
// "chat_template_kwargs.enable_thinkin". `is_trained`: of each message; CheckTrainedTurn tells
// about calls and reasoning of those.
std::vector<std::string> UnreadKeys(const ChatTemplate& chat_template,
                                    std::span<const Message> messages,
                                    const std::vector<bool>& is_trained,
                                    const OrderedJson& variables);

// Remarks on a prompt of which nothing is trained; `text` is its rendering: tools and words that
// are not in it, and keys of messages and variables that the template never reads.
std::vector<Remark> CheckPrompt(const ChatTemplate& chat_template,
                                std::span<const Message> messages, const RenderOptions& options,
                                std::string_view text);

}  // namespace lorikeet
