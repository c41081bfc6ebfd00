#include "data/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "core/error.h"
#include "data/row_fields.h"

namespace lorikeet {
namespace {

struct FormatKeys {
  Format format;
  const char* first;
  const char* second;  // null: one key is enough
};
constexpr std::array<FormatKeys, 6> kFormats = {
    {{Format::kTokens, "tokens", nullptr},
     {Format::kMessages, "messages", nullptr},
     {Format::kShareGpt, "conversations", nullptr},
     {Format::kPromptCompletion, "prompt", "completion"},
     {Format::kAlpaca, "instruction", "output"},
     {Format::kText, "text", nullptr}}};

// Where the user names columns of a format, no other format is meant. An empty list counts only if
// the row has nothing else.
std::optional<Format> FormatOf(const RowFields& fields, const ColumnMap& columns) {
  std::optional<Format> of_empty_list;
  for (const auto& [format, first, second] : kFormats) {
    if (!fields.Has(first) || (second != nullptr && !fields.Has(second))) continue;
    const bool named = columns.Maps(first) || (second != nullptr && columns.Maps(second));
    if (!named && columns.NamesAFormat()) continue;
    if (!fields.At(first).is_array() || !fields.At(first).empty()) return format;
    if (!of_empty_list) of_empty_list = format;
  }
  return of_empty_list;
}

// Names of a question and its answer in other data sets.
constexpr std::array<std::array<const char*, 2>, 8> kPairs = {{{"instruction", "response"},
                                                               {"question", "answer"},
                                                               {"prompt", "response"},
                                                               {"input", "output"},
                                                               {"question", "response"},
                                                               {"query", "response"},
                                                               {"problem", "solution"},
                                                               {"inputs", "targets"}}};

// Renames the columns of a format's frequent other names, and says so in `taken`.
std::optional<Format> TakeFrequentNames(RowFields& fields, std::string* taken) {
  if (!fields.IsEmpty("conversation") && fields.At("conversation").is_array()) {
    const OrderedJson& turn = fields.At("conversation").front();
    const bool sharegpt = turn.is_object() && turn.contains("from");
    const std::string name = sharegpt ? "conversations" : "messages";
    fields.Rename({{name, "conversation"}}, nullptr);
    *taken = name + "=conversation";
    return sharegpt ? Format::kShareGpt : Format::kMessages;
  }
  for (const auto& [question, answer] : kPairs) {
    if (!fields.Has(question) || !fields.Has(answer)) continue;
    std::map<std::string, std::string> names = {{"instruction", question}, {"output", answer}};
    if (!fields.IsEmpty("context") && fields.IsEmpty("input")) names["input"] = "context";
    for (const auto& [name, column] : names) {
      if (name == column) continue;
      *taken += (taken->empty() ? "" : ",") + name + "=" + column;
    }
    fields.Rename(names, nullptr);
    return Format::kAlpaca;
  }
  return std::nullopt;
}

std::string KeysOf(const OrderedJson& object) {
  std::string keys;
  for (const auto& [key, value] : object.items()) {
    if (keys.size() > 80) break;
    keys += (keys.empty() ? "" : ", ") + Printable(key);
  }
  return keys.empty() ? "none" : keys;
}

[[noreturn]] void FailUnknownFormat(const OrderedJson& object) {
  BadRow(
      "no known format (its keys: {}); expected \"messages\", \"prompt\" and \"completion\", "
      "\"text\", \"instruction\" and \"output\", \"conversations\", or \"tokens\"; columns of "
      "other names can be named: --data-columns prompt=COLUMN,completion=COLUMN",
      KeysOf(object));
}

// A bare list of messages, instead of an object that has it under a key.
bool IsListOfMessages(const OrderedJson& json, const ColumnMap& columns) {
  if (!json.is_array() || json.empty() || !json.front().is_object()) return false;
  const auto has = [&](const char* key) {
    const auto named = columns.message().find(key);
    return json.front().contains(named == columns.message().end() ? key : named->second);
  };
  return has("role") || has("from");
}

RowFields ParseRow(const Row& row, const ColumnMap& columns) {
  OrderedJson json = ParseRowJson(row.text);
  if (IsListOfMessages(json, columns)) json = OrderedJson{{"messages", std::move(json)}};
  if (!json.is_object()) BadRow("expected a JSON object, got {}", json.type_name());
  return RowFields(std::move(json));
}

// Takes the columns that the user named.
void TakeColumns(RowFields& fields, const ColumnMap& columns, Record& record,
                 std::set<std::string>* ignored_keys) {
  for (const auto& [name, column] : columns.row()) {
    if (fields.Has(column.c_str())) continue;
    const auto absent = fields.rest().find(column);
    if (absent == fields.rest().end() && IsRequiredColumn(name)) {
      BadRow("no column \"{}\", which data_columns names as \"{}\" (the row's keys: {})",
             Printable(column), name, KeysOf(fields.rest()));
    }
    if (absent == fields.rest().end()) record.missing_columns.push_back(column);
  }
  std::string shadowed;
  fields.Rename(columns.row(), &shadowed);
  if (!shadowed.empty() && ignored_keys != nullptr) ignored_keys->insert(shadowed);
}

void ParseTokens(RowFields& fields, Record& record) {
  for (const OrderedJson& id : fields.TakeArray("tokens")) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<int32_t>::max()) {
      BadRow("\"tokens\" must be ids: whole numbers from 0");
    }
    record.tokens.push_back(id.get<int32_t>());
  }
  if (!fields.Has("weights")) {
    fields.Take("weights");
    return;
  }
  for (const OrderedJson& weight : fields.TakeArray("weights")) {
    const float value = weight.is_number() ? weight.get<float>() : -1.0F;
    if (!std::isfinite(value) || value < 0) BadRow("\"weights\" must be finite numbers from 0");
    record.weights.push_back(value);
  }
  if (record.weights.size() != record.tokens.size()) {
    BadRow("{} tokens but {} weights", record.tokens.size(), record.weights.size());
  }
}

