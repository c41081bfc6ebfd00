// Floating-point values of expressions without an exact value (verify/math/exact.h).
#pragma once
#include <complex>
#include <cstdint>

#include "verify/math/exact.h"
#include "verify/math/expression.h"

namespace lorikeet::math {

enum class Match : uint8_t { kEqual, kDifferent, kUnknown };

// Compares two expressions at fixed pseudo-random values of their variables: positive ones and,
// where all values stay real, negative ones. Equal if they differ by less than `tolerance` times
// the larger, or by less than 1e-13 of the largest cancelled summand. kUnknown: the reference has a
// finite value at too few points.
Match CompareNumerically(const Expression& reference, const Expression& answer, double tolerance,
                         Scope& scope);

// Whether a / b is the same constant everywhere, of positive sign if `positive`.
Match CompareProportion(const Expression& a, const Expression& b, bool positive, Scope& scope);

// Value of a constant expression; NaN if it does not have a finite real value.
double RealValue(const Expression& expression, Scope& scope);

}  // namespace lorikeet::math
