#include "data/turns.h"

#include <algorithm>
#include <array>
#include <utility>

#include "data/row_fields.h"

namespace lorikeet {
namespace {

void CheckRole(std::string_view role, size_t index) {
  constexpr std::array<std::string_view, 8> kRoles = {
      "system", "developer", "user", "assistant", "tool", "function", "ipython", "observation"};
  if (std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end()) return;
  BadRow("message {}: unknown role \"{}\"; expected system, user, assistant or tool", index + 1,
         Printable(role));
}

bool IsCall(std::string_view role) { return role == "function_call" || role == "tool_call"; }

const char* RoleOfShareGpt(std::string_view from, size_t index) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "assistant" || from == "chatgpt" || from == "model") {
    return "assistant";
  }
  if (from == "system") return "system";
  if (from == "tool" || from == "observation" || from == "function_response" ||
      from == "tool_response") {
    return "tool";
  }
  BadRow("message {}: unknown speaker \"{}\"; expected human, gpt, system, function_call or tool",
         index + 1, Printable(from));
}

// Sets content in parts, [{"type": "text", "text": ...}], and the concatenation of their texts.
void SetContent(OrderedJson content, size_t index, Message& message) {
  if (content.is_null()) {
    message.fields["content"] = nullptr;
    return;
  }
  if (content.is_string()) {
    message.content = std::move(content.get_ref<std::string&>());
    return;
  }
  if (!content.is_array()) {
    BadRow("message {}: \"content\" must be a string, got {}", index + 1, content.type_name());
  }
  for (const OrderedJson& part : content) {
    if (!part.is_object()) BadRow("message {}: a part of \"content\" is not an object", index + 1);
    const auto text = part.find("text");
    if (text == part.end() || !text->is_string()) {
      BadRow("message {}: only text parts of \"content\" are supported (no images, no audio)",
             index + 1);
    }
    message.content += text->get_ref<const std::string&>();
  }
  message.fields["content"] = std::move(content);
}

// true, false, 0 or 1 of a key that says whether the turn is trained.
bool FlagOf(const OrderedJson& value, const char* key, size_t index) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number() && (value == 0 || value == 1)) return value == 1;
  BadRow("message {}: \"{}\" must be 0 or 1, or true or false", index + 1, key);
}

void HonourFlags(Message& message, size_t index, std::vector<Remark>* remarks) {
  std::optional<bool> trained;
  const char* decided_by = nullptr;
  for (const char* key : {"weight", "train", "training", "loss"}) {
    const auto it = message.fields.find(key);
    if (it == message.fields.end()) continue;
    const OrderedJson value = std::move(*it);
    message.fields.erase(it);
    if (IsEmptyJson(value)) continue;
    const bool flag = FlagOf(value, key, index);
    if (trained && *trained != flag) {
      BadRow("message {}: \"{}\" and \"{}\" contradict each other", index + 1, decided_by, key);
    }
    trained = flag;
    decided_by = key;
  }
  const auto mask = message.fields.find("mask");
  if (mask != message.fields.end()) {
    const bool empty = IsEmptyJson(*mask);
    message.fields.erase(mask);
    if (!empty && message.role == "assistant") {
      BadRow(
          "message {}: \"mask\" may mean that the turn is trained, or that it is not; write "
          "\"train\": true or false instead",
          index + 1);
    }
  }
  if (message.role == "assistant") {
    if (trained) message.fields["weight"] = *trained ? 1 : 0;
  } else if (trained.value_or(false)) {
    remarks->push_back({fmt::format("\"{}\" of turns that are not the assistant's does not train "
                                    "them; --train-on all trains everything",
                                    decided_by),
                        static_cast<int64_t>(index)});
  }
}

// A call, or a list of calls, as function_call turns hold them: {"name", "arguments"}.
OrderedJson CallsOf(OrderedJson value, size_t index) {
  value = DecodedJson(std::move(value));
  if (value.is_object()) value = OrderedJson::array({std::move(value)});
  OrderedJson calls = OrderedJson::array();
  for (OrderedJson& call : value) {
    if (!value.is_array() || !call.is_object() || !call.contains("name")) {
      BadRow(
          "message {}: a call must be a JSON object with \"name\" and \"arguments\", or a list "
          "of them",
          index + 1);
    }
    calls.push_back({{"type", "function"}, {"function", std::move(call)}});
  }
  if (calls.empty()) BadRow("message {}: the list of calls is empty", index + 1);
  return calls;
}

void CheckToolCalls(Message& message, size_t index) {
  const auto calls = message.fields.find("tool_calls");
  if (calls == message.fields.end() || IsEmptyJson(*calls)) return;
  *calls = DecodedJson(std::move(*calls));
  const bool list =
      calls->is_array() && std::all_of(calls->begin(), calls->end(),
                                       [](const OrderedJson& call) { return call.is_object(); });
  if (!list) BadRow("message {}: \"tool_calls\" must be a list of objects", index + 1);
}

