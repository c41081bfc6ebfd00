#include "verify/math/exact.h"

#include <gtest/gtest.h>

#include "verify/math/parser.h"

namespace lorikeet::math {
namespace {

std::optional<Quotient> Value(const std::string& text, Scope& scope) {
  return ExactValue(Parse(text, Reading{}, scope.budget), scope);
}

bool SameExactly(const std::string& a, const std::string& b) {
  Scope scope;
  const auto x = Value(a, scope), y = Value(b, scope);
  EXPECT_TRUE(x) << a;
  EXPECT_TRUE(y) << b;
  return x && y && Equal(*x, *y, scope.budget);
}

TEST(MathExactTest, SumsOfRadicals) {
  EXPECT_TRUE(SameExactly(R"(\sqrt{50}-\sqrt{18})", R"(2\sqrt2)"));
  EXPECT_TRUE(SameExactly(R"((\sqrt2+\sqrt3+\sqrt5)(\sqrt2+\sqrt3-\sqrt5))", R"(2\sqrt6)"));
  EXPECT_TRUE(SameExactly(R"(\frac{1}{\sqrt2+\sqrt3})", R"(\sqrt3-\sqrt2)"));
  EXPECT_TRUE(SameExactly(R"(\frac{1}{1+\sqrt[3]{2}})", R"(\frac{1-\sqrt[3]{2}+\sqrt[3]{4}}{3})"));
  EXPECT_TRUE(SameExactly(R"(\sqrt[6]{8})", R"(\sqrt{2})"));
  EXPECT_TRUE(SameExactly(R"(\sqrt{\frac{3}{8}})", R"(\frac{\sqrt6}{4})"));
  EXPECT_TRUE(SameExactly(R"(\sqrt{-12})", R"(2i\sqrt3)"));
  EXPECT_TRUE(SameExactly(R"((1+i)^8)", "16"));
  EXPECT_TRUE(SameExactly(R"((-8)^{2/3})", "4"));
  // 1e-20 apart, below the resolution of doubles.
  EXPECT_FALSE(SameExactly(R"(\sqrt2+10^{-20})", R"(\sqrt2)"));
}

TEST(MathExactTest, QuotientsOfPolynomials) {
  EXPECT_TRUE(SameExactly(R"(\frac{x^3-y^3}{x-y})", "x^2+xy+y^2"));
  EXPECT_TRUE(SameExactly(R"(\frac{1}{x}-\frac{1}{x+1})", R"(\frac{1}{x^2+x})"));
  EXPECT_TRUE(SameExactly(R"(\frac{\sqrt{x}}{x})", "x^{-1/2}"));
  EXPECT_TRUE(SameExactly(R"((x+y)^5)", "x^5+5x^4y+10x^3y^2+10x^2y^3+5xy^4+y^5"));
  EXPECT_FALSE(SameExactly("x^2+y^2", "(x+y)^2"));
  EXPECT_TRUE(SameExactly(R"(\pi x + e)", R"(e + x\pi)"));
}

TEST(MathExactTest, WhatHasNoExactValue) {
  Scope scope;
  for (const char* text : {R"(\sin 1)", R"(\sqrt{1+\sqrt2})", "2^x", R"(\sqrt{x^2})", R"(\sqrt{i})",
                           R"(\sqrt{x+1})", "(1,2)", "x=1", R"(\sqrt{18446744073709551629})"}) {
    EXPECT_FALSE(Value(text, scope)) << text;
  }
  EXPECT_TRUE(Value(R"(\sqrt{x^4})", scope));
  EXPECT_TRUE(Value(R"(\sqrt[3]{x^3})", scope));
}

TEST(MathExactTest, BudgetAndZero) {
  const auto code = [](const std::string& text) {
    Scope scope;
    try {
      Value(text, scope);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kIo;
  };
  EXPECT_EQ(code("(a+b+c+d+f+g)^{90}"), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code("9^{9^9}"), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code("x^{10^9}"), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code("10^9!"), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code(R"(\frac{1}{\sqrt8-2\sqrt2})"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code("0^0"), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace lorikeet::math
