#include "data/conversation.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr int kMaxNesting = 64;  // copying and printing JSON recurse

template <class... Args>
[[noreturn]] void Bad(fmt::format_string<Args...> format, Args&&... args) {
  Fail(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

// Text from outside for a message of one line: no control characters, at most `max_bytes`.
std::string Printable(std::string_view text, size_t max_bytes = 40) {
  std::string shown(text.substr(0, max_bytes));
  if (shown.size() < text.size()) {
    while (!shown.empty() && (static_cast<uint8_t>(text[shown.size()]) & 0xC0U) == 0x80U) {
      shown.pop_back();
    }
    shown += "...";
  }
  for (char& c : shown) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return shown;
}

// Checks for faults that the parser accepts or reports badly: ill-formed UTF-8, deep nesting.
void CheckText(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (static_cast<uint8_t>(c) >= 0x80) {
      const int length = Utf8SequenceLength(text, i);
      if (length < 0) {
        Bad("invalid UTF-8: byte 0x{:02X} at column {}; save the file as UTF-8",
            static_cast<uint8_t>(c), i + 1);
      }
      i += static_cast<size_t>(length);
      continue;
    }
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else {
      if (c == '"') in_string = true;
      if (c == '[' || c == '{') ++depth;
      if (c == ']' || c == '}') --depth;
      if (depth > kMaxNesting) Bad("JSON nested deeper than {} levels", kMaxNesting);
    }
    ++i;
  }
}

// The parser's message without its name, its code and long quotations.
std::string ShortParseError(std::string what) {
  const size_t at = what.find("column ");
  if (at != std::string::npos) what.erase(0, at);
  return Printable(what, 160);
}

// Reading a row takes about twelve times its size.
constexpr size_t kMaxRowBytes = size_t{256} << 20;

OrderedJson ParseObject(std::string_view text) {
  if (text.size() > kMaxRowBytes) {
    Bad("{} MiB, and a row has at most {} MiB; cut it into several rows", text.size() >> 20,
        kMaxRowBytes >> 20);
  }
  CheckText(text);
  OrderedJson json;
  try {
    json = ParseOrderedJson(text, "row");
  } catch (const Error& e) {
    const bool opens_only = text == "{";
    Bad("not valid JSON: {}{}", ShortParseError(e.what()),
        opens_only ? "; in JSONL each row is one line" : "");
  }
  if (!json.is_object()) Bad("expected a JSON object, got {}", json.type_name());
  return json;
}

// Takes values out of a row's object; the remaining keys are unknown to the format. (JsonFields
// reads values in place; here they are moved out, since rows can be large.)
class Fields {
 public:
  explicit Fields(OrderedJson object) : object_(std::move(object)) {}

  // A key with null counts as absent: tables exported to JSONL have every column in every row.
  bool Has(const char* key) const {
    const auto it = object_.find(key);
    return it != object_.end() && !it->is_null();
  }
  OrderedJson Take(const char* key) {
    const auto it = object_.find(key);
    if (it == object_.end()) return nullptr;
    OrderedJson value = std::move(*it);
    object_.erase(it);
    return value;
  }
  std::string TakeString(const char* key) {
    OrderedJson value = Take(key);
    if (!value.is_string()) Bad("\"{}\" must be a string, got {}", key, value.type_name());
    return std::move(value.get_ref<std::string&>());
  }
  // Absent or null gives "".
  std::string TakeOptionalString(const char* key) {
    return Has(key) ? TakeString(key) : (Take(key), std::string());
  }
  OrderedJson TakeArray(const char* key) {
    OrderedJson value = Take(key);
    if (!value.is_array()) Bad("\"{}\" must be a list, got {}", key, value.type_name());
    if (value.empty()) Bad("\"{}\" is empty", key);
    return value;
  }
  OrderedJson& rest() { return object_; }

 private:
  OrderedJson object_;
};

void CheckRole(std::string_view role, size_t index) {
  constexpr std::array<std::string_view, 8> kRoles = {
      "system", "developer", "user", "assistant", "tool", "function", "ipython", "observation"};
  for (const std::string_view known : kRoles) {
    if (role == known) return;
  }
  Bad("message {}: unknown role \"{}\"; expected system, user, assistant or tool", index + 1,
      Printable(role));
}

// Content in parts, [{"type": "text", "text": ...}], is the concatenation of their texts.
std::string ContentOf(OrderedJson content, size_t index) {
  if (content.is_string()) return std::move(content.get_ref<std::string&>());
  if (content.is_null()) return {};
  if (!content.is_array()) {
    Bad("message {}: \"content\" must be a string, got {}", index + 1, content.type_name());
  }
  std::string joined;
  for (const OrderedJson& part : content) {
    if (!part.is_object()) Bad("message {}: a part of \"content\" is not an object", index + 1);
    const auto text = part.find("text");
    if (text == part.end() || !text->is_string()) {
      Bad("message {}: only text parts of \"content\" are supported (no images, no audio)",
          index + 1);
    }
    joined += text->get_ref<const std::string&>();
  }
  return joined;
}

Message ParseMessage(OrderedJson json, size_t index) {
  if (!json.is_object()) Bad("message {}: expected an object, got {}", index + 1, json.type_name());
  Fields fields(std::move(json));
  if (!fields.Has("role")) Bad("message {}: no \"role\"", index + 1);
  OrderedJson role = fields.Take("role");
  if (!role.is_string()) Bad("message {}: \"role\" must be a string", index + 1);
  Message message;
  message.role = std::move(role.get_ref<std::string&>());
  CheckRole(message.role, index);
  if (!fields.Has("content") && !fields.Has("tool_calls") && !fields.Has("reasoning_content")) {
    Bad("message {}: no \"content\"", index + 1);
  }
  const bool is_null = !fields.Has("content");
  message.content = ContentOf(fields.Take("content"), index);
  message.fields = std::move(fields.rest());
  if (is_null) message.fields["content"] = nullptr;  // templates ask `content is none`
  if (const auto weight = message.fields.find("weight");
      weight != message.fields.end() && !weight->is_null() && *weight != 0 && *weight != 1) {
    Bad("message {}: \"weight\" must be 0 or 1", index + 1);
  }
  return message;
}

std::vector<Message> ParseMessages(OrderedJson list) {
  std::vector<Message> messages;
  messages.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) messages.push_back(ParseMessage(std::move(list[i]), i));
  return messages;
}

