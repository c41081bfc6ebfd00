// `ChatAnswer` formats the choices of a chat: messages with tool calls, and their chunks.
#pragma once
#include <string>
#include <vector>

#include "serve/generation_call.h"
#include "serve/openai/call_reply.h"
#include "serve/openai/tool_calls.h"

namespace lorikeet {

struct ChatStyle {
  bool logprobs = false;
  int64_t top_logprobs = 0;
  ToolForm tools = ToolForm::kNone;  // form of calls that are parsed; kNone: none are
  std::vector<std::string> notes;    // what the user should know about the prompt
};

// The form that AnswerCall needs. The model of the request is `model`.
CallFormat ChatFormatOf(const ChatStyle& style, ServedModelPtr model,
                        const SamplingFields& sampling);

}  // namespace lorikeet
