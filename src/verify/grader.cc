#include "verify/grader.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <exception>

#include "core/error.h"
#include "core/suggest.h"
#include "core/text.h"
#include "verify/math/grader.h"

namespace lorikeet {
namespace {

struct GraderRow {
  const char* name;
  std::vector<std::string> options;
  Grade (*grade)(std::string_view answer, std::string_view completion, const GraderOptions&);
  // Why `answer` is no reference for the grader; "" if it is one.
  std::string (*unusable)(std::string_view answer, const GraderOptions&);
};

Grade GradeMathRow(std::string_view answer, std::string_view completion, const GraderOptions&) {
  return GradeMath(answer, completion);
}

Grade GradeNone(std::string_view, std::string_view, const GraderOptions&) {
  return Grade::Invalid("the grader 'none' leaves judging to an external reward");
}

// For graders whose verdict on any completion tells.
template <Grade (*kGrade)(std::string_view, std::string_view, const GraderOptions&)>
std::string UnusableFor(std::string_view answer, const GraderOptions& options) {
  const Grade grade = kGrade(answer, answer, options);
  return grade.verdict == Verdict::kInvalid ? grade.reason : "";
}

std::string UnusableForGsm8k(std::string_view answer, const GraderOptions& options) {
  std::string reason = UnusableFor<GradeGsm8k>(answer, options);
  if (!reason.empty() || !HasOption(options, "strict")) return reason;
  constexpr std::string_view kHashes = "####";
  const size_t at = answer.rfind(kHashes);
  const std::string_view gold =
      Trimmed(at == std::string_view::npos ? answer : answer.substr(at + kHashes.size()));
  const std::string completion = fmt::format("{} {}", kHashes, gold);
  if (GradeGsm8k(answer, completion, options).verdict == Verdict::kCorrect) return "";
  return fmt::format("the reference {} is not of digits, '.' and ',' alone, and no other is found",
                     Quoted(gold));
}

std::string UnusableForExact(std::string_view answer, const GraderOptions& options) {
  const Grade grade = GradeExact(answer, answer, options);
  if (grade.verdict == Verdict::kWrong) {
    return fmt::format(
        "no completion is the reference {}: thinking and tokens that end a turn are not compared",
        Quoted(answer));
  }
  return grade.verdict == Verdict::kInvalid ? grade.reason : "";
}

std::string UnusableForMath(std::string_view answer, const GraderOptions&) {
  return UnusableMathReference(answer);
}

std::string NeverUnusable(std::string_view, const GraderOptions&) { return ""; }

const std::vector<GraderRow>& Rows() {
  static const std::vector<GraderRow> rows = {
      {"gsm8k", {"strict"}, GradeGsm8k, UnusableForGsm8k},
      {"math", {}, GradeMathRow, UnusableForMath},
      {"exact", {"ignore_case", "keep_space"}, GradeExact, UnusableForExact},
      {"regex", {"full"}, GradeRegex, UnusableFor<GradeRegex>},
      {"choice", {}, GradeChoice, UnusableFor<GradeChoice>},
      {"none", {}, GradeNone, NeverUnusable},
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
  const std::string reason = choice.row->unusable(answer, choice.options);
  if (reason.empty()) return;
  Fail(ErrorCode::kInvalidArgument, "\"answer\" does not suit grader '{}': {}", grader, reason);
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