const char* RoleOfShareGpt(std::string_view from, size_t index) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "assistant" || from == "chatgpt" || from == "model") {
    return "assistant";
  }
  if (from == "system") return "system";
  if (from == "tool" || from == "observation" || from == "function_response") return "tool";
  Bad("message {}: unknown speaker \"{}\"; expected human, gpt, system or tool", index + 1,
      Printable(from));
}

std::vector<Message> ParseShareGpt(OrderedJson list) {
  std::vector<Message> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    OrderedJson& json = list[i];
    if (!json.is_object()) Bad("message {}: expected an object, got {}", i + 1, json.type_name());
    if (!json.contains("from") && json.contains("role")) {  // the other names under the same key
      messages.push_back(ParseMessage(std::move(json), i));
      continue;
    }
    Fields fields(std::move(json));
    if (!fields.Has("from") || !fields.Has("value")) {
      Bad("message {}: expected \"from\" and \"value\"", i + 1);
    }
    Message message;
    OrderedJson from = fields.Take("from"), value = fields.Take("value");
    if (!from.is_string() || !value.is_string()) {
      Bad("message {}: \"from\" and \"value\" must be strings", i + 1);
    }
    message.role = RoleOfShareGpt(from.get_ref<const std::string&>(), i);
    message.content = std::move(value.get_ref<std::string&>());
    message.fields = std::move(fields.rest());
    messages.push_back(std::move(message));
  }
  return messages;
}

std::optional<Format> FormatOf(const Fields& fields) {
  if (fields.Has("tokens")) return Format::kTokens;
  if (fields.Has("messages")) return Format::kMessages;
  if (fields.Has("conversations")) return Format::kShareGpt;
  if (fields.Has("prompt") && fields.Has("completion")) return Format::kPromptCompletion;
  if (fields.Has("instruction") && fields.Has("output")) return Format::kAlpaca;
  if (fields.Has("text")) return Format::kText;
  return std::nullopt;
}

[[noreturn]] void FailUnknownFormat(const OrderedJson& object) {
  std::string keys;
  for (const auto& [key, value] : object.items()) {
    if (keys.size() > 80) break;
    keys += (keys.empty() ? "" : ", ") + Printable(key);
  }
  Bad("no known format (its keys: {}); expected \"messages\", \"prompt\" and \"completion\", "
      "\"text\", "
      "\"instruction\" and \"output\", \"conversations\", or \"tokens\"",
      keys.empty() ? "none" : keys);
}

void ParseTokens(Fields& fields, Record& record) {
  for (const OrderedJson& id : fields.TakeArray("tokens")) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<int32_t>::max()) {
      Bad("\"tokens\" must be ids: whole numbers from 0");
    }
    record.tokens.push_back(id.get<int32_t>());
  }
  if (!fields.Has("weights")) {
    fields.Take("weights");
    return;
  }
  for (const OrderedJson& weight : fields.TakeArray("weights")) {
    const float value = weight.is_number() ? weight.get<float>() : -1.0F;
    if (!std::isfinite(value) || value < 0) Bad("\"weights\" must be finite numbers from 0");
    record.weights.push_back(value);
  }
  if (record.weights.size() != record.tokens.size()) {
    Bad("{} tokens but {} weights", record.tokens.size(), record.weights.size());
  }
}

void ParsePromptCompletion(Fields& fields, Record& record) {
  OrderedJson prompt = fields.Take("prompt"), completion = fields.Take("completion");
  if (prompt.is_string() && completion.is_string()) {
    record.prompt = std::move(prompt.get_ref<std::string&>());
    record.completion = std::move(completion.get_ref<std::string&>());
    return;
  }
  if (!prompt.is_array() || !completion.is_array()) {
    Bad("\"prompt\" and \"completion\" must be two strings or two lists of messages, got {} and {}",
        prompt.type_name(), completion.type_name());
  }
  if (completion.empty()) Bad("\"completion\" is empty");
  record.first_trainable = static_cast<int64_t>(prompt.size());
  for (OrderedJson& message : completion) prompt.push_back(std::move(message));
  record.messages = ParseMessages(std::move(prompt));
}

