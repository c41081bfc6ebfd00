#include <gtest/gtest.h>

#include <cstdio>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(BaseTask, ReadsDigitsOfTheBase) {
  ExpectVerdicts(ProblemOf("base", "1101", {{"base", 2}}),
                 {{"1101", kRight},
                  {"**1101**", kRight},
                  {"0b1101", kRight},
                  {"00001101", kRight},
                  {"1101_2", kRight},
                  {"$1101_{2}$", kRight},
                  {"1101₂", kRight},
                  {"(1101)_2", kRight},
                  {"13 in base 2 is 1101.", kRight},
                  {"13 = 1101 in base 2", kRight},
                  {"1101 in base 2", kRight},
                  {"13 / 2 = 6\n6 / 2 = 3\nBinary: 1101", kRight},
                  {"```\n1101\n```", kRight},
                  {"Answer: 1101 (base 2)", kRight},
                  {"\\boxed{1101}", kRight},
                  {"1011", kFalse},
                  {"11010", kFalse},
                  {"13", kFalse},
                  {"1101 or 1011", kFalse},
                  {"1101 0000", kFalse},
                  {"-1101", kRight},  // the dash is that of a list
                  {"0x1101", kFalse},
                  {"1102", kFalse},
                  {"", kFalse},
                  {std::string(1 << 20, '1'), kFalse}});
  ExpectVerdicts(ProblemOf("base", "fa", {{"base", 16}}), {{"fa", kRight},
                                                           {"FA", kRight},
                                                           {"0xFA", kRight},
                                                           {"250 is FA.", kRight},
                                                           {"Answer: FA", kRight},
                                                           {"af", kFalse},
                                                           {"250", kFalse}});
  ExpectVerdicts(
      ProblemOf("base", "1234", {{"base", 10}}),
      {{"1234", kRight}, {"1,234", kRight}, {"4d2 in base 16 is 1234", kRight}, {"4d2", kFalse}});
  ExpectVerdicts(ProblemOf("base", "0", {{"base", 2}}),
                 {{"0", kRight}, {"0b0", kRight}, {"000", kRight}, {"0b", kFalse}, {"1", kFalse}});
}

TEST(BaseTask, TheReferenceIsTheSameNumber) {
  for (int difficulty = 1; difficulty <= 12; ++difficulty) {
    for (uint64_t index = 0; index < 20; ++index) {
      const Problem problem = GetTask("base").make(0, index, difficulty);
      char digits[32];
      int from = 0, to = 0;
      ASSERT_EQ(std::sscanf(problem.messages[0].content.c_str(),
                            "Convert %31s from base %d to base %d.", digits, &from, &to),
                3);
      EXPECT_EQ(std::stoll(digits, nullptr, from), std::stoll(problem.answer, nullptr, to));
      EXPECT_NE(from, to);
      EXPECT_EQ(problem.data["base"], to);
    }
  }
}

}  // namespace
}  // namespace lorikeet
