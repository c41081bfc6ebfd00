#include "data/written_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "chat/message_style.h"
#include "core/error.h"
#include "data/row_fields.h"
#include "data/row_file.h"

namespace lorikeet {
namespace {

constexpr std::array<const char*, 3> kReasoning = {"reasoning_content", "thinking", "reasoning"};
constexpr const char* kReasons = "LorikeetReasons";
constexpr const char* kWords = "LorikeetWords";

std::string NameOfCall(size_t i) { return fmt::format("lorikeet_call_{}x", i); }
std::string ArgumentOfCall(size_t i) { return fmt::format("LorikeetArgument{}x", i); }

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The rendering with another last message; nothing if the template refuses it.
std::optional<std::string> RenderWith(const ChatTemplate& chat_template,
                                      std::span<const Message> messages, size_t index,
                                      Message message, const RenderOptions& options) {
  std::vector<Message> changed(messages.begin(), messages.end());
  changed[index] = std::move(message);
  try {
    return chat_template.Render(changed, options);
  } catch (const Error&) {  // e.g. a template that knows the names of functions
    return std::nullopt;
  }
}

std::string ReasoningOf(const Message& message) {
  if (!message.fields.is_object()) return "";
  for (const char* key : kReasoning) {
    const auto found = message.fields.find(key);
    if (found == message.fields.end() || !found->is_string()) continue;
    if (!TrimJsonSpace(found->get_ref<const std::string&>()).empty()) return *found;
  }
  return "";
}

struct Call {
  std::string name;
  bool has_arguments = false;
};

std::vector<Call> ReadCalls(OrderedJson calls) {
  std::vector<Call> result;
  for (OrderedJson& call : calls) {
    Call& read = result.emplace_back();
    if (!call.is_object() || !FunctionOf(call).is_object()) continue;
    const OrderedJson& function = FunctionOf(call);
    if (function.contains("name") && function["name"].is_string()) read.name = function["name"];
    if (!function.contains("arguments")) continue;
    const OrderedJson arguments = DecodedJson(function["arguments"]);
    read.has_arguments = !IsEmptyJson(arguments);
  }
  return result;
}

// The message with known words in place of calls and reasoning.
Message WithKnownWords(const Message& message) {
  Message changed = message;
  OrderedJson calls = ToolCallsOf(message);
  for (size_t i = 0; i < calls.size(); ++i) {
    if (!calls[i].is_object() || !FunctionOf(calls[i]).is_object()) continue;
    OrderedJson& function = FunctionOf(calls[i]);
    function["name"] = NameOfCall(i);
    const bool given = function.contains("arguments");
    if (given && !IsEmptyJson(DecodedJson(function["arguments"]))) {
      function["arguments"] = {{"key", ArgumentOfCall(i)}};
    }
  }
  if (!calls.empty() && changed.fields.contains("tool_calls")) {
    changed.fields["tool_calls"] = std::move(calls);
  } else if (!calls.empty()) {
    changed.fields["function_call"] = FunctionOf(calls[0]);
  }
  for (const char* key : kReasoning) {
    if (changed.fields.contains(key) && changed.fields[key].is_string()) {
      changed.fields[key] = kReasons;
    }
  }
  return changed;
}

[[noreturn]] void FailCall(size_t message, const std::string& name, const char* what) {
  Fail(ErrorCode::kInvalidArgument,
       "message {}: the chat template does not write {} \"{}\", so a turn without it would be "
       "trained; give a --chat-template that writes tool calls, or set \"train\": false on the "
       "message",
       message + 1, what, Printable(name));
}

}  // namespace

bool HasWords(std::string_view text, const Message& message) {
  if (!message.fields.is_object() || !message.fields.contains("content") ||
      !message.fields["content"].is_array()) {
    return Contains(text, TrimJsonSpace(message.content));
  }
  size_t at = 0;
  for (const OrderedJson& part : message.fields["content"]) {
    const std::string words = part.value("text", "");
    at = text.find(TrimJsonSpace(words), at);
    if (at == std::string_view::npos) return false;
    at += TrimJsonSpace(words).size();
  }
  return true;
}

void CheckTrainedTurn(const ChatTemplate& chat_template, std::span<const Message> messages,
                      const RenderOptions& options, std::string_view written,
                      std::vector<Remark>* remarks) {
  const size_t index = messages.size() - 1;
  const Message& message = messages.back();
  const std::vector<Call> calls = ReadCalls(ToolCallsOf(message));
  const std::string reasoning = ReasoningOf(message);
  const bool nothing = TrimJsonSpace(written).empty();
  const auto fail_if_nothing = [&](const char* what) {
    if (!nothing) return;
    Fail(ErrorCode::kInvalidArgument,
         "message {}: the chat template writes none of its {}, so an empty answer would be "
         "trained; give another --chat-template, or set \"train\": false on the message",
         index + 1, what);
  };
  if (!calls.empty() || !reasoning.empty()) {
    const std::optional<std::string> known =
        RenderWith(chat_template, messages, index, WithKnownWords(message), options);
    for (size_t i = 0; i < calls.size(); ++i) {
      const bool name = known ? Contains(*known, NameOfCall(i)) : Contains(written, calls[i].name);
      if (!name) FailCall(index, calls[i].name, "its tool call");
      if (known && calls[i].has_arguments && !Contains(*known, ArgumentOfCall(i))) {
        FailCall(index, calls[i].name, "the arguments of its tool call");
      }
    }
    const bool reasons =
        known ? Contains(*known, kReasons) : Contains(written, TrimJsonSpace(reasoning));
    if (!reasoning.empty() && !reasons) {
      fail_if_nothing("reasoning");
      remarks->push_back(
          {"the chat template does not write the reasoning of a trained turn, so it "
           "is not learned",
           static_cast<int64_t>(index)});
    }
  }
  if (calls.empty() && !TrimJsonSpace(TextOf(message)).empty()) fail_if_nothing("words");
}

void CheckContext(const ChatTemplate& chat_template, std::span<const Message> messages,
                  const RenderOptions& options, std::string_view text, size_t trained,
                  std::vector<Remark>* remarks) {
  if (!options.tools.empty()) {
    RenderOptions without = options;
    without.tools = nullptr;
    std::optional<std::string> same;
    try {
      same = chat_template.Render(messages, without);
    } catch (const Error&) {  // a template for tools alone reads them
    }
    if (same && *same == text) {
      remarks->push_back({"the chat template does not write the tools of the row"});
    }
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (i == trained || TrimJsonSpace(TextOf(message)).empty() || HasWords(text, message)) continue;
    Message known = message;
    known.content = kWords;
    known.has_content = true;
    if (known.fields.is_object()) known.fields.erase("content");
    const std::optional<std::string> rendered =
        RenderWith(chat_template, messages, i, std::move(known), options);
    if (!rendered || Contains(*rendered, kWords)) continue;  // written in another form
    remarks->push_back(
        {fmt::format("the chat template does not write the words of a message (role {})",
                     message.role),
         static_cast<int64_t>(i)});
  }
}

std::vector<std::string> UnreadKeys(const ChatTemplate& chat_template,
                                    std::span<const Message> messages,
                                    const std::vector<bool>& is_trained,
                                    const OrderedJson& variables) {
  std::vector<std::string> unread;
  const auto reads = [&](const std::string& key) { return chat_template.Mentions(key); };
  const auto is_reasoning = [](const std::string& key) {
    return std::find(kReasoning.begin(), kReasoning.end(), key) != kReasoning.end();
  };
  const bool reads_reasoning = std::any_of(kReasoning.begin(), kReasoning.end(), reads);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].fields.is_object()) continue;
    for (const auto& [key, value] : messages[i].fields.items()) {
      if (key == "content" || key == "weight" || IsEmptyJson(value)) continue;
      if (key == "id" || key == "tool_call_id") continue;  // say nothing to a model
      if (key == "name" && messages[i].role != "user") continue;
      const bool call = key == "tool_calls" || key == "function_call";
      if ((call || is_reasoning(key)) && is_trained[i]) continue;
      const bool read = is_reasoning(key) ? reads_reasoning
                        : call            ? reads("tool_calls") || reads("function_call")
                                          : reads(key);
      if (!read) unread.push_back("messages." + Printable(key));
    }
  }
  if (!variables.is_object()) return unread;
  for (const auto& [key, value] : variables.items()) {
    if (!reads(key)) unread.push_back("chat_template_kwargs." + Printable(key));
  }
  return unread;
}

std::vector<Remark> CheckPrompt(const ChatTemplate& chat_template,
                                std::span<const Message> messages, const RenderOptions& options,
                                std::string_view text) {
  const ChatTemplate& used = chat_template.For(options.tools);
  std::vector<Remark> remarks;
  CheckContext(used, messages, options, text, messages.size(), &remarks);
  const std::vector<bool> none_trained(messages.size(), false);
  for (const std::string& key : UnreadKeys(used, messages, none_trained, options.variables)) {
    remarks.push_back({"the chat template never reads " + key});
  }
  return remarks;
}

}  // namespace lorikeet
