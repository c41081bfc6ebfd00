// Graders of data-set tasks: they compare a completion with the reference answer of a row.
// docs/rl_tasks.md states the rules of each.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "verify/task.h"

namespace lorikeet {

// Changes whenever a verdict of gsm8k, exact, regex or choice may change.
inline constexpr int kGraderVersion = 1;

// A grader is named with its options: "gsm8k", "gsm8k:strict", "exact:ignore_case,keep_space".
//   gsm8k   a number                         strict
//   math    mathematics (verify/math/grader.h)
//   exact   the same text                    ignore_case, keep_space
//   regex   a pattern found in the text      full
//   choice  a letter
//   none    not graded here: rewards come from outside
std::vector<std::string> GraderNames();

// Throws Error(kInvalidArgument) that names the nearest grader or option.
void CheckGrader(std::string_view grader);
// Throws Error(kInvalidArgument) with the reason why `answer` is not a reference for `grader`,
// without the place: it cannot be read, or no completion can be correct.
void CheckReference(std::string_view grader, std::string_view answer);

// Grades a completion by problem.grader: a generated task or one of the above. Does not throw for
// any completion or reference.
Grade GradeCompletion(const Problem& problem, std::string_view completion);

// The graders themselves. Each may throw Error, which GradeCompletion makes kInvalid. An unusable
// reference is kInvalid whatever the completion.
using GraderOptions = std::vector<std::string>;
bool HasOption(const GraderOptions& options, std::string_view name);
Grade GradeGsm8k(std::string_view answer, std::string_view completion, const GraderOptions&);
Grade GradeExact(std::string_view answer, std::string_view completion, const GraderOptions&);
Grade GradeRegex(std::string_view answer, std::string_view completion, const GraderOptions&);
Grade GradeChoice(std::string_view answer, std::string_view completion, const GraderOptions&);

}  // namespace lorikeet
