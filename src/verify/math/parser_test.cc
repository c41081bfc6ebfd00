#include "verify/math/parser.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace lorikeet::math {
namespace {

// The tree in one line: kinds as short names, leaves as their text.
std::string Show(const Expression& e) {
  static const char* const kNames[] = {"",    "",     "+",   "",      "*",   "neg",   "inv",
                                       "^",   "root", "",    "%",     "deg", "base",  "tuple",
                                       "set", "list", "cup", "ratio", "rel", "matrix"};
  if (e.children.empty() && e.kind != Kind::kSet) return e.text;
  std::string text = kNames[static_cast<int>(e.kind)] + e.text + "(";
  for (const Expression& child : e.children) text += (text.back() == '(' ? "" : " ") + Show(child);
  return text + ")";
}

std::string Read(const std::string& text, const Reading& reading = {}) {
  Budget budget;
  try {
    return Show(Parse(text, reading, budget));
  } catch (const Error& error) {
    return error.code() == ErrorCode::kOutOfMemory ? "too large" : "no";
  }
}

TEST(MathParserTest, Precedence) {
  EXPECT_EQ(Read("1+2x^3"), "+(1 *(2 ^(x 3)))");
  EXPECT_EQ(Read("-x^2"), "neg(^(x 2))");
  EXPECT_EQ(Read("2^3^2"), "^(2 ^(3 2))");
  EXPECT_EQ(Read("2^{-1}"), "^(2 neg(1))");
  EXPECT_EQ(Read("2**10"), "^(2 10)");
  EXPECT_EQ(Read("a/bc"), "*(a inv(b) c)");
  EXPECT_EQ(Read("--5"), "5");
  EXPECT_EQ(Read("3 - -5"), "+(3 5)");
  EXPECT_EQ(Read("n!^2"), "^(factorial(n) 2)");
  EXPECT_EQ(Read(R"(\sin 2x + 1)"), "+(sin(*(2 x)) 1)");
  EXPECT_EQ(Read(R"(\sin x\cos x)"), "*(sin(x) cos(x))");
  EXPECT_EQ(Read(R"(\sin^2 x)"), "^(sin(x) 2)");
  EXPECT_EQ(Read(R"(\sin^{-1} x)"), "arcsin(x)");
  EXPECT_EQ(Read(R"(\log_2 8)"), "log(8 2)");
  EXPECT_EQ(Read(R"(1 \pm \sqrt2)"), "+(1 +-(root(2 2)))");
  EXPECT_EQ(Read("||x|-1|"), "abs(+(abs(x) neg(1)))");
}

TEST(MathParserTest, Arguments) {
  EXPECT_EQ(Read(R"(\frac12)"), "*(1 inv(2))");
  EXPECT_EQ(Read(R"(\frac123)"), "*(*(1 inv(2)) 3)");
  EXPECT_EQ(Read(R"(\frac\pi{2})"), "*(\\pi inv(2))");
  EXPECT_EQ(Read(R"(\sqrt23)"), "*(root(2 2) 3)");
  EXPECT_EQ(Read("sqrt23"), "root(23 2)");
  EXPECT_EQ(Read("√23"), "root(23 2)");
  EXPECT_EQ(Read(R"(\sqrt[3]{x})"), "root(x 3)");
  EXPECT_EQ(Read("x²"), "^(x 2)");
  EXPECT_EQ(Read("10⁻³"), "^(10 neg(3))");
}

TEST(MathParserTest, Numbers) {
  EXPECT_EQ(Read("1,234,567.5"), "1234567.5");
  EXPECT_EQ(Read("1,234", {.thousands = false}), "list(1 234)");
  EXPECT_EQ(Read("(1,234)"), "tuple()(1 234)");
  EXPECT_EQ(Read("1{,}5"), "1.5");
  EXPECT_EQ(Read("2e-1"), "*(2 ^(10 -1))");
  EXPECT_EQ(Read("2e-1", {.scientific = false}), "+(*(2 e) neg(1))");
  EXPECT_EQ(Read("7 3/4"), "+(7 *(3 inv(4)))");
  EXPECT_EQ(Read(R"(7\frac{3}{4})"), "+(7 *(3 inv(4)))");
  EXPECT_EQ(Read(R"(7\frac{x}{4})"), "*(7 *(x inv(4)))");
  EXPECT_EQ(Read("5 6"), "no");
  EXPECT_EQ(Read("7 5/4"), "no");
  EXPECT_EQ(Read("3 x 4"), "*(3 4)");
  EXPECT_EQ(Read("0.1\\overline{6}"), "0.16");
}

TEST(MathParserTest, LettersAndWords) {
  const std::set<std::string> xy = {"x", "y"};
  EXPECT_EQ(Read("2xy"), "*(2 x y)");
  EXPECT_EQ(Read("2xy", {.variables = &xy}), "*(2 x y)");
  EXPECT_EQ(Read("2xz", {.variables = &xy}), "no");
  EXPECT_EQ(Read("2 xz", {.variables = &xy}), "2");  // a unit of that name
  EXPECT_EQ(Read("12cm"), "12");
  EXPECT_EQ(Read("12 cm"), "12");
  EXPECT_EQ(Read("12 m"), "*(12 m)");
  EXPECT_EQ(Read("12 m", {.units = true}), "12");
  EXPECT_EQ(Read("12m", {.units = true}), "*(12 m)");
  EXPECT_EQ(Read(R"(\text{Monday})"), "no");
  EXPECT_EQ(Read("5 to 6"), "no");
  EXPECT_EQ(Read(R"(x_{12}')"), "x_12'");
  EXPECT_EQ(Read("5 min"), "5");
  EXPECT_EQ(Read("min(5, 6)"), "min(5 6)");
}

TEST(MathParserTest, Collections) {
  EXPECT_EQ(Read("1, 2 and 3"), "list(1 2 3)");
  EXPECT_EQ(Read(R"(\{1,2\})"), "set(1 2)");
  EXPECT_EQ(Read("{1,2}"), "set(1 2)");
  EXPECT_EQ(Read("{1}"), "1");
  EXPECT_EQ(Read(R"(\emptyset)"), "set()");
  EXPECT_EQ(Read("[1,2)"), "tuple[)(1 2)");
  EXPECT_EQ(Read("[5)"), "no");
  EXPECT_EQ(Read(R"((1,2)\cup[3,4])"), "cup(tuple()(1 2) tuple[](3 4))");
  EXPECT_EQ(Read("1 < x <= 2"), "rel<l(1 x 2)");
  EXPECT_EQ(Read(R"(x \in \mathbb{R})"), "reli(x \\mathbb{R})");
  EXPECT_EQ(Read("1:2:3"), "ratio(1 2 3)");
  EXPECT_EQ(Read(R"(\begin{pmatrix}1&2\\3&4\end{pmatrix})"), "matrix(1 2 3 4)");
  EXPECT_EQ(Read(R"(\begin{pmatrix}1&2\\3\end{pmatrix})"), "no");
  EXPECT_EQ(Read("1011_{2}"), "base1011(2)");
}

TEST(MathParserTest, RefusesTheRest) {
  for (const char* text : {"",
                           "+",
                           "(",
                           ")",
                           "1+",
                           "2^",
                           "{}",
                           "\\frac{1}",
                           "\\foo",
                           "a & b",
                           "5 @ 6",
                           "1..2",
                           "x?",
                           "\\begin{cases}1\\end{cases}",
                           "\\text{a",
                           "\\left(1",
                           "\x01",
                           "1/",
                           "\\overline{3}",
                           "\\end{pmatrix}",
                           "5!!!!!!!!!"}) {
    EXPECT_EQ(Read(text), "no") << text;
  }
}

TEST(MathParserTest, DepthAndSizeAreBounded) {
  std::string nested, sum = "1";
  for (int i = 0; i < 1000; ++i) nested += "(";
  EXPECT_EQ(Read(nested), "too large");
  for (int i = 0; i < 3000; ++i) sum += "+1";
  EXPECT_EQ(Read(sum), "too large");
}

}  // namespace
}  // namespace lorikeet::math
