#include "verify/expression_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lorikeet {
namespace {

std::string Value(std::string_view text) {
  const ExpressionValue result = EvaluateExpression(text);
  return result.value ? result.value->ToString() : "error: " + result.error;
}

TEST(EvaluateExpression, FollowsPrecedenceExactly) {
  EXPECT_EQ(Value("1+2*3"), "7");
  EXPECT_EQ(Value("(1 + 2) * 3"), "9");
  EXPECT_EQ(Value("10 - 3 - 2"), "5");
  EXPECT_EQ(Value("24 / 4 / 2"), "3");
  EXPECT_EQ(Value("8 / (3 - 8 / 3)"), "24");
  EXPECT_EQ(Value("1 / 3 + 1 / 6"), "1/2");
  EXPECT_EQ(Value("-3 + 10"), "7");
  EXPECT_EQ(Value("2 - -(3)"), "5");
  EXPECT_EQ(Value("((((7))))"), "7");
  EXPECT_THAT(EvaluateExpression("(3 + 5) * 2 / 3").numbers, testing::ElementsAre(3, 5, 2, 3));
}

TEST(EvaluateExpression, RefusesEverythingElse) {
  for (const char* text :
       {"",      " ",           "1 +", "* 2",    "(1",         "1)",     "()",
        "2(3)",  "(1)(2)",      "2 3", "2 ** 3", "2 ^ 3",      "1.5",    "x",
        "1 / 0", "3 / (2 - 2)", "1e3", "1 = 1",  "9999999999", "2 // 1", "0x2"}) {
    EXPECT_EQ(Value(text).substr(0, 6), "error:") << text;
  }
}

TEST(EvaluateExpression, HasLimits) {
  EXPECT_EQ(Value(std::string(49, '(') + "1" + std::string(49, ')')), "1");
  EXPECT_EQ(Value(std::string(400, '(') + "1" + std::string(400, ')')), "error: too many brackets");
  EXPECT_EQ(Value(std::string(1 << 20, '(')), "error: an expression of more than 1000 bytes");
  std::string sum = "1";
  for (int i = 0; i < 64; ++i) sum += "/9";
  EXPECT_EQ(Value(sum), "error: more than 64 numbers");
}

}  // namespace
}  // namespace lorikeet
