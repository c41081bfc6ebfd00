// A `Quotient` is a quotient of polynomials (verify/math/polynomial.h).
#pragma once
#include <optional>

#include "verify/math/polynomial.h"

namespace lorikeet::math {

struct Quotient {
  Polynomial num, den;  // den is not zero, and 1 if it has one term
};

Quotient Number(const Rational& value);
Quotient Whole(Polynomial value);  // value / 1

// All throw Error(kOutOfMemory) beyond the budget, and Error(kInvalidArgument) for a division by
// zero.
Quotient Divided(Polynomial num, Polynomial den, Budget& budget);
Quotient Plus(const Quotient& a, const Quotient& b, Budget& budget);
Quotient Minus(const Quotient& a, const Quotient& b, Budget& budget);
Quotient Times(const Quotient& a, const Quotient& b, Budget& budget);
Quotient Inverse(const Quotient& a, Budget& budget);
Polynomial WholePower(Polynomial base, int64_t exponent, Budget& budget);
// Absent if the power is not a quotient: a root of a sum, and what TermPower refuses.
std::optional<Quotient> Power(const Quotient& base, const Rational& exponent, Budget& budget);

bool Equal(const Quotient& a, const Quotient& b, Budget& budget);
// Its value if it is a rational number.
std::optional<Rational> ToRational(const Quotient& value);

}  // namespace lorikeet::math
