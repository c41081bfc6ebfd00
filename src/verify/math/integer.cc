#include "verify/math/integer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace lorikeet::math {

namespace {

constexpr int kLimbBits = 32;

[[noreturn]] void RefuseSize() {
  Fail(ErrorCode::kOutOfMemory, "a number of more than {} bits", Integer::kMaxLimbs * kLimbBits);
}

}  // namespace

Integer::Integer(int64_t value) : negative_(value < 0) {
  uint64_t rest = negative_ ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
  for (; rest != 0; rest >>= kLimbBits) limbs_.push_back(static_cast<uint32_t>(rest));
}

Integer::Integer(std::vector<uint32_t> limbs, bool negative) : limbs_(std::move(limbs)) {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  negative_ = negative && !limbs_.empty();
  if (limbs_.size() > kMaxLimbs) RefuseSize();
}

Integer Integer::FromDigits(std::string_view digits, uint32_t base) {
  std::vector<uint32_t> limbs;
  for (const char digit : digits) {
    uint64_t carry = static_cast<uint64_t>(digit - '0');
    for (uint32_t& limb : limbs) {
      carry += static_cast<uint64_t>(limb) * base;
      limb = static_cast<uint32_t>(carry);
      carry >>= kLimbBits;
    }
    if (carry != 0) limbs.push_back(static_cast<uint32_t>(carry));
    if (limbs.size() > kMaxLimbs) RefuseSize();
  }
  return {std::move(limbs), false};
}

Integer Integer::operator-() const {
  Integer result = *this;
  result.negative_ = !negative_ && !zero();
  return result;
}

std::strong_ordering Integer::Compare(const Integer& a, const Integer& b) {
  if (a.limbs_.size() != b.limbs_.size()) return a.limbs_.size() <=> b.limbs_.size();
  for (size_t i = a.limbs_.size(); i-- > 0;) {
    if (a.limbs_[i] != b.limbs_[i]) return a.limbs_[i] <=> b.limbs_[i];
  }
  return std::strong_ordering::equal;
}

std::vector<uint32_t> Integer::AddLimbs(const Integer& a, const Integer& b) {
  const bool a_longer = a.limbs_.size() >= b.limbs_.size();
  const std::vector<uint32_t>&longer = a_longer ? a.limbs_ : b.limbs_,
        &shorter = a_longer ? b.limbs_ : a.limbs_;
  std::vector<uint32_t> sum(longer.size() + 1);
  uint64_t carry = 0;
  for (size_t i = 0; i < longer.size(); ++i) {
    carry += static_cast<uint64_t>(longer[i]) + (i < shorter.size() ? shorter[i] : 0);
    sum[i] = static_cast<uint32_t>(carry);
    carry >>= kLimbBits;
  }
  sum.back() = static_cast<uint32_t>(carry);
  return sum;
}

std::vector<uint32_t> Integer::SubtractLimbs(const Integer& a, const Integer& b) {
  std::vector<uint32_t> difference(a.limbs_.size());
  int64_t borrow = 0;
  for (size_t i = 0; i < a.limbs_.size(); ++i) {
    int64_t limb = static_cast<int64_t>(a.limbs_[i]) - borrow;
    if (i < b.limbs_.size()) limb -= b.limbs_[i];
    borrow = limb < 0 ? 1 : 0;
    difference[i] = static_cast<uint32_t>(limb);
  }
  return difference;
}

Integer operator+(const Integer& a, const Integer& b) {
  if (a.negative_ == b.negative_) return {Integer::AddLimbs(a, b), a.negative_};
  if (std::is_gteq(Integer::Compare(a, b))) return {Integer::SubtractLimbs(a, b), a.negative_};
  return {Integer::SubtractLimbs(b, a), b.negative_};
}

Integer operator*(const Integer& a, const Integer& b) {
  std::vector<uint32_t> product(a.limbs_.size() + b.limbs_.size());
  if (product.size() > Integer::kMaxLimbs + 1) RefuseSize();
  for (size_t i = 0; i < a.limbs_.size(); ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < b.limbs_.size(); ++j) {
      carry += static_cast<uint64_t>(a.limbs_[i]) * b.limbs_[j] + product[i + j];
      product[i + j] = static_cast<uint32_t>(carry);
      carry >>= kLimbBits;
    }
    product[i + b.limbs_.size()] = static_cast<uint32_t>(carry);
  }
  return {std::move(product), a.negative_ != b.negative_};
}

uint32_t Integer::DivideSmall(uint32_t divisor) {
  uint64_t rest = 0;
  for (size_t i = limbs_.size(); i-- > 0;) {
    rest = rest << kLimbBits | limbs_[i];
    limbs_[i] = static_cast<uint32_t>(rest / divisor);
    rest %= divisor;
  }
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  return static_cast<uint32_t>(rest);
}

