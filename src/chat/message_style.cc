#include "chat/message_style.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "chat/chat_template.h"

namespace lorikeet {
namespace {

// Words that no data contains.
constexpr const char* kWords = "LorikeetWords";
constexpr const char* kCall = "lorikeet_call";
constexpr const char* kArgument = "LorikeetArgument";

bool IsEmpty(const OrderedJson& value) {
  if (value.is_null()) return true;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_structured() && value.empty();
}

// Whether brackets nest deeper than anything that data means: copying and printing JSON recurse.
bool NestsTooDeep(std::string_view text) {
  constexpr int kMaxNesting = 64;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
      continue;
    }
    depth += (c == '[' || c == '{') ? 1 : (c == ']' || c == '}') ? -1 : 0;
    if (depth > kMaxNesting) return true;
  }
  return false;
}

// An object or a list from a string of JSON; null if it is something else.
OrderedJson Decoded(const std::string& text) {
  if (NestsTooDeep(text)) return nullptr;
  OrderedJson json = OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_structured()) json = nullptr;
  return json;
}

OrderedJson Parts(const std::string& text) {
  return OrderedJson::array({OrderedJson{{"type", "text"}, {"text", text}}});
}

std::optional<std::string> Joined(const OrderedJson& parts) {
  std::string text;
  for (const OrderedJson& part : parts) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) return {};
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

Message Made(const char* role, const std::string& text, bool parts) {
  Message message = {role, text, OrderedJson::object()};
  if (parts) message.fields["content"] = Parts(text);
  return message;
}

Message WithCall(bool arguments_as_text, MessageStyle::NoContent content) {
  OrderedJson arguments = {{"key", kArgument}};
  if (arguments_as_text) arguments = PythonJson(arguments);
  Message message = {"assistant", "", OrderedJson::object()};
  message.has_content = content == MessageStyle::NoContent::kEmpty;
  if (content == MessageStyle::NoContent::kNull) message.fields["content"] = nullptr;
  message.fields["tool_calls"] = OrderedJson::array(
      {OrderedJson{{"id", "call00001"},
                   {"type", "function"},
                   {"function", OrderedJson{{"name", kCall}, {"arguments", arguments}}}}});
  return message;
}

OrderedJson SomeTools() {
  const OrderedJson parameters = {{"type", "object"},
                                  {"properties", {{"key", {{"type", "string"}}}}},
                                  {"required", OrderedJson::array({"key"})}};
  return OrderedJson::array({OrderedJson{
      {"type", "function"},
      {"function",
       {{"name", "lookup"}, {"description", "Looks a key up."}, {"parameters", parameters}}}}});
}

// Finds the style by rendering one form after the other.
class StyleFinder {
 public:
  StyleFinder(const RenderAsIs& render, std::string_view source) : render_(render) {
    style_.reads_function_call = source.find("function_call") != std::string_view::npos;
  }

  MessageStyle Find() {
    FindCallForm();
    style_.user = FindContent("user");
    style_.assistant = FindContent("assistant");
    style_.system = FindContent("system");
    style_.tool = FindContent("tool");
    return style_;
  }

 private:
  // The first form in which the arguments of a call appear; else the first that renders.
  void FindCallForm() {
    bool renders = false;
    for (const bool as_text : {false, true}) {
      for (const auto content : {MessageStyle::NoContent::kAbsent, MessageStyle::NoContent::kNull,
                                 MessageStyle::NoContent::kEmpty}) {
        for (const bool parts : {false, true}) {
          const auto text = render_(
              std::array{Made("user", "?", parts), WithCall(as_text, content)}, SomeTools());
          const bool written = text && text->find(kArgument) != std::string::npos;
          if (!written && (!text || renders)) continue;
          renders = true;
          style_.arguments_as_text = as_text;
          style_.no_content = content;
          if (written) return;
        }
      }
    }
  }

  MessageStyle::Content FindContent(std::string_view role) const {
    const MessageStyle::Content found = {.text = Reads(role, false), .parts = Reads(role, true)};
    return found.text || found.parts ? found : MessageStyle::Content{.text = true, .parts = true};
  }

  // Whether the words of the role appear, whatever form the other messages have.
  bool Reads(std::string_view role, bool parts) const {
    for (const auto& [others, longer] :
         {std::pair{false, false}, {true, false}, {false, true}, {true, true}}) {
      std::vector<Message> messages = Conversation(role, parts, others);
      if (longer) {  // for templates that demand what usually comes before
        if (role == "system") continue;
        messages.insert(messages.begin(), {Made("system", "?", others), Made("user", "?", others),
                                           Made("assistant", "?", others)});
      }
      const auto text = render_(messages, nullptr);
      if (!text || text->find(kWords) == std::string::npos) continue;
      // A list that is printed as it is was not looked into.
      const auto printed = [&](const char* before) {
        return text->find(std::string(before) + kWords) != std::string::npos;
      };
      if (!parts || (!printed("'text': '") && !printed("\"text\": \""))) return true;
    }
    return false;
  }

  std::vector<Message> Conversation(std::string_view role, bool parts, bool others) const {
    const Message words = Made(std::string(role).c_str(), kWords, parts);
    const Message user = Made("user", "?", others);
    if (role == "user") return {words};
    if (role == "system") return {words, user};
    if (role == "assistant") return {user, words};
    Message result = words;
    result.fields["name"] = kCall;
    result.fields["tool_call_id"] = "call00001";
    return {user, WithCall(style_.arguments_as_text, style_.no_content), result};
  }

