// Tool calls in the texts of models: their forms, which a model's chat template defines.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "core/json.h"

namespace lorikeet {

enum class ToolForm : uint8_t {
  kNone,           // the template has no tools
  kUnknown,        // it has tools, and calls of a form that is not parsed here
  kHermes,         // <tool_call>{"name": ..., "arguments": {...}}</tool_call>: Qwen, Hermes
  kLlama3,         // {"name": ..., "parameters": {...}}: Llama 3.1 to 3.3
  kFunctionGemma,  // <start_function_call>call:NAME{key:<escape>text<escape>,...}
};
// By the words of the template that conversations with tools are rendered by.
ToolForm ToolFormOf(const ChatTemplate& chat_template, const OrderedJson& tools);
const char* ToolFormName(ToolForm form);

struct ToolCall {
  std::string name;
  std::string arguments;  // text of a JSON object
};
struct ParsedAnswer {
  std::string content;  // the text without its calls
  std::vector<ToolCall> calls;
};
// An answer whose calls are not well-formed has none: all of it is content.
ParsedAnswer ParseToolCalls(ToolForm form, std::string_view text);

// Number of bytes of a growing answer that are content whatever follows.
size_t ContentBytes(ToolForm form, std::string_view text);

// The text before and after the JSON of a call's arguments, for constrained decoding. Nothing for
// forms whose arguments are not JSON.
struct CallFrame {
  std::string before, after;
};
std::optional<CallFrame> FrameOf(ToolForm form, const std::string& name);

}  // namespace lorikeet
