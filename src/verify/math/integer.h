// An `Integer` is an exact integer of bounded size. Operations whose result would need more than
// kMaxLimbs throw Error(kOutOfMemory), so that a hostile answer (9^9^9) costs a bounded amount of
// work.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet::math {

class Integer {
 public:
  static constexpr size_t kMaxLimbs = 1024;  // limbs of 32 bits: 9864 decimal digits

  Integer() = default;
  explicit Integer(int64_t value);
  // `digits` in the given base (2 to 10), digits only.
  static Integer FromDigits(std::string_view digits, uint32_t base = 10);

  bool zero() const { return limbs_.empty(); }
  bool one() const { return !negative_ && limbs_.size() == 1 && limbs_[0] == 1; }
  bool negative() const { return negative_; }
  bool odd() const { return !limbs_.empty() && (limbs_[0] & 1) != 0; }
  int64_t size() const { return static_cast<int64_t>(limbs_.size()); }  // limbs, the unit of cost

  Integer operator-() const;
  Integer Abs() const { return negative_ ? -*this : *this; }
  friend Integer operator+(const Integer& a, const Integer& b);
  friend Integer operator-(const Integer& a, const Integer& b) { return a + -b; }
  friend Integer operator*(const Integer& a, const Integer& b);
  // Rounded towards zero; b is not zero.
  friend Integer operator/(const Integer& a, const Integer& b);
  friend Integer operator%(const Integer& a, const Integer& b);  // has the sign of a
  friend std::strong_ordering operator<=>(const Integer& a, const Integer& b);
  friend bool operator==(const Integer& a, const Integer& b) = default;

  // Not negative; Gcd(0, 0) = 0.
  static Integer Gcd(Integer a, Integer b);
  static Integer Power(Integer base, uint32_t exponent);

  std::optional<int64_t> ToInt64() const;  // absent if out of range
  // mantissa * 2^exponent, |mantissa| < 2^64; the mantissa is truncated to 64 bits.
  double Mantissa(int* exponent) const;
  double ToDouble() const;  // infinite above 1.8e308
  std::string ToString() const;

 private:
  Integer(std::vector<uint32_t> limbs, bool negative);  // trims, checks the size
  // Divides by one limb in place, returns the remainder.
  uint32_t DivideSmall(uint32_t divisor);

  // |a| and |b| compared, added, subtracted (|a| >= |b|) and divided.
  static std::strong_ordering Compare(const Integer& a, const Integer& b);
  static std::vector<uint32_t> AddLimbs(const Integer& a, const Integer& b);
  static std::vector<uint32_t> SubtractLimbs(const Integer& a, const Integer& b);
  static Integer Divide(const Integer& a, const Integer& b, Integer* remainder);

  std::vector<uint32_t> limbs_;  // little-endian, no zero at the end
  bool negative_ = false;        // zero is not negative
};

}  // namespace lorikeet::math
