#include "verify/math/rational.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace lorikeet::math {
namespace {

TEST(MathRationalTest, LowestTerms) {
  EXPECT_EQ(Rational(Integer(6), Integer(-8)).ToString(), "-3/4");
  EXPECT_EQ(Rational(Integer(0), Integer(-8)), Rational());
  EXPECT_THROW(Rational(Integer(1), Integer(0)), Error);
  const Rational third(Integer(1), Integer(3)), half(Integer(1), Integer(2));
  EXPECT_EQ((third + half).ToString(), "5/6");
  EXPECT_EQ((third - half).ToString(), "-1/6");
  EXPECT_EQ((third * half).ToString(), "1/6");
  EXPECT_EQ((third / -half).ToString(), "-2/3");
  EXPECT_LT(third, half);
  EXPECT_LT(-half, -third);
  EXPECT_EQ((-half).Floor().ToString(), "-1");
  EXPECT_EQ(half.Floor().ToString(), "0");
  EXPECT_EQ(Rational(-3).Floor().ToString(), "-3");
  EXPECT_EQ(Rational::Power(third, -3).ToString(), "27");
  EXPECT_EQ(Rational::Power(-third, 3).ToString(), "-1/27");
}

}  // namespace
}  // namespace lorikeet::math
