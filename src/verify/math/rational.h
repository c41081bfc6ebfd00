// A `Rational` is a fraction of integers in lowest terms.
#pragma once
#include <compare>
#include <optional>
#include <string>
#include <utility>

#include "verify/math/integer.h"

namespace lorikeet::math {

class Rational {
 public:
  Rational() : den_(1) {}
  explicit Rational(int64_t value) : num_(value), den_(1) {}
  explicit Rational(Integer value) : num_(std::move(value)), den_(1) {}
  // Throws Error(kInvalidArgument) if den is zero.
  Rational(Integer num, Integer den);

  const Integer& num() const { return num_; }
  const Integer& den() const { return den_; }  // positive
  bool zero() const { return num_.zero(); }
  bool negative() const { return num_.negative(); }
  bool integer() const { return den_.one(); }
  int64_t size() const { return num_.size() + den_.size(); }  // limbs
  // The value if it is an integer of 64 bits.
  std::optional<int64_t> ToInt64() const { return integer() ? num_.ToInt64() : std::nullopt; }

  Rational operator-() const;
  friend Rational operator+(const Rational& a, const Rational& b);
  friend Rational operator-(const Rational& a, const Rational& b) { return a + -b; }
  friend Rational operator*(const Rational& a, const Rational& b);
  friend Rational operator/(const Rational& a, const Rational& b) { return a * b.Inverse(); }
  friend std::strong_ordering operator<=>(const Rational& a, const Rational& b);
  friend bool operator==(const Rational& a, const Rational& b) = default;

  Rational Inverse() const;      // throws Error(kInvalidArgument) for zero
  Integer Floor() const;         // the largest integer that is not above
  std::string ToString() const;  // "-3/4", "5"

  static Rational Power(const Rational& base, int32_t exponent);

 private:
  Integer num_, den_;
};

}  // namespace lorikeet::math