Message ParseMessage(RowFields fields, size_t index) {
  if (!fields.Has("role")) BadRow("message {}: no \"role\"", index + 1);
  OrderedJson role = fields.Take("role");
  if (!role.is_string()) BadRow("message {}: \"role\" must be a string", index + 1);
  Message message;
  message.role = std::move(role.get_ref<std::string&>());
  if (IsCall(message.role) && fields.Has("content")) {
    message.role = "assistant";
    OrderedJson calls = CallsOf(fields.Take("content"), index);
    message.fields = std::move(fields.rest());
    message.fields["tool_calls"] = std::move(calls);
    return message;
  }
  CheckRole(message.role, index);
  constexpr std::array<const char*, 6> kInsteadOfContent = {
      "content", "tool_calls", "function_call", "reasoning_content", "thinking", "reasoning"};
  if (std::none_of(kInsteadOfContent.begin(), kInsteadOfContent.end(),
                   [&](const char* key) { return fields.Has(key); })) {
    BadRow("message {}: no \"content\"", index + 1);
  }
  OrderedJson content = fields.Take("content");
  message.fields = std::move(fields.rest());
  SetContent(std::move(content), index, message);
  CheckToolCalls(message, index);
  return message;
}

Message ParseShareGpt(RowFields fields, size_t index) {
  if (!fields.Has("from") || !fields.Has("value")) {
    BadRow("message {}: expected \"from\" and \"value\"", index + 1);
  }
  OrderedJson from = fields.Take("from"), value = fields.Take("value");
  Message message;
  message.fields = std::move(fields.rest());
  if (from.is_string() && IsCall(from.get_ref<const std::string&>())) {
    message.role = "assistant";
    message.fields["tool_calls"] = CallsOf(std::move(value), index);
    return message;
  }
  if (!from.is_string() || !value.is_string()) {
    BadRow("message {}: \"from\" and \"value\" must be strings", index + 1);
  }
  message.role = RoleOfShareGpt(from.get_ref<const std::string&>(), index);
  message.content = std::move(value.get_ref<std::string&>());
  return message;
}

Message PlainMessage(const char* role, OrderedJson text) {
  return {role, std::move(text.get_ref<std::string&>()), OrderedJson::object()};
}

}  // namespace

std::vector<Message> ParseTurns(OrderedJson list, const ColumnMap& columns,
                                std::vector<Remark>* remarks) {
  std::vector<Message> messages;
  messages.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object()) {
      BadRow("message {}: expected an object, got {}", i + 1, list[i].type_name());
    }
    RowFields fields(std::move(list[i]));
    fields.Rename(columns.message(), nullptr);
    const bool sharegpt = fields.Has("from") && !fields.Has("role");
    messages.push_back(sharegpt ? ParseShareGpt(std::move(fields), i)
                                : ParseMessage(std::move(fields), i));
    HonourFlags(messages.back(), i, remarks);
  }
  return messages;
}

std::vector<Message> ParseHistory(OrderedJson history, const ColumnMap& columns,
                                  std::vector<Remark>* remarks) {
  history = DecodedJson(std::move(history));
  if (IsEmptyJson(history)) return {};
  if (history.is_array() && history.front().is_object()) {
    return ParseTurns(std::move(history), columns, remarks);
  }
  std::vector<Message> messages;
  for (OrderedJson& pair : history) {
    const bool ok = history.is_array() && pair.is_array() && pair.size() == 2 &&
                    pair[0].is_string() && pair[1].is_string();
    if (!ok) BadRow("\"history\" must be a list of [question, answer] pairs, or of messages");
    messages.push_back(PlainMessage("user", std::move(pair[0])));
    messages.push_back(PlainMessage("assistant", std::move(pair[1])));
  }
  return messages;
}

OrderedJson ParseTools(OrderedJson tools, const char* key, bool wrap) {
  if (IsEmptyJson(tools)) return nullptr;
  tools = DecodedJson(std::move(tools));
  if (tools.is_string()) BadRow("\"{}\" is a string that is not valid JSON", key);
  if (IsEmptyJson(tools)) return nullptr;
  if (!tools.is_array()) BadRow("\"{}\" must be a list, got {}", key, tools.type_name());
  for (OrderedJson& tool : tools) {
    tool = DecodedJson(std::move(tool));
    if (!tool.is_object()) {
      BadRow("\"{}\" must be a list of objects that describe functions", key);
    }
    if (!wrap || tool.contains("function") || !tool.contains("name")) continue;
    tool = OrderedJson{{"type", "function"}, {"function", OrderedJson(tool)}};
  }
  return tools;
}

}  // namespace lorikeet
