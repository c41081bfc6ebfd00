#include "verify/math/constant.h"

#include <gtest/gtest.h>

#include <string>

#include "verify/math/parser.h"

namespace lorikeet::math {
namespace {

Expression Read(const std::string& text) {
  Budget budget;
  return Parse(text, Reading{}, budget);
}

Zero ZeroOf(const std::string& text) {
  Scope scope;
  return IsZero(Simplified(Read(text), scope), scope);
}

TEST(MathConstantTest, AlgebraicNumbersAreDecided) {
  for (const char* text :
       {R"(\sqrt2+\sqrt3-\sqrt{5+2\sqrt6})", R"(\sqrt[3]{2+\sqrt5}+\sqrt[3]{2-\sqrt5}-1)",
        R"(\cos\frac{\pi}{5}-\cos\frac{2\pi}{5}-\frac12)", R"(\sqrt{3+4i}-2-i)",
        R"(\tan 15^\circ-2+\sqrt3)",
        R"(\cos\frac{\pi}{7}\cos\frac{2\pi}{7}\cos\frac{4\pi}{7}+\frac18)"}) {
    EXPECT_EQ(ZeroOf(text), Zero::kYes) << text;
    EXPECT_EQ(ZeroOf(std::string(text) + "+10^{-300}"), Zero::kNo) << text;
  }
}

// The bound must be below every value that is not zero.
TEST(MathConstantTest, SeparationIsBelowTheValue) {
  for (int k = 1; k < 60; k += 4) {
    const std::string text =
        "(\\sqrt2-1)^{" + std::to_string(k) + "}\\cdot\\sqrt{10^{-" + std::to_string(k) + "}+1}";
    Scope scope;
    const Expression e = Simplified(Read(text), scope);
    const auto bits = SeparationBits(e, scope);
    ASSERT_TRUE(bits);
    EXPECT_FALSE(Enclose(e, 0, 256, scope).box.re.BelowPower(-*bits)) << text;
  }
}

TEST(MathConstantTest, OthersStayOpen) {
  EXPECT_EQ(ZeroOf(R"(\arctan 2+\arctan 3-\frac{3\pi}{4})"), Zero::kOpen);
  EXPECT_EQ(ZeroOf(R"(\arctan 2+\arctan 3-\frac{3\pi}{4}+10^{-1000})"), Zero::kNo);
  EXPECT_EQ(ZeroOf(R"(e^{\pi\sqrt{163}}-262537412640768744)"), Zero::kNo);
}

TEST(MathConstantTest, SimplifiesByProof) {
  Scope scope;
  const auto rational = [&](const std::string& text) {
    const Expression e = Simplified(Read(text), scope);
    return e.kind == Kind::kNumber ? e.number.ToString() : "none";
  };
  EXPECT_EQ(rational(R"(\lfloor\sqrt5\rfloor)"), "2");
  EXPECT_EQ(rational(R"(\lfloor\sqrt{3+2\sqrt2}-\sqrt2\rfloor)"), "1");
  EXPECT_EQ(rational(R"(\lceil\sqrt{3+2\sqrt2}-\sqrt2\rceil)"), "1");
  EXPECT_EQ(rational(R"(\lfloor-\pi\rfloor)"), "-4");
  EXPECT_EQ(rational(R"(\lceil\pi\rceil)"), "4");
  EXPECT_EQ(rational(R"(\max(\sqrt2,\frac32))"), "3/2");
  EXPECT_EQ(rational(R"(\frac{2006!}{2004!})"), "4022030");
  EXPECT_EQ(MultipleOfPi(Simplified(Read(R"(\arctan\frac{1}{\sqrt3})"), scope), false, scope),
            Rational(Integer(1), Integer(6)));
}

}  // namespace
}  // namespace lorikeet::math
