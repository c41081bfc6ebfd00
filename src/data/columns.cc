#include "data/columns.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace lorikeet {
namespace {

constexpr std::array<std::string_view, 8> kRequired = {
    "messages", "conversations", "prompt", "completion", "text", "instruction", "output", "tokens"};
constexpr std::array<std::string_view, 6> kOptional = {"input", "system",  "history",
                                                       "tools", "weights", "chat_template_kwargs"};
constexpr std::array<std::string_view, 7> kOfProblems = {
    "messages", "prompt", "answer", "grader", "id", "tools", "chat_template_kwargs"};
constexpr std::array<std::string_view, 4> kOfMessages = {"role", "content", "from", "value"};

template <class Names>
bool Among(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void FailUnknownName(std::string_view name, RowKind kind) {
  const bool problems = kind == RowKind::kProblems;
  Fail(ErrorCode::kInvalidArgument,
       "data_columns: {} has a \"{}\"; the names are {}, and role, content, from, value within "
       "messages",
       problems ? "no problem" : "no format", name,
       problems ? "messages, prompt, answer, grader, id, tools, chat_template_kwargs"
                : "messages, conversations, prompt, completion, text, instruction, input, output, "
                  "system, history, tools, tokens, weights, chat_template_kwargs");
}

}  // namespace

ColumnMap::ColumnMap(const std::vector<std::string>& items, RowKind kind) {
  for (const std::string& item : items) {
    const size_t equals = item.find('=');
    const std::string name = item.substr(0, equals);
    if (equals == std::string::npos || equals == 0 || equals + 1 == item.size()) {
      Fail(ErrorCode::kInvalidArgument,
           "data_columns: \"{}\" is no pair; write NAME=COLUMN, e.g. prompt=question", item);
    }
    const bool of_message = Among(kOfMessages, name);
    const bool of_row = kind == RowKind::kProblems
                            ? Among(kOfProblems, name)
                            : Among(kRequired, name) || Among(kOptional, name);
    if (!of_message && !of_row) FailUnknownName(name, kind);
    auto& columns = of_message ? message_ : row_;
    if (!columns.emplace(name, item.substr(equals + 1)).second) {
      Fail(ErrorCode::kInvalidArgument, "data_columns: \"{}\" is given twice", name);
    }
  }
}

ColumnMap ColumnMap::OfMessages() const {
  ColumnMap columns;
  columns.message_ = message_;
  return columns;
}

bool ColumnMap::NamesAFormat() const {
  return std::any_of(row_.begin(), row_.end(),
                     [](const auto& pair) { return IsRequiredColumn(pair.first); });
}

bool IsRequiredColumn(std::string_view name) { return Among(kRequired, name); }

}  // namespace lorikeet
