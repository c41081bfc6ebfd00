#include <gtest/gtest.h>

#include <cstdio>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(EquationTask, ReadsTheValueOfX) {
  ExpectVerdicts(ProblemOf("equation", "5"),
                 {{"5", kRight},
                  {"x = 5", kRight},
                  {"x=5.", kRight},
                  {"\\(x = 5\\)", kRight},
                  {"3x + 5 = 20\n3x = 15\nx = 15 / 3 = 5\nCheck: 3 * 5 + 5 = 20", kRight},
                  {"x = 5.0", kRight},
                  {"5 = x, so x is 5", kRight},
                  {"Answer: x = 5", kRight},
                  {"x = 15/3", kFalse},  // an unevaluated division
                  {"x = 5/1", kFalse},
                  {"x = 15 / 3", kFalse},
                  {"x = -5", kFalse},
                  {"3x = 5", kRight},  // no "x =": the last number counts
                  {"x = 5 or x = 6", kFalse},
                  {"x > 5", kFalse},
                  {"x = 6", kFalse},
                  {"", kFalse}});
}

TEST(EquationTask, ReadsFractions) {
  ExpectVerdicts(ProblemOf("equation", "-7/2"), {{"-7/2", kRight},
                                                 {"x = -\\frac{7}{2}", kRight},
                                                 {"x = \u22123.5", kRight},
                                                 {"x = - 7/2", kRight},
                                                 {"\\boxed{-\\dfrac{7}{2}}", kRight},
                                                 {"x = \\frac{-7}{2}", kRight},
                                                 {"-14/4", kFalse},
                                                 {"7/2", kFalse},
                                                 {"-3 1/2", kFalse},
                                                 {"-3\\frac{1}{2}", kFalse},
                                                 {"-7/0", kFalse},
                                                 {"-3.49", kFalse}});
  ExpectVerdicts(ProblemOf("equation", "1/3"), {{"1/3", kRight}, {"0.333333333", kFalse}});
}

// Puts the solution into both sides, which are of the form "ax + b".
TEST(EquationTask, TheReferenceSolvesTheEquation) {
  for (uint64_t index = 0; index < 50; ++index) {
    const Problem problem = GetTask("equation").make(0, index, 2);
    const std::string& prompt = problem.messages[0].content;
    int64_t a = 0, b = 0, c = 0;
    ASSERT_EQ(std::sscanf(prompt.c_str(), "Solve %ldx + %ld = %ld.", &a, &b, &c), 3) << prompt;
    EXPECT_EQ(a * std::stoll(problem.answer) + b, c) << prompt;
  }
}

TEST(EquationTask, FractionsComeWithTheirDifficulties) {
  int fractions = 0;
  for (uint64_t index = 0; index < 50; ++index) {
    EXPECT_EQ(GetTask("equation").make(0, index, 4).answer.find('/'), std::string::npos);
    fractions += GetTask("equation").make(0, index, 6).answer.find('/') != std::string::npos;
  }
  EXPECT_GT(fractions, 25);
}

}  // namespace
}  // namespace lorikeet
