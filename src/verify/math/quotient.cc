#include "verify/math/quotient.h"

#include <utility>

#include "core/error.h"

namespace lorikeet::math {

Quotient Number(const Rational& value) { return Whole(Polynomial(value)); }

Quotient Whole(Polynomial value) { return {std::move(value), Polynomial(Rational(1))}; }

// A denominator of one term becomes a factor of the numerator.
Quotient Divided(Polynomial num, Polynomial den, Budget& budget) {
  if (den.zero()) Fail(ErrorCode::kInvalidArgument, "a division by zero");
  if (num.zero()) return Number(Rational());
  if (den.size() > 1) return {std::move(num), std::move(den)};
  const std::optional<Polynomial> inverse = TermPower(den, Rational(-1), budget);
  return {Product(num, *inverse, budget), Polynomial(Rational(1))};
}

Quotient Plus(const Quotient& a, const Quotient& b, Budget& budget) {
  if (a.den == b.den) return Divided(Sum(a.num, b.num, budget), a.den, budget);
  return Divided(Sum(Product(a.num, b.den, budget), Product(b.num, a.den, budget), budget),
                 Product(a.den, b.den, budget), budget);
}

Quotient Minus(const Quotient& a, const Quotient& b, Budget& budget) {
  return Plus(a, {Negative(b.num), b.den}, budget);
}

Quotient Times(const Quotient& a, const Quotient& b, Budget& budget) {
  return Divided(Product(a.num, b.num, budget), Product(a.den, b.den, budget), budget);
}

Quotient Inverse(const Quotient& a, Budget& budget) { return Divided(a.den, a.num, budget); }

Polynomial WholePower(Polynomial base, int64_t exponent, Budget& budget) {
  Polynomial power(Rational(1));
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) power = Product(power, base, budget);
    if (exponent > 1) base = Product(base, base, budget);
  }
  return power;
}

std::optional<Quotient> Power(const Quotient& base, const Rational& exponent, Budget& budget) {
  if (exponent.zero()) {
    if (base.num.zero()) Fail(ErrorCode::kInvalidArgument, "zero to the power zero");
    return Number(Rational(1));
  }
  if (base.num.zero()) {
    if (exponent.negative()) Fail(ErrorCode::kInvalidArgument, "a division by zero");
    return Number(Rational());
  }
  if (base.num.size() == 1 && base.den.size() == 1) {
    const std::optional<Polynomial> power = TermPower(base.num, exponent, budget);
    return power ? std::optional(Whole(*power)) : std::nullopt;
  }
  if (!exponent.integer()) return std::nullopt;
  const std::optional<int64_t> size = exponent.num().Abs().ToInt64();
  if (!size) Fail(ErrorCode::kOutOfMemory, "a power of a sum that is too high");
  const Quotient power =
      Divided(WholePower(base.num, *size, budget), WholePower(base.den, *size, budget), budget);
  return exponent.negative() ? Inverse(power, budget) : power;
}

bool Equal(const Quotient& a, const Quotient& b, Budget& budget) {
  if (a.den == b.den) return a.num == b.num;
  return Product(a.num, b.den, budget) == Product(b.num, a.den, budget);
}

std::optional<Rational> ToRational(const Quotient& value) {
  return value.den.size() == 1 ? value.num.ToRational() : std::nullopt;
}

}  // namespace lorikeet::math
