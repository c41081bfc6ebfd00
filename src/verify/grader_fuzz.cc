// libFuzzer target: a reference and a completion of any bytes, separated by the first line break,
// get a verdict from every grader; every generated task grades the completion.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "verify/grader.h"

namespace lorikeet {
namespace {

std::vector<Problem> GeneratedProblems() {
  std::vector<Problem> problems;
  for (const Task& task : GeneratedTasks()) {
    for (int difficulty = task.min_difficulty;
         difficulty <= std::min(task.max_difficulty, task.min_difficulty + 6); ++difficulty) {
      problems.push_back(task.make(0, 0, difficulty));
    }
  }
  return problems;
}

void CheckGrade(const Problem& problem, std::string_view completion) {
  const Grade grade = GradeCompletion(problem, completion);
  CHECK(grade.reward == (grade.verdict == Verdict::kCorrect ? 1 : 0));
  CHECK(grade.reason.find('\n') == std::string::npos);
}

void GradeByGraders(std::string_view reference, std::string_view completion) {
  for (const char* grader : {"gsm8k", "gsm8k:strict", "exact", "exact:ignore_case,keep_space",
                             "regex", "regex:full", "choice"}) {
    Problem problem;
    problem.grader = grader;
    problem.answer = reference;
    CheckGrade(problem, completion);
  }
}

}  // namespace
}  // namespace lorikeet

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  static const std::vector<Problem> problems = GeneratedProblems();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), size);
  const std::string_view completion = input.substr(std::min(end + 1, size));
  GradeByGraders(input.substr(0, end), completion);
  for (const Problem& problem : problems) CheckGrade(problem, completion);
  return 0;
}
