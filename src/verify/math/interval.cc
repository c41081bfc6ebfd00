#include "verify/math/interval.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lorikeet::math {
namespace {

// sin and cos of larger numbers would need more digits of pi than bits here.
constexpr mpfr_exp_t kMaxWaveExponent = 2000;

}  // namespace

Interval::Interval(int precision) {
  mpfr_init2(low_, precision);
  mpfr_init2(high_, precision);
  mpfr_set_zero(low_, 1);
  mpfr_set_zero(high_, 1);
}

Interval::Interval(const Rational& value, int precision) : Interval(precision) {
  const mpq_class ratio(value.num().value(), value.den().value());
  mpfr_set_q(low_, ratio.get_mpq_t(), MPFR_RNDD);
  mpfr_set_q(high_, ratio.get_mpq_t(), MPFR_RNDU);
}

Interval::Interval(const Interval& other) : Interval(other.precision()) {
  mpfr_set(low_, other.low_, MPFR_RNDD);
  mpfr_set(high_, other.high_, MPFR_RNDU);
}

Interval::Interval(Interval&& other) noexcept : Interval(other.precision()) {
  mpfr_swap(low_, other.low_);
  mpfr_swap(high_, other.high_);
}

Interval& Interval::operator=(Interval other) noexcept {
  mpfr_swap(low_, other.low_);
  mpfr_swap(high_, other.high_);
  return *this;
}

Interval::~Interval() {
  mpfr_clear(low_);
  mpfr_clear(high_);
}

Interval Interval::Pi(int precision) {
  Interval pi(precision);
  mpfr_const_pi(pi.low_, MPFR_RNDD);
  mpfr_const_pi(pi.high_, MPFR_RNDU);
  return pi;
}

Interval Interval::Broken(int precision) {
  Interval broken(precision);
  mpfr_set_nan(broken.low_);
  return broken;
}

bool Interval::Below(const Interval& other) const {
  return !broken() && !other.broken() && mpfr_less_p(high_, other.low_) != 0;
}

bool Interval::NotAbove(const Interval& other) const {
  return !broken() && !other.broken() && mpfr_lessequal_p(high_, other.low_) != 0;
}

bool Interval::BelowPower(int64_t exponent) const {
  const auto below = [&](mpfr_srcptr x) {
    return mpfr_zero_p(x) != 0 || (mpfr_regular_p(x) != 0 && mpfr_get_exp(x) <= exponent);
  };
  return below(low_) && below(high_);
}

std::optional<Integer> Interval::Rounded(bool up) const {
  constexpr int64_t kMaxExponent = 60;
  if (broken() || !BelowPower(kMaxExponent)) return std::nullopt;
  const auto rounding = up ? MPFR_RNDU : MPFR_RNDD;
  const int64_t low = mpfr_get_si(low_, rounding), high = mpfr_get_si(high_, rounding);
  return low == high ? std::optional(Integer(low)) : std::nullopt;
}

Interval Interval::operator-() const {
  Interval result(precision());
  mpfr_neg(result.low_, high_, MPFR_RNDD);
  mpfr_neg(result.high_, low_, MPFR_RNDU);
  return result;
}

Interval operator+(const Interval& a, const Interval& b) {
  Interval result(a.precision());
  mpfr_add(result.low_, a.low_, b.low_, MPFR_RNDD);
  mpfr_add(result.high_, a.high_, b.high_, MPFR_RNDU);
  return result;
}

Interval operator*(const Interval& a, const Interval& b) {
  Interval result(a.precision());
  if (a.broken() || b.broken()) return Interval::Broken(a.precision());
  if (a.zero() || b.zero()) return result;
  if (a.not_negative() && b.not_negative()) {
    mpfr_mul(result.low_, a.low_, b.low_, MPFR_RNDD);
    mpfr_mul(result.high_, a.high_, b.high_, MPFR_RNDU);
    return result;
  }
  Interval other(a.precision());
  bool first = true;
  for (mpfr_srcptr x : {a.low_, a.high_}) {
    for (mpfr_srcptr y : {b.low_, b.high_}) {
      mpfr_mul(other.low_, x, y, MPFR_RNDD);
      mpfr_mul(other.high_, x, y, MPFR_RNDU);
      if (other.broken()) return Interval::Broken(a.precision());
      if (first || mpfr_less_p(other.low_, result.low_) != 0) mpfr_swap(result.low_, other.low_);
      if (first || mpfr_greater_p(other.high_, result.high_) != 0) {
        mpfr_swap(result.high_, other.high_);
      }
      first = false;
    }
  }
  return result;
}

