#include "verify/math/rational.h"

#include "core/error.h"

namespace lorikeet::math {

Rational::Rational(Integer num, Integer den) : num_(std::move(num)), den_(std::move(den)) {
  if (den_.zero()) Fail(ErrorCode::kInvalidArgument, "a division by zero");
  if (den_.one()) return;
  const Integer divisor = Integer::Gcd(num_, den_);
  if (!divisor.one()) {
    num_ = num_ / divisor;
    den_ = den_ / divisor;
  }
  if (den_.negative()) {
    num_ = -num_;
    den_ = -den_;
  }
}

Rational Rational::operator-() const {
  Rational result = *this;
  result.num_ = -num_;
  return result;
}

Rational operator+(const Rational& a, const Rational& b) {
  if (a.integer() && b.integer()) return Rational(a.num_ + b.num_);
  return {a.num_ * b.den_ + b.num_ * a.den_, a.den_ * b.den_};
}

Rational operator*(const Rational& a, const Rational& b) {
  if (a.integer() && b.integer()) return Rational(a.num_ * b.num_);
  return {a.num_ * b.num_, a.den_ * b.den_};
}

std::strong_ordering operator<=>(const Rational& a, const Rational& b) {
  return a.num_ * b.den_ <=> b.num_ * a.den_;
}

Rational Rational::Inverse() const { return {den_, num_}; }

Integer Rational::Floor() const {
  const Integer quotient = num_ / den_;
  return num_.negative() && !integer() ? quotient - Integer(1) : quotient;
}

std::string Rational::ToString() const {
  return integer() ? num_.ToString() : num_.ToString() + "/" + den_.ToString();
}

Rational Rational::Power(const Rational& base, int32_t exponent) {
  const auto size =
      static_cast<uint32_t>(exponent < 0 ? -static_cast<int64_t>(exponent) : exponent);
  const Rational positive(Integer::Power(base.num_, size), Integer::Power(base.den_, size));
  return exponent < 0 ? positive.Inverse() : positive;
}

}  // namespace lorikeet::math
