// Test helpers: tables of completions with their expected verdicts.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "verify/grader.h"
#include "verify/task.h"

namespace lorikeet {

struct VerdictRow {
  std::string completion;
  Verdict verdict;
};

inline constexpr Verdict kRight = Verdict::kCorrect, kFalse = Verdict::kWrong;

inline void ExpectVerdicts(const Problem& problem, const std::vector<VerdictRow>& rows) {
  for (const VerdictRow& row : rows) {
    const Grade grade = GradeCompletion(problem, row.completion);
    EXPECT_STREQ(VerdictName(grade.verdict), VerdictName(row.verdict))
        << "'" << row.completion.substr(0, 200) << "' for '" << problem.answer
        << "': " << grade.reason;
    EXPECT_EQ(grade.reward, grade.verdict == Verdict::kCorrect ? 1 : 0);
    EXPECT_EQ(grade.reason.find('\n'), std::string::npos) << grade.reason;
  }
}

inline Problem ProblemOf(const char* grader, std::string answer, Json data = Json::object()) {
  Problem problem;
  problem.task = problem.grader = grader;
  problem.answer = std::move(answer);
  problem.data = std::move(data);
  return problem;
}

inline std::string Repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// Long texts with many candidates for each rule. A grader that takes more than linear time for one
// of them hangs the tests.
inline std::vector<std::string> HostileCompletions() {
  return {std::string(1 << 18, '('),     std::string(1 << 18, '{'),
          std::string(1 << 18, '['),     std::string(1 << 18, '\\'),
          Repeated("\\boxed{", 12'500),  Repeated("answer: ", 12'500),
          std::string(1 << 18, '\0'),    Repeated("<answer>", 12'500),
          Repeated("\"a\":", 12'500),    Repeated("\xF0\x9F", 9999),
          Repeated("1 2 3 4\n", 12'500), Repeated("####", 12'500),
          Repeated("=1", 12'500),        Repeated("1/", 12'500),
          Repeated("<think>", 12'500),   Repeated("answer: 3*x=1 ", 12'500),
          Repeated("1e400/3 ", 12'500),  Repeated("9+", 12'500),
          Repeated("A) ", 12'500)};
}

}  // namespace lorikeet
