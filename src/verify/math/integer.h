// An `Integer` is an exact integer of bounded size (GMP's, with a limit). Operations whose result
// would need more than kMaxLimbs throw Error(kOutOfMemory), so that a hostile answer (9^9^9) costs
// a bounded amount of work.
#pragma once
#include <gmpxx.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lorikeet::math {

class Integer {
 public:
  static constexpr size_t kMaxLimbs = 1024;  // limbs of 32 bits: 9864 decimal digits

  Integer() = default;
  explicit Integer(int64_t value) : value_(value) {}
  // `digits` in the given base (2 to 10), digits only.
  static Integer FromDigits(std::string_view digits, uint32_t base = 10);

  bool zero() const { return sgn(value_) == 0; }
  bool one() const { return value_ == 1; }
  bool negative() const { return sgn(value_) < 0; }
  bool odd() const { return mpz_odd_p(value_.get_mpz_t()) != 0; }
  // Bits of its absolute value; 0 for 0.
  int64_t bits() const;
  int64_t size() const { return (bits() + 31) / 32; }  // limbs, the unit of cost
  const mpz_class& value() const { return value_; }

  Integer operator-() const { return Integer(-value_); }
  Integer Abs() const { return Integer(abs(value_)); }
  friend Integer operator+(const Integer& a, const Integer& b);
  friend Integer operator-(const Integer& a, const Integer& b);
  friend Integer operator*(const Integer& a, const Integer& b);
  // Rounded towards zero; b is not zero.
  friend Integer operator/(const Integer& a, const Integer& b);
  friend Integer operator%(const Integer& a, const Integer& b);  // has the sign of a
  friend std::strong_ordering operator<=>(const Integer& a, const Integer& b) {
    return cmp(a.value_, b.value_) <=> 0;
  }
  friend bool operator==(const Integer& a, const Integer& b) { return a.value_ == b.value_; }

  // Not negative; Gcd(0, 0) = 0.
  static Integer Gcd(const Integer& a, const Integer& b);
  static Integer Power(const Integer& base, uint32_t exponent);

  static Integer Factorial(uint32_t n);
  // n choose k for n not negative.
  static Integer Binomial(int64_t n, uint32_t k);

  std::optional<int64_t> ToInt64() const;  // absent if out of range
  std::string ToString() const { return value_.get_str(); }

 private:
  explicit Integer(mpz_class value) : value_(std::move(value)) {}
  static Integer Checked(mpz_class value);  // refuses one that is too large

  mpz_class value_;
};

}  // namespace lorikeet::math