void AddMessage(Record& record, const char* role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  message.fields = OrderedJson::object();
  record.messages.push_back(std::move(message));
}

// The row's own "system" comes before its turns, unless they begin with one.
void AddSystem(std::string system, Record& record) {
  if (system.empty()) return;
  const auto turn = std::find_if(record.messages.begin(), record.messages.end(),
                                 [](const Message& message) { return message.role == "system"; });
  if (turn == record.messages.end()) {
    record.messages.insert(record.messages.begin(), {"system", system, OrderedJson::object()});
    ++record.first_trainable;
  } else if (turn->content != system) {
    record.remarks.push_back({"\"system\" of a row is not used where its turns have another one"});
  }
}

void ParseTurnsOf(RowFields& fields, const char* key, const ColumnMap& columns, Record& record) {
  record.messages = ParseTurns(fields.TakeArray(key), columns, &record.remarks);
  if (record.messages.empty()) return;
  AddSystem(fields.TakeOptionalString("system"), record);
  record.first_trainable = 0;
}

void ParsePromptCompletion(RowFields& fields, const ColumnMap& columns, Record& record) {
  const std::string shown_prompt = fields.Shown("prompt");
  const std::string shown_completion = fields.Shown("completion");
  OrderedJson prompt = fields.Take("prompt"), completion = fields.Take("completion");
  if (prompt.is_string() && completion.is_string()) {
    if (!fields.IsEmpty("history")) {
      BadRow(
          "\"history\" beside a prompt and a completion of text is not read; give the turns as "
          "\"messages\", or name the columns as an instruction and its output");
    }
    record.prompt = std::move(prompt.get_ref<std::string&>());
    record.completion = std::move(completion.get_ref<std::string&>());
    return;
  }
  if (prompt.is_array() && completion.is_string()) {
    completion = OrderedJson::array({{{"role", "assistant"}, {"content", std::move(completion)}}});
  }
  if (!prompt.is_array() || !completion.is_array()) {
    BadRow("{} and {} must be two strings or two lists of messages, got {} and {}", shown_prompt,
           shown_completion, prompt.type_name(), completion.type_name());
  }
  if (completion.empty()) BadRow("{} is empty", shown_completion);
  record.first_trainable = static_cast<int64_t>(prompt.size());
  for (OrderedJson& message : completion) prompt.push_back(std::move(message));
  record.messages = ParseTurns(std::move(prompt), columns, &record.remarks);
  AddSystem(fields.TakeOptionalString("system"), record);
}

void ParseAlpaca(RowFields& fields, const ColumnMap& columns, Record& record) {
  std::string system = fields.TakeOptionalString("system");
  std::string question = fields.TakeString("instruction");
  const std::string input = fields.TakeOptionalString("input");
  if (!system.empty()) AddMessage(record, "system", std::move(system));
  for (Message& turn : ParseHistory(fields.Take("history"), columns, &record.remarks)) {
    record.messages.push_back(std::move(turn));
  }
  if (!input.empty()) question += (question.empty() ? "" : "\n\n") + input;
  AddMessage(record, "user", std::move(question));
  AddMessage(record, "assistant", fields.TakeString("output"));
}

// Variables that a row has for the chat template, besides its messages.
void ParseForTemplate(RowFields& fields, Record& record) {
  record.tools = ParseTools(fields.Take("tools"), "tools", record.format == Format::kShareGpt);
  if (record.tools.is_null()) {
    record.tools = ParseTools(fields.Take("functions"), "functions", /*wrap=*/true);
  }
  OrderedJson variables = DecodedJson(fields.Take("chat_template_kwargs"));
  if (!IsEmptyJson(variables) && !variables.is_object()) {
    BadRow("\"chat_template_kwargs\" must be an object");
  }
  if (!fields.IsEmpty("documents") && fields.At("documents").is_array()) {  // for retrieval
    if (!variables.is_object()) variables = OrderedJson::object();
    OrderedJson documents = fields.Take("documents");
    if (!variables.contains("documents")) variables["documents"] = std::move(documents);
  }
  if (!IsEmptyJson(variables)) record.template_variables = std::move(variables);
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

Record ParseRecord(const Row& row, std::set<std::string>* ignored_keys, const ColumnMap& columns) {
  Record record;
  record.line = row.line;
  RowFields fields = ParseRow(row, columns);
  TakeColumns(fields, columns, record, ignored_keys);
  std::optional<Format> format = FormatOf(fields, columns);
  if (!format && !columns.NamesAFormat()) format = TakeFrequentNames(fields, &record.taken);
  if (!format) FailUnknownFormat(fields.rest());
  record.format = *format;
  switch (*format) {
    case Format::kTokens:
      ParseTokens(fields, record);
      break;
    case Format::kMessages:
      ParseTurnsOf(fields, "messages", columns, record);
      break;
    case Format::kShareGpt:
      ParseTurnsOf(fields, "conversations", columns, record);
      break;
    case Format::kPromptCompletion:
      ParsePromptCompletion(fields, columns, record);
      break;
    case Format::kAlpaca:
      ParseAlpaca(fields, columns, record);
      break;
    case Format::kText:
      record.text = fields.TakeString("text");
      break;
  }
  if (!record.messages.empty()) ParseForTemplate(fields, record);
  if (ignored_keys != nullptr) {
    for (const auto& [key, value] : fields.rest().items()) {
      if (!IsEmptyJson(value)) ignored_keys->insert(Printable(key));
    }
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
        BadRow("a row of format {} in a file of format {}", FormatName(records.back().format),
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