Interval Interval::Inverse() const {
  if (!positive() && !negative()) return Broken(precision());
  Interval result(precision());
  mpfr_ui_div(result.low_, 1, high_, MPFR_RNDD);
  mpfr_ui_div(result.high_, 1, low_, MPFR_RNDU);
  return result;
}

Interval Interval::Abs() const {
  if (broken() || not_negative()) return *this;
  if (mpfr_sgn(high_) <= 0) return -*this;
  Interval result(precision());
  mpfr_neg(result.high_, low_, MPFR_RNDU);
  mpfr_max(result.high_, result.high_, high_, MPFR_RNDU);
  return result;
}

Interval Interval::Rising(Rounded1 function) const {
  Interval result(precision());
  function(result.low_, low_, MPFR_RNDD);
  function(result.high_, high_, MPFR_RNDU);
  return result;
}

Interval Interval::Within(int low, int high) const {
  const bool inside = !broken() && mpfr_cmp_si(low_, low) >= 0 && mpfr_cmp_si(high_, high) <= 0;
  return inside ? *this : Broken(precision());
}

Interval Interval::Root(uint64_t degree) const {
  if (!not_negative()) return Broken(precision());
  Interval result(precision());
  mpfr_rootn_ui(result.low_, low_, degree, MPFR_RNDD);
  mpfr_rootn_ui(result.high_, high_, degree, MPFR_RNDU);
  return result;
}

Interval Interval::Power(uint64_t exponent) const {
  Interval power(Rational(1), precision()), base = *this;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) power = power * base;
    if (exponent > 1) base = base * base;
  }
  return power;
}

Interval Interval::Exp() const { return Rising(mpfr_exp); }

Interval Interval::Log() const { return positive() ? Rising(mpfr_log) : Broken(precision()); }

// The slope is between -1 and 1: the value at the lower bound, and the width on either side.
Interval Interval::Wave(Rounded1 function) const {
  if (!finite() || !BelowPower(kMaxWaveExponent)) return Broken(precision());
  Interval at_low(precision()), width(precision());
  function(at_low.low_, low_, MPFR_RNDD);
  function(at_low.high_, low_, MPFR_RNDU);
  mpfr_sub(width.high_, high_, low_, MPFR_RNDU);
  mpfr_neg(width.low_, width.high_, MPFR_RNDD);
  Interval result = at_low + width;
  if (mpfr_cmp_si(result.low_, -1) < 0) mpfr_set_si(result.low_, -1, MPFR_RNDD);
  if (mpfr_cmp_si(result.high_, 1) > 0) mpfr_set_si(result.high_, 1, MPFR_RNDU);
  return result;
}

Interval Interval::Sin() const { return Wave(mpfr_sin); }
Interval Interval::Cos() const { return Wave(mpfr_cos); }
Interval Interval::Atan() const { return Rising(mpfr_atan); }
Interval Interval::Asin() const { return Within(-1, 1).Rising(mpfr_asin); }
Interval Interval::Asinh() const { return Rising(mpfr_asinh); }
Interval Interval::Acosh() const { return Rising(mpfr_acosh); }  // not a number below 1
Interval Interval::Atanh() const { return Within(-1, 1).Rising(mpfr_atanh); }

// Gamma falls by at most 0.58 per unit between 1 and 1.5, and rises from there on.
Interval Interval::Gamma() const {
  constexpr int64_t kMaxExponent = 24;
  if (!finite() || mpfr_cmp_ui(low_, 1) < 0 || !BelowPower(kMaxExponent)) {
    return Broken(precision());
  }
  Interval result = Rising(mpfr_gamma);
  if (mpfr_cmp_d(low_, 1.5) > 0 || mpfr_equal_p(low_, high_) != 0) return result;
  Interval at_low(precision()), width(precision());
  mpfr_gamma(at_low.low_, low_, MPFR_RNDD);
  mpfr_gamma(at_low.high_, low_, MPFR_RNDU);
  mpfr_sub(width.high_, high_, low_, MPFR_RNDU);
  mpfr_neg(width.low_, width.high_, MPFR_RNDD);
  return mpfr_cmp_d(high_, 2) <= 0 ? at_low + width : Broken(precision());
}

}  // namespace lorikeet::math