void AddMessage(Record& record, const char* role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  message.fields = OrderedJson::object();
  record.messages.push_back(std::move(message));
}

void ParseAlpaca(Fields& fields, Record& record) {
  std::string system = fields.TakeOptionalString("system");
  std::string instruction = fields.TakeString("instruction");
  const std::string input = fields.TakeOptionalString("input");
  if (!system.empty()) AddMessage(record, "system", std::move(system));
  AddMessage(record, "user", input.empty() ? std::move(instruction) : instruction + "\n\n" + input);
  AddMessage(record, "assistant", fields.TakeString("output"));
}

void ParseConversations(Fields& fields, Record& record) {
  std::string system = fields.TakeOptionalString("system");
  std::vector<Message> turns = ParseShareGpt(fields.TakeArray("conversations"));
  if (!system.empty() && turns.front().role != "system") {
    AddMessage(record, "system", std::move(system));
  }
  for (Message& turn : turns) record.messages.push_back(std::move(turn));
}

// Some tables keep the tools as a string of JSON.
OrderedJson ParseTools(OrderedJson tools) {
  if (tools.is_string()) {
    const std::string text = tools.get<std::string>();
    if (text.empty()) return nullptr;
    CheckText(text);
    try {
      tools = ParseOrderedJson(text, "tools");
    } catch (const Error&) {
      Bad("\"tools\" is a string that is not valid JSON");
    }
  }
  if (!tools.is_null() && !tools.is_array()) {
    Bad("\"tools\" must be a list, got {}", tools.type_name());
  }
  return tools;
}

}  // namespace

const char* FormatName(Format format) {
  switch (format) {
    case Format::kMessages:
      return "messages";
    case Format::kPromptCompletion:
      return "prompt/completion";
    case Format::kText:
      return "text";
    case Format::kAlpaca:
      return "alpaca";
    case Format::kShareGpt:
      return "sharegpt";
    case Format::kTokens:
      return "tokens";
  }
  return "?";
}

Record ParseRecord(const Row& row, std::set<std::string>* ignored_keys) {
  Fields fields(ParseObject(row.text));
  const std::optional<Format> format = FormatOf(fields);
  if (!format) FailUnknownFormat(fields.rest());
  Record record;
  record.format = *format;
  record.line = row.line;
  switch (*format) {
    case Format::kTokens:
      ParseTokens(fields, record);
      break;
    case Format::kMessages:
      record.messages = ParseMessages(fields.TakeArray("messages"));
      break;
    case Format::kShareGpt:
      ParseConversations(fields, record);
      break;
    case Format::kPromptCompletion:
      ParsePromptCompletion(fields, record);
      break;
    case Format::kAlpaca:
      ParseAlpaca(fields, record);
      break;
    case Format::kText:
      record.text = fields.TakeString("text");
      break;
  }
  if (!record.messages.empty()) {
    record.tools = ParseTools(fields.Take("tools"));
    record.template_variables = fields.Take("chat_template_kwargs");
    if (!record.template_variables.is_null() && !record.template_variables.is_object()) {
      Bad("\"chat_template_kwargs\" must be an object");
    }
  }
  if (ignored_keys != nullptr) {
    for (const auto& [key, value] : fields.rest().items()) ignored_keys->insert(Printable(key));
  }
  return record;
}

void RowErrors::Add(int64_t line, std::string what) { errors_.push_back({line, std::move(what)}); }

void RowErrors::ThrowIfAny(const std::string& path) const {
  if (errors_.empty()) return;
  std::string others;
  for (size_t i = 1; i < errors_.size() && i < kMaxErrors; ++i) {
    others += fmt::format("{}{}", i == 1 ? "" : ", ", errors_[i].line);
  }
  if (errors_.size() > 1) {
    others = fmt::format(" (and {}{} more bad row{}: line{} {})", enough() ? "at least " : "",
                         errors_.size() - 1, errors_.size() == 2 ? "" : "s",
                         errors_.size() == 2 ? "" : "s", others);
  }
  Fail(ErrorCode::kInvalidArgument, "{}:{}: {}{}", path, errors_[0].line, errors_[0].what, others);
}

std::vector<Record> ReadRecords(const std::string& path) {
  const RowFile file(path);
  std::vector<Record> records;
  RowErrors errors;
  for (const Row& row : file.rows()) {
    try {
      records.push_back(ParseRecord(row));
      if (records.back().format != records.front().format) {
        Bad("a row of format {} in a file of format {}", FormatName(records.back().format),
            FormatName(records.front().format));
      }
    } catch (const Error& e) {
      errors.Add(row.line, e.what());
      if (errors.enough()) break;
    }
  }
  errors.ThrowIfAny(path);
  return records;
}

}  // namespace lorikeet