  const RenderAsIs& render_;
  MessageStyle style_;
};

void DecodeArguments(OrderedJson& call, bool as_text) {
  if (!call.is_object()) return;
  OrderedJson& function = FunctionOf(call);
  if (!function.is_object() || !function.contains("name")) return;
  OrderedJson& arguments = function["arguments"];  // null if absent
  if (IsEmpty(arguments) && !arguments.is_array()) arguments = OrderedJson::object();
  if (as_text) {
    if (!arguments.is_string()) arguments = PythonJson(arguments);
    return;
  }
  if (!arguments.is_string()) return;
  OrderedJson decoded = Decoded(arguments.get_ref<const std::string&>());
  if (decoded.is_object()) arguments = std::move(decoded);
}

void SetContent(Message& message, const MessageStyle& style) {
  const MessageStyle::Content& reads = style.ContentOf(message.role);
  const auto given = message.fields.find("content");
  const bool list = given != message.fields.end() && given->is_array();
  if (given != message.fields.end() && given->is_null()) {
    message.fields.erase(given);
    message.has_content = false;
  }
  if (list) {
    if (!reads.parts) {
      if (std::optional<std::string> text = Joined(message.fields["content"])) {
        message.content = std::move(*text);
        message.fields.erase("content");
      }
      return;
    }
    for (OrderedJson& part : message.fields["content"]) {
      if (!part.is_object() || part.contains("type") || !part.contains("text")) continue;
      OrderedJson typed = {{"type", "text"}};
      typed.update(part);
      part = std::move(typed);
    }
    return;
  }
  if (message.has_content) {
    if (!reads.text && !message.content.empty()) message.fields["content"] = Parts(message.content);
    return;
  }
  if (style.no_content == MessageStyle::NoContent::kNull) message.fields["content"] = nullptr;
  if (style.no_content == MessageStyle::NoContent::kEmpty) message.has_content = true;
}

}  // namespace

const MessageStyle::Content& MessageStyle::ContentOf(std::string_view role) const {
  if (role == "assistant") return assistant;
  if (role == "system" || role == "developer") return system;
  if (role == "tool" || role == "function" || role == "ipython" || role == "observation") {
    return tool;
  }
  return user;
}

MessageStyle FindMessageStyle(const RenderAsIs& render, std::string_view source) {
  return StyleFinder(render, source).Find();
}

std::vector<Message> InStyle(std::span<const Message> messages, const MessageStyle& style) {
  std::vector<Message> result(messages.begin(), messages.end());
  bool older = false;
  for (Message& message : result) {
    if (!message.fields.is_object()) message.fields = OrderedJson::object();
    OrderedJson calls = ToolCallsOf(message);
    const bool is_older = !message.fields.contains("tool_calls") && !calls.empty();
    if (is_older && !style.reads_function_call) {
      message.fields.erase("function_call");
      older = true;
    }
    OrderedJson kept = OrderedJson::object();
    for (const auto& [key, value] : message.fields.items()) {
      if (key == "content" || !IsEmpty(value)) kept[key] = std::move(value);
    }
    message.fields = std::move(kept);
    if (!calls.empty() && !(is_older && style.reads_function_call)) {
      for (OrderedJson& call : calls) DecodeArguments(call, style.arguments_as_text);
      message.fields["tool_calls"] = std::move(calls);
    }
    SetContent(message, style);
  }
  for (Message& message : result) {
    if (older && message.role == "function") message.role = "tool";
  }
  return result;
}

std::string TextOf(const Message& message) {
  if (!message.fields.is_object()) return message.content;
  const auto given = message.fields.find("content");
  if (given == message.fields.end() || !given->is_array()) return message.content;
  return Joined(*given).value_or(message.content);
}

OrderedJson ToolCallsOf(const Message& message) {
  OrderedJson none = OrderedJson::array();
  if (!message.fields.is_object()) return none;
  if (const auto calls = message.fields.find("tool_calls");
      calls != message.fields.end() && !IsEmpty(*calls)) {
    OrderedJson decoded = calls->is_string() ? Decoded(*calls) : *calls;
    return decoded.is_array() ? decoded : none;
  }
  const auto call = message.fields.find("function_call");
  if (call == message.fields.end() || !call->is_object() || call->empty()) return none;
  return OrderedJson::array({OrderedJson{{"type", "function"}, {"function", *call}}});
}

OrderedJson& FunctionOf(OrderedJson& call) {
  const auto function = call.find("function");
  return function != call.end() && function->is_object() ? *function : call;
}

std::string BadArguments(std::span<const Message> messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    for (OrderedJson& call : ToolCallsOf(messages[i])) {
      if (!call.is_object()) continue;
      OrderedJson& function = FunctionOf(call);
      if (!function.is_object()) continue;
      const auto arguments = function.find("arguments");
      if (arguments == function.end() || !arguments->is_string()) continue;
      const auto& text = arguments->get_ref<const std::string&>();
      if (text.empty() || Decoded(text).is_object()) continue;
      return fmt::format(
          "message {}: the arguments of a tool call are a string that is not a JSON "
          "object",
          i + 1);
    }
  }
  return "";
}

}  // namespace lorikeet
