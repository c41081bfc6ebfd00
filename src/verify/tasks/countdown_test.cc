#include <gtest/gtest.h>

#include <algorithm>

#include "verify/expression_value.h"
#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(CountdownTask, ChecksTheExpressionNotTheText) {
  const Problem problem =
      ProblemOf("countdown", "(3 + 5) * 2", {{"numbers", {3, 5, 2, 8}}, {"target", 16}});
  ExpectVerdicts(problem, {
                              {"(3 + 5) * 2", kRight},
                              {"2*(5+3)", kRight},
                              {"8 * 2", kRight},  // not all numbers need be used
                              {"(3 + 5) * 2 = 16", kRight},
                              {"16 = 8 * 2", kRight},
                              {"8 + 5 + 3 = 8 * 2 = 16", kRight},  // all sides are right
                              {"8 × 2", kRight},
                              {"8 x 2", kRight},
                              {"(3+5)x2", kRight},
                              {"$8 \\times 2 = 16$", kRight},
                              {"8 ÷ (3 − 2) + 5 + 3", kFalse},  // 3 occurs once
                              {"**8 * 2**", kRight},
                              {"- 8 * 2", kRight},  // a list's dash
                              {"The answer is (3 + 5) * 2.", kRight},
                              {"Answer: 8*2 = 16, since 8 is there.", kRight},
                              {"\\boxed{8 \\cdot 2}", kRight},
                              {"3 + 5 = 8\n8 * 2 = 16", kRight},  // the last line is whole
                              {"First try: 3 * 5 = 15. No.\n8 * 2", kRight},
                              {"<answer>8 * 2</answer>", kRight},
                              {"8 - -8", kFalse},
                              {"16", kFalse},
                              {"16 = 16", kFalse},
                              {"8 + 8", kFalse},
                              {"(3 + 5) * 2 * 1", kFalse},
                              {"35 - 8", kFalse},
                              {"2 * 8.0", kFalse},
                              {"8 * 2 = 17", kFalse},
                              {"8 * 3", kFalse},
                              {"8 * 2 or 3 + 5", kFalse},
                              {"8 ** 2", kFalse},
                              {"2(3 + 5)", kFalse},
                              {"8 * 2 +", kFalse},
                              {"(8 * 2", kFalse},
                              {"8 / (5 - 3 - 2)", kFalse},
                              {"<think>8 * 2", kFalse},
                              {"", kFalse},
                              {"8 * 2 = " + std::string(1 << 20, '('), kFalse},
                              {Repeated("8 * ", 100'000) + "2", kFalse},
                          });
  ExpectVerdicts(ProblemOf("countdown", "8 / 4", {{"numbers", {8, 4}}, {"target", 2}}),
                 {{"8/4", kRight}, {"8 : 4", kFalse}, {"\\frac{8}{4}", kFalse}});
  ExpectVerdicts(
      ProblemOf("countdown", "8 / (3 - 8 / 3)", {{"numbers", {8, 8, 3, 3}}, {"target", 24}}),
      {{"8 / (3 - 8 / 3)", kRight}, {"8 / (3 - 2.6667)", kFalse}});
}

TEST(CountdownTask, TargetsAreReachedAndNotGiven) {
  for (int difficulty = 2; difficulty <= 6; ++difficulty) {
    for (uint64_t index = 0; index < 100; ++index) {
      const Problem problem = GetTask("countdown").make(3, index, difficulty);
      const int64_t target = problem.data["target"];
      const auto numbers = problem.data["numbers"].get<std::vector<int64_t>>();
      EXPECT_EQ(numbers.size(), static_cast<size_t>(difficulty));
      EXPECT_EQ(std::count(numbers.begin(), numbers.end(), target), 0);
      EXPECT_GE(target, 1);
      EXPECT_LE(target, 999);
      EXPECT_EQ(EvaluateExpression(problem.answer).value->ToString(), std::to_string(target));
    }
  }
}

}  // namespace
}  // namespace lorikeet
