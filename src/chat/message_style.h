// A `MessageStyle` is the form in which a chat template reads messages: content as text or as a
// list of parts, arguments of tool calls as an object or as text. Rendering tells: small
// conversations with known words are rendered in every form, and a form is read if the words
// appear.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/message.h"
#include "core/json.h"

namespace lorikeet {

struct MessageStyle {
  // Forms of `content` that a role's messages may have. Both where rendering tells nothing: then
  // messages stay as they are.
  struct Content {
    bool text = true;
    bool parts = true;
  };
  Content system, user, assistant, tool;
  bool arguments_as_text = false;  // false: an object, as `transformers` documents it
  // The value of `content` in a message without content; `transformers` leaves the key out.
  enum class NoContent : uint8_t { kAbsent, kNull, kEmpty };
  NoContent no_content = NoContent::kAbsent;
  bool reads_function_call = false;  // the older key of a single call

  const Content& ContentOf(std::string_view role) const;
};

// Renders messages as they are, with some tools; nothing if the template refuses them.
using RenderAsIs = std::function<std::optional<std::string>(std::span<const Message> messages,
                                                            const OrderedJson& tools)>;
// `source`: of the template.
MessageStyle FindMessageStyle(const RenderAsIs& render, std::string_view source);

// The messages as the template reads them:
// - keys that are null, "", [] or {} are left out (`transformers` leaves out null);
// - lists of parts stay lists where the template reads parts, and are joined elsewhere; text
// becomes
//   a part for templates that read nothing but parts;
// - `function_call` becomes `tool_calls`, and the role `function` of its results `tool`;
// - `arguments` that are a string of JSON become the object, null and "" the empty one.
std::vector<Message> InStyle(std::span<const Message> messages, const MessageStyle& style);

// The text of `content` in `fields` if it is a list of text parts, else `content`.
std::string TextOf(const Message& message);
// The tool calls of a message, in today's form; an empty list if there are none. A list that is
// given as a string of JSON is decoded.
OrderedJson ToolCallsOf(const Message& message);
// The object with "name" and "arguments" of a tool call: its "function", or the call itself.
OrderedJson& FunctionOf(OrderedJson& call);

// The first call whose arguments are a string without a JSON object in it, for an error: "message
// 2: the arguments of \"f\" are a string that is not a JSON object". "" if there is none.
std::string BadArguments(std::span<const Message> messages);

}  // namespace lorikeet
