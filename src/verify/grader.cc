#include "verify/grader.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <exception>

#include "core/error.h"
#include "core/suggest.h"
#include "verify/math/grader.h"

namespace lorikeet {
namespace {

struct GraderRow {
  const char* name;
  std::vector<std::string> options;
  Grade (*grade)(std::string_view answer, std::string_view completion, const GraderOptions&);
};

Grade GradeMathRow(std::string_view answer, std::string_view completion, const GraderOptions&) {
  return GradeMath(answer, completion);
}

Grade GradeNone(std::string_view, std::string_view, const GraderOptions&) {
  return Grade::Invalid("the grader 'none' leaves judging to an external reward");
}

const std::vector<GraderRow>& Rows() {
  static const std::vector<GraderRow> rows = {
      {"gsm8k", {"strict"}, GradeGsm8k},
      {"math", {}, GradeMathRow},
      {"exact", {"ignore_case", "keep_space"}, GradeExact},
      {"regex", {"full"}, GradeRegex},
      {"choice", {}, GradeChoice},
      {"none", {}, GradeNone},
  };
  return rows;
}

struct Choice {
  const GraderRow* row;
  GraderOptions options;
};

// Throws for an unknown name or option.
Choice ChosenGrader(std::string_view grader) {
  const size_t colon = grader.find(':');
  const std::string_view name = grader.substr(0, colon);
  const auto row = std::ranges::find(Rows(), name, &GraderRow::name);
  if (row == Rows().end()) {
    const std::string hint = DidYouMean(name, GraderNames());
    Fail(ErrorCode::kInvalidArgument, "no grader '{}'{}", name,
         hint.empty() ? "; there are gsm8k, math, exact, regex, choice and none" : hint);
  }
  Choice choice = {&*row, {}};
  std::string_view rest = colon == std::string_view::npos ? "" : grader.substr(colon + 1);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string option(rest.substr(0, comma));
    if (std::ranges::count(row->options, option) == 0) {
      Fail(ErrorCode::kInvalidArgument, "grader '{}' has no option '{}'{}", name, option,
           DidYouMean(option, row->options));
    }
    choice.options.push_back(option);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
  }
  return choice;
}

}  // namespace

bool HasOption(const GraderOptions& options, std::string_view name) {
  return std::ranges::count(options, name) > 0;
}

std::vector<std::string> GraderNames() {
  std::vector<std::string> names;
  for (const GraderRow& row : Rows()) names.emplace_back(row.name);
  return names;
}

void CheckGrader(std::string_view grader) { ChosenGrader(grader); }

void CheckReference(std::string_view grader, std::string_view answer) {
  const Choice choice = ChosenGrader(grader);
  if (choice.row->grade == GradeNone) return;
  const Grade grade = choice.row->grade(answer, answer, choice.options);
  if (grade.verdict == Verdict::kInvalid) {
    Fail(ErrorCode::kInvalidArgument, "\"answer\" does not suit grader '{}': {}", grader,
         grade.reason);
  }
}

Grade GradeCompletion(const Problem& problem, std::string_view completion) {
  try {
    if (const Task* task = FindTask(problem.grader)) return task->grade(problem, completion);
    const Choice choice = ChosenGrader(problem.grader);
    return choice.row->grade(problem.answer, completion, choice.options);
  } catch (const std::exception& error) {  // budget exhausted, or an unknown grader
    return Grade::Invalid(fmt::format("{}: {}", problem.id, error.what()));
  }
}

}  // namespace lorikeet
