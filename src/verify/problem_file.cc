#include "verify/problem_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <set>

#include "core/error.h"
#include "data/conversation.h"
#include "data/row_fields.h"
#include "verify/grader.h"

namespace lorikeet {
namespace {

template <class... Args>
[[noreturn]] void Bad(fmt::format_string<Args...> format, Args&&... args) {
  Fail(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

constexpr std::array<std::string_view, 7> kNames = {
    "messages", "prompt", "answer", "grader", "id", "tools", "chat_template_kwargs"};
// Columns whose absence from a row is no fault, even if they are named.
constexpr std::array<const char*, 5> kMayBeAbsent = {"answer", "grader", "id", "tools",
                                                     "chat_template_kwargs"};

// A null counts as absent: tables exported to JSONL have every column in every row.
OrderedJson Take(OrderedJson& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end()) return nullptr;
  OrderedJson value = std::move(*found);
  row.erase(found);
  return value;
}

OrderedJson ParseRow(std::string_view text) {
  OrderedJson row;
  try {
    row = ParseOrderedJson(text, "row");
  } catch (const Error& error) {
    std::string what = error.what();
    const size_t at = what.find("column ");
    Bad("not valid JSON: {}{}", at == std::string::npos ? what : what.substr(at),
        text == "{" ? "; in JSONL each row is one line" : "");
  }
  if (!row.is_object()) Bad("expected a JSON object, got {}", row.type_name());
  return row;
}

// The columns of one row, by the names that the user gave them.
class Columns {
 public:
  Columns(OrderedJson row, const ColumnMap& names) : row_(std::move(row)), names_(names) {}

  bool Named(const char* name) const { return names_.Maps(name); }
  bool Has(const char* name) const {
    const auto found = row_.find(names_.ColumnOf(name));
    return found != row_.end() && !found->is_null();
  }
  OrderedJson Take(const char* name) { return lorikeet::Take(row_, names_.ColumnOf(name).c_str()); }
  // Throws Error if the user named a column that the row lacks.
  void Require(const char* name) const {
    if (!Named(name) || Has(name)) return;
    Bad("no column \"{}\", which data_columns names as \"{}\" (the row's keys: {})",
        Printable(names_.ColumnOf(name)), name, Keys());
  }
  [[noreturn]] void FailWithoutPrompt() const {
    bool others = false;
    for (const auto& [key, value] : row_.items()) {
      others |= std::find(kNames.begin(), kNames.end(), key) == kNames.end();
    }
    const std::string hint =
        others ? fmt::format(
                     " (the row's keys: {}); columns of other names can be named: "
                     "--data-columns prompt=COLUMN,answer=COLUMN",
                     Keys())
               : "";
    Bad("no \"prompt\" and no \"messages\"{}", hint);
  }
  // The column as messages show it: "\"prompt\"", "\"task\" (taken as prompt)".
  std::string Shown(const char* name) const {
    if (!Named(name)) return fmt::format("\"{}\"", name);
    return fmt::format("\"{}\" (taken as {})", Printable(names_.ColumnOf(name)), name);
  }
  const ColumnMap& names() const { return names_; }
  OrderedJson Rest() { return std::move(row_); }

 private:
  std::string Keys() const {
    std::string keys;
    for (const auto& [key, value] : row_.items()) {
      if (keys.size() > 80) break;
      keys += (keys.empty() ? "" : ", ") + Printable(key);
    }
    return keys.empty() ? "none" : keys;
  }

  OrderedJson row_;
  const ColumnMap& names_;
};

OrderedJson TakePrompt(Columns& columns) {
  columns.Require("messages");
  columns.Require("prompt");
  const bool named = columns.Named("messages") || columns.Named("prompt");
  for (const char* key : {"messages", "prompt", "question", "problem"}) {
    if (named && !columns.Named(key)) continue;
    const std::string shown = columns.Shown(key);
    OrderedJson value = columns.Take(key);
    if (value.is_null()) continue;
    if (value.is_string() && std::string_view(key) != "messages") {
      if (value.get_ref<const std::string&>().empty()) Bad("{} is empty", shown);
      return OrderedJson::array({{{"role", "user"}, {"content", std::move(value)}}});
    }
    if (!value.is_array()) Bad("{} must be a list of messages, got {}", shown, value.type_name());
    return value;
  }
  columns.FailWithoutPrompt();
}

// Uses the reader of training data, so that both accept the same messages.
Record ParseConversation(Columns& columns) {
  OrderedJson conversation = {{"messages", TakePrompt(columns)}};
  for (const char* key : {"tools", "chat_template_kwargs"}) {
    OrderedJson value = columns.Take(key);
    if (!value.is_null()) conversation[key] = std::move(value);
  }
  std::string text;
  try {
    text = conversation.dump();
  } catch (const OrderedJson::exception&) {
    Bad("invalid UTF-8; save the file as UTF-8");
  }
  Record record = ParseRecord({text, 0}, nullptr, columns.names().OfMessages());
  if (record.messages.back().role == "assistant") {
    Bad("the last message is the assistant's; leave it out, its content may be the \"answer\"");
  }
  return record;
}

// Numbers and booleans as JSON writes them: an answer of 42 is the text "42".
std::string TakeText(Columns& columns, const char* key) {
  const std::string shown = columns.Shown(key);
  OrderedJson value = columns.Take(key);
  if (value.is_null()) return {};
  if (value.is_string()) return std::move(value.get_ref<std::string&>());
  if (!value.is_number() && !value.is_boolean()) {
    Bad("{} must be a string or a number, got {}", shown, value.type_name());
  }
  return value.dump();
}

Problem ParseProblem(const Row& row, const std::string& task, std::string_view grader,
                     const ColumnMap& names, std::set<std::string>* absent) {
  Columns columns(ParseRow(row.text), names);
  for (const char* name : kMayBeAbsent) {
    if (columns.Has(name)) absent->erase(name);
  }
  Problem problem;
  problem.task = task;
  problem.grader = TakeText(columns, "grader");
  if (problem.grader.empty()) problem.grader = grader;
  Record record = ParseConversation(columns);
  problem.messages = std::move(record.messages);
  problem.tools = std::move(record.tools);
  problem.template_variables = std::move(record.template_variables);
  const bool answered = columns.Has("answer");
  if (problem.grader != "none") columns.Require("answer");
  problem.answer = TakeText(columns, "answer");
  if (!answered && problem.grader != "none") {
    Bad("no \"answer\"; without one only the grader 'none' is of use");
  }
  CheckReference(problem.grader, problem.answer);
  problem.id = TakeText(columns, "id");
  if (problem.id.empty()) problem.id = fmt::format("{}:{}", task, row.line);
  problem.data = Json(columns.Rest());
  return problem;
}

// Columns that the user named and that no row has been seen to have.
std::set<std::string> NamedColumns(const ColumnMap& columns) {
  std::set<std::string> names;
  for (const char* name : kMayBeAbsent) {
    if (columns.Maps(name)) names.insert(name);
  }
  return names;
}

}  // namespace

std::vector<Problem> LoadTaskFile(const std::string& path, std::string_view grader,
                                  const ColumnMap& columns) {
  CheckGrader(grader);
  const RowFile file(path);
  const std::string task = std::filesystem::path(path).filename().string();
  std::vector<Problem> problems;
  std::set<std::string> absent = NamedColumns(columns);
  RowErrors errors;
  for (const Row& row : file.rows()) {
    try {
      problems.push_back(ParseProblem(row, task, grader, columns, &absent));
    } catch (const Error& error) {
      errors.Add(row.line, error.what());
      if (errors.enough()) break;
    }
  }
  errors.ThrowIfAny(path);
  if (!absent.empty()) {
    Bad("{}: no row has the column \"{}\" that data_columns names", path,
        columns.ColumnOf(*absent.begin()));
  }
  return problems;
}

std::vector<Problem> LoadTaskFiles(std::span<const std::string> paths, std::string_view grader,
                                   const ColumnMap& columns) {
  std::vector<Problem> problems;
  for (const std::string& path : paths) {
    std::vector<Problem> more = LoadTaskFile(path, grader, columns);
    std::move(more.begin(), more.end(), std::back_inserter(problems));
  }
  return problems;
}

}  // namespace lorikeet