namespace {

// limbs << shift, 0 <= shift < 32, with one more limb.
std::vector<uint32_t> Shifted(const std::vector<uint32_t>& limbs, int shift) {
  std::vector<uint32_t> result(limbs.size() + 1);
  uint64_t carry = 0;
  for (size_t i = 0; i < limbs.size(); ++i) {
    carry |= static_cast<uint64_t>(limbs[i]) << shift;
    result[i] = static_cast<uint32_t>(carry);
    carry >>= kLimbBits;
  }
  result.back() = static_cast<uint32_t>(carry);
  return result;
}

// u[at, at + v.size()] -= q * v; returns whether q was one too large (the result is negative).
bool SubtractProduct(std::vector<uint32_t>& u, const std::vector<uint32_t>& v, size_t at,
                     uint64_t q) {
  uint64_t carry = 0;
  int64_t borrow = 0;
  for (size_t i = 0; i <= v.size(); ++i) {
    carry += i < v.size() ? q * v[i] : 0;
    const int64_t limb = static_cast<int64_t>(u[at + i]) - static_cast<uint32_t>(carry) - borrow;
    u[at + i] = static_cast<uint32_t>(limb);
    borrow = limb < 0 ? 1 : 0;
    carry >>= kLimbBits;
  }
  return borrow != 0;
}

void AddBack(std::vector<uint32_t>& u, const std::vector<uint32_t>& v, size_t at) {
  uint64_t carry = 0;
  for (size_t i = 0; i <= v.size(); ++i) {
    carry += static_cast<uint64_t>(u[at + i]) + (i < v.size() ? v[i] : 0);
    u[at + i] = static_cast<uint32_t>(carry);
    carry >>= kLimbBits;
  }
}

}  // namespace

// Knuth, The Art of Computer Programming, volume 2, section 4.3.1, algorithm D.
Integer Integer::Divide(const Integer& a, const Integer& b, Integer* remainder) {
  if (std::is_lt(Compare(a, b))) {
    *remainder = a;
    return {};
  }
  if (b.limbs_.size() == 1) {
    Integer quotient = a;
    *remainder = Integer({quotient.DivideSmall(b.limbs_[0])}, a.negative_);
    quotient.negative_ = a.negative_ != b.negative_ && !quotient.zero();
    return quotient;
  }
  const size_t n = b.limbs_.size(), m = a.limbs_.size() - n;
  const int shift = std::countl_zero(b.limbs_.back());
  std::vector<uint32_t> u = Shifted(a.limbs_, shift), v = Shifted(b.limbs_, shift);
  v.pop_back();
  std::vector<uint32_t> quotient(m + 1);
  for (size_t j = m + 1; j-- > 0;) {
    const uint64_t top = static_cast<uint64_t>(u[j + n]) << kLimbBits | u[j + n - 1];
    uint64_t q = top / v[n - 1], rest = top % v[n - 1];
    while (q >> kLimbBits != 0 || q * v[n - 2] > (rest << kLimbBits | u[j + n - 2])) {
      --q;
      rest += v[n - 1];
      if (rest >> kLimbBits != 0) break;
    }
    if (SubtractProduct(u, v, j, q)) {
      --q;
      AddBack(u, v, j);
    }
    quotient[j] = static_cast<uint32_t>(q);
  }
  // The remainder is u >> shift.
  for (size_t i = 0; i < n; ++i) {
    const uint64_t pair = static_cast<uint64_t>(u[i + 1]) << kLimbBits | u[i];
    u[i] = static_cast<uint32_t>(pair >> shift);
  }
  u.resize(n);
  *remainder = Integer(std::move(u), a.negative_);
  return {std::move(quotient), a.negative_ != b.negative_};
}

Integer operator/(const Integer& a, const Integer& b) {
  Integer remainder;
  return Integer::Divide(a, b, &remainder);
}

Integer operator%(const Integer& a, const Integer& b) {
  Integer remainder;
  Integer::Divide(a, b, &remainder);
  return remainder;
}

std::strong_ordering operator<=>(const Integer& a, const Integer& b) {
  if (a.negative_ != b.negative_) {
    return a.negative_ ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  return a.negative_ ? Integer::Compare(b, a) : Integer::Compare(a, b);
}

Integer Integer::Gcd(Integer a, Integer b) {
  a.negative_ = b.negative_ = false;
  while (!b.zero()) {
    const std::optional<int64_t> x = a.ToInt64(), y = b.ToInt64();
    if (x && y) return Integer(std::gcd(*x, *y));
    a = std::exchange(b, a % b);
  }
  return a;
}

Integer Integer::Power(Integer base, uint32_t exponent) {
  Integer result(1);
  while (exponent != 0) {
    if ((exponent & 1) != 0) result = result * base;
    exponent >>= 1;
    if (exponent != 0) base = base * base;
  }
  return result;
}

std::optional<int64_t> Integer::ToInt64() const {
  if (limbs_.size() > 2) return std::nullopt;
  uint64_t size = 0;
  for (size_t i = limbs_.size(); i-- > 0;) size = size << kLimbBits | limbs_[i];
  if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  const auto value = static_cast<int64_t>(size);
  return negative_ ? -value : value;
}

double Integer::Mantissa(int* exponent) const {
  *exponent = 0;
  if (zero()) return 0;
  const size_t n = limbs_.size(), used = std::min<size_t>(n, 3);
  unsigned __int128 wide = 0;
  for (size_t i = n; i-- > n - used;) wide = wide << kLimbBits | limbs_[i];
  const int bits = static_cast<int>(used) * kLimbBits - std::countl_zero(limbs_.back());
  const int drop = std::max(0, bits - 64);
  const auto top = static_cast<uint64_t>(wide >> drop);
  *exponent = static_cast<int>(n - used) * kLimbBits + drop;
  return negative_ ? -static_cast<double>(top) : static_cast<double>(top);
}

double Integer::ToDouble() const {
  int exponent = 0;
  const double mantissa = Mantissa(&exponent);
  return std::ldexp(mantissa, exponent);
}

std::string Integer::ToString() const {
  if (zero()) return "0";
  std::string digits;
  Integer rest = *this;
  while (!rest.zero()) {
    constexpr int kStep = 9;
    uint32_t low = rest.DivideSmall(1'000'000'000);
    for (int i = 0; i < kStep && (low != 0 || !rest.zero()); ++i, low /= 10) {
      digits.push_back(static_cast<char>('0' + low % 10));
    }
  }
  if (negative_) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace lorikeet::math
