// An `Interval` is a set of real numbers between two floating-point numbers of MPFR, rounded
// outwards: it contains the value that was computed, always. After an operation without a value (1
// / [-1, 1]) it is `broken`, and stays so. Bounds may be infinite: a value beyond 2^(10^9) is above
// the largest number.
#pragma once
#include <mpfr.h>

#include <cstdint>

#include "verify/math/rational.h"

namespace lorikeet::math {

class Interval {
 public:
  explicit Interval(int precision);  // 0; bits of the bounds
  Interval(const Rational& value, int precision);
  Interval(const Interval& other);
  Interval(Interval&& other) noexcept;
  Interval& operator=(Interval other) noexcept;
  ~Interval();

  static Interval Pi(int precision);
  static Interval Broken(int precision);

  int precision() const { return static_cast<int>(mpfr_get_prec(low_)); }
  bool broken() const { return mpfr_nan_p(low_) != 0 || mpfr_nan_p(high_) != 0; }
  bool zero() const { return mpfr_zero_p(low_) != 0 && mpfr_zero_p(high_) != 0; }
  bool positive() const { return !broken() && mpfr_sgn(low_) > 0; }
  bool negative() const { return !broken() && mpfr_sgn(high_) < 0; }
  bool not_negative() const { return !broken() && mpfr_sgn(low_) >= 0; }
  bool finite() const { return mpfr_number_p(low_) != 0 && mpfr_number_p(high_) != 0; }
  // Whether all of it is below all of the other.
  bool Below(const Interval& other) const;
  bool NotAbove(const Interval& other) const;
  // Whether every |x| in it is below 2^exponent.
  bool BelowPower(int64_t exponent) const;
  // The whole number that every x in it has as floor (as ceiling if `up`); absent if there are two.
  std::optional<Integer> Rounded(bool up) const;

  Interval operator-() const;
  friend Interval operator+(const Interval& a, const Interval& b);
  friend Interval operator-(const Interval& a, const Interval& b) { return a + -b; }
  friend Interval operator*(const Interval& a, const Interval& b);
  Interval Inverse() const;
  Interval Abs() const;
  Interval Root(uint64_t degree) const;  // not of negative numbers
  Interval Power(uint64_t exponent) const;
  Interval Exp() const;
  Interval Log() const;  // of positive numbers
  Interval Sin() const;
  Interval Cos() const;
  Interval Atan() const;
  Interval Asin() const;  // of [-1, 1]
  Interval Asinh() const;
  Interval Acosh() const;  // from 1 on
  Interval Atanh() const;  // of (-1, 1)
  Interval Gamma() const;  // from 1 on

 private:
  using Rounded1 = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);
  Interval Rising(Rounded1 function) const;  // for functions that rise
  Interval Wave(Rounded1 function) const;    // for sin or cos
  Interval Within(int low, int high) const;  // itself, broken if it leaves [low, high]

  mpfr_t low_, high_;
};

}  // namespace lorikeet::math
