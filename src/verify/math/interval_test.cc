#include "verify/math/interval.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"

namespace lorikeet::math {
namespace {

constexpr int kBits = 128;

Rational Ratio(int64_t num, int64_t den) { return {Integer(num), Integer(den)}; }

bool Contains(const Interval& interval, const Rational& value) {
  const Interval point(value, 4 * kBits);
  return !interval.broken() && !interval.Below(point) && !point.Below(interval);
}

// Against exact arithmetic.
TEST(MathIntervalTest, ContainsTheExactValue) {
  const RandomStream random(7, "intervals");
  for (uint64_t i = 0; i < 500; ++i) {
    const Rational a = Ratio(static_cast<int64_t>(random.Below(4 * i, 2001)) - 1000,
                             1 + static_cast<int64_t>(random.Below(4 * i + 1, 999)));
    const Rational b = Ratio(static_cast<int64_t>(random.Below(4 * i + 2, 2001)) - 1000,
                             1 + static_cast<int64_t>(random.Below(4 * i + 3, 999)));
    const Interval x(a, kBits), y(b, kBits);
    EXPECT_TRUE(Contains(x + y, a + b));
    EXPECT_TRUE(Contains(x - y, a - b));
    EXPECT_TRUE(Contains(x * y, a * b));
    EXPECT_TRUE(Contains(x.Power(5), Rational::Power(a, 5)));
    EXPECT_TRUE(Contains(x.Abs(), a.negative() ? -a : a));
    EXPECT_TRUE(b.zero() || Contains(x * y.Inverse(), a / b));
    EXPECT_TRUE(Contains((x * x).Root(2) - x.Abs(), Rational()));
    // sin^2 + cos^2 = 1, exp(ln |x|) = |x|
    EXPECT_TRUE(Contains(x.Sin() * x.Sin() + x.Cos() * x.Cos(), Rational(1)));
    EXPECT_TRUE(a.zero() || Contains(x.Abs().Log().Exp() - x.Abs(), Rational()));
  }
}

TEST(MathIntervalTest, WideArguments) {
  const Interval wide = Interval(Ratio(1, 3), kBits) * Interval(Rational(3), kBits);  // around 1
  EXPECT_TRUE(Contains(wide, Rational(1)));
  EXPECT_FALSE(wide.Rounded(false));
  EXPECT_EQ(Interval(Ratio(5, 2), kBits).Rounded(false), Integer(2));
  EXPECT_EQ(Interval(Ratio(-5, 2), kBits).Rounded(true), Integer(-2));
  EXPECT_TRUE((wide - Interval(Rational(1), kBits)).Inverse().broken());
  EXPECT_TRUE(Interval(Rational(-1), kBits).Root(2).broken());
  EXPECT_TRUE(Interval(Rational(-1), kBits).Log().broken());
  EXPECT_TRUE(Interval(Rational(2), kBits).Asin().broken());
}

TEST(MathIntervalTest, FarFromOne) {
  const Interval tiny = Interval(Ratio(1, 10), kBits).Power(100000);
  EXPECT_TRUE(tiny.positive());
  EXPECT_TRUE(tiny.Below(Interval(Ratio(1, 10), kBits).Power(99999)));
  const Interval beyond = Interval(Rational(1'000'000'000'000), kBits).Exp();
  EXPECT_FALSE(beyond.finite());
  EXPECT_TRUE(Interval(Rational(5), kBits).Below(beyond));
  EXPECT_FALSE((beyond - beyond).positive() || (beyond - beyond).negative());
  EXPECT_FALSE(beyond.Inverse().positive());  // perhaps 0
}

TEST(MathIntervalTest, Gamma) {
  EXPECT_TRUE(Contains(Interval(Rational(11), kBits).Gamma(), Rational(3628800)));
  const Interval near =
      Interval(Ratio(1, 3), kBits) * Interval(Rational(3), kBits) + Interval(Rational(0), kBits);
  const Interval one = near * Interval(Rational(1), kBits);
  EXPECT_TRUE(one.broken() || one.Gamma().broken() || Contains(one.Gamma(), Rational(1)));
}

}  // namespace
}  // namespace lorikeet::math
