#include "verify/problem_file.h"

#include <fmt/core.h>

#include <array>
#include <filesystem>
#include <iterator>

#include "core/error.h"
#include "data/conversation.h"
#include "verify/grader.h"

namespace lorikeet {
namespace {

template <class... Args>
[[noreturn]] void Bad(fmt::format_string<Args...> format, Args&&... args) {
  Fail(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

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

OrderedJson TakePrompt(OrderedJson& row) {
  for (const char* key : {"messages", "prompt", "question", "problem"}) {
    OrderedJson value = Take(row, key);
    if (value.is_null()) continue;
    if (value.is_string() && std::string_view(key) != "messages") {
      if (value.get_ref<const std::string&>().empty()) Bad("\"{}\" is empty", key);
      return OrderedJson::array({{{"role", "user"}, {"content", std::move(value)}}});
    }
    if (!value.is_array()) Bad("\"{}\" must be a list of messages, got {}", key, value.type_name());
    return value;
  }
  Bad("no \"prompt\" and no \"messages\"");
}

// Uses the reader of training data, so that both accept the same messages.
Record ParseConversation(OrderedJson& row) {
  OrderedJson conversation = {{"messages", TakePrompt(row)}};
  for (const char* key : {"tools", "chat_template_kwargs"}) {
    OrderedJson value = Take(row, key);
    if (!value.is_null()) conversation[key] = std::move(value);
  }
  std::string text;
  try {
    text = conversation.dump();
  } catch (const OrderedJson::exception&) {
    Bad("invalid UTF-8; save the file as UTF-8");
  }
  Record record = ParseRecord({text, 0});
  if (record.messages.back().role == "assistant") {
    Bad("the last message is the assistant's; leave it out, its content may be the \"answer\"");
  }
  return record;
}

// Numbers and booleans as JSON writes them: an answer of 42 is the text "42".
std::string TakeText(OrderedJson& row, const char* key) {
  OrderedJson value = Take(row, key);
  if (value.is_null()) return {};
  if (value.is_string()) return std::move(value.get_ref<std::string&>());
  if (!value.is_number() && !value.is_boolean()) {
    Bad("\"{}\" must be a string or a number, got {}", key, value.type_name());
  }
  return value.dump();
}

Problem ParseProblem(const Row& row, const std::string& task, std::string_view grader) {
  OrderedJson json = ParseRow(row.text);
  Problem problem;
  problem.task = task;
  problem.grader = TakeText(json, "grader");
  if (problem.grader.empty()) problem.grader = grader;
  Record record = ParseConversation(json);
  problem.messages = std::move(record.messages);
  problem.tools = std::move(record.tools);
  problem.template_variables = std::move(record.template_variables);
  const bool answered = json.contains("answer") && !json["answer"].is_null();
  problem.answer = TakeText(json, "answer");
  if (!answered && problem.grader != "none") {
    Bad("no \"answer\"; without one only the grader 'none' is of use");
  }
  CheckReference(problem.grader, problem.answer);
  problem.id = TakeText(json, "id");
  if (problem.id.empty()) problem.id = fmt::format("{}:{}", task, row.line);
  problem.data = Json(json);
  return problem;
}

}  // namespace

std::vector<Problem> LoadTaskFile(const std::string& path, std::string_view grader) {
  CheckGrader(grader);
  const RowFile file(path);
  const std::string task = std::filesystem::path(path).filename().string();
  std::vector<Problem> problems;
  RowErrors errors;
  for (const Row& row : file.rows()) {
    try {
      problems.push_back(ParseProblem(row, task, grader));
    } catch (const Error& error) {
      errors.Add(row.line, error.what());
      if (errors.enough()) break;
    }
  }
  errors.ThrowIfAny(path);
  return problems;
}

std::vector<Problem> LoadTaskFiles(std::span<const std::string> paths, std::string_view grader) {
  std::vector<Problem> problems;
  for (const std::string& path : paths) {
    std::vector<Problem> more = LoadTaskFile(path, grader);
    std::move(more.begin(), more.end(), std::back_inserter(problems));
  }
  return problems;
}

}  // namespace lorikeet
