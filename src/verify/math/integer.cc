#include "verify/math/integer.h"

#include <utility>

#include "core/error.h"

namespace lorikeet::math {

namespace {

constexpr int64_t kMaxBits = static_cast<int64_t>(Integer::kMaxLimbs) * 32;

[[noreturn]] void RefuseSize() {
  Fail(ErrorCode::kOutOfMemory, "a number of more than {} bits", kMaxBits);
}

}  // namespace

int64_t Integer::bits() const {
  return zero() ? 0 : static_cast<int64_t>(mpz_sizeinbase(value_.get_mpz_t(), 2));
}

Integer Integer::Checked(mpz_class value) {
  Integer result(std::move(value));
  if (result.bits() > kMaxBits) RefuseSize();
  return result;
}

Integer Integer::FromDigits(std::string_view digits, uint32_t base) {
  if (digits.empty()) return {};
  // A digit in base 2 to 10 is at least one bit, leading zeros aside.
  const size_t first = digits.find_first_not_of('0');
  if (first == std::string_view::npos) return {};
  if (digits.size() - first > static_cast<size_t>(kMaxBits)) RefuseSize();
  return Checked(mpz_class(std::string(digits.substr(first)), static_cast<int>(base)));
}

Integer operator+(const Integer& a, const Integer& b) {
  return Integer::Checked(a.value_ + b.value_);
}

Integer operator-(const Integer& a, const Integer& b) {
  return Integer::Checked(a.value_ - b.value_);
}

Integer operator*(const Integer& a, const Integer& b) {
  return Integer::Checked(a.value_ * b.value_);
}

Integer operator/(const Integer& a, const Integer& b) { return Integer(a.value_ / b.value_); }

Integer operator%(const Integer& a, const Integer& b) { return Integer(a.value_ % b.value_); }

Integer Integer::Gcd(const Integer& a, const Integer& b) {
  return Integer(gcd(a.value_, b.value_));
}

Integer Integer::Power(const Integer& base, uint32_t exponent) {
  // The power has more than (bits - 1) * exponent bits.
  if (!base.zero() && (base.bits() - 1) * static_cast<int64_t>(exponent) >= kMaxBits) RefuseSize();
  mpz_class power;
  mpz_pow_ui(power.get_mpz_t(), base.value_.get_mpz_t(), exponent);
  return Checked(std::move(power));
}

Integer Integer::Factorial(uint32_t n) {
  mpz_class product;
  mpz_fac_ui(product.get_mpz_t(), n);
  return Checked(std::move(product));
}

Integer Integer::Binomial(int64_t n, uint32_t k) {
  mpz_class value;
  mpz_bin_uiui(value.get_mpz_t(), static_cast<uint64_t>(n), k);
  return Checked(std::move(value));
}

std::optional<int64_t> Integer::ToInt64() const {
  static_assert(sizeof(long) == sizeof(int64_t));
  // The smallest number of 64 bits is out of range: its negative would be.
  if (!value_.fits_slong_p() || value_ == INT64_MIN) return std::nullopt;
  return value_.get_si();
}

}  // namespace lorikeet::math
