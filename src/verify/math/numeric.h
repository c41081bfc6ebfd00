// Values in floating point, for what has no exact one (verify/math/exact.h).
#pragma once
#include <complex>
#include <cstdint>

#include "verify/math/exact.h"
#include "verify/math/expression.h"

namespace lorikeet::math {

enum class Match : uint8_t { kEqual, kDifferent, kUnknown };

// Compares two expressions at fixed pseudo-random values of their variables, positive ones and, as
// far as everything stays real, negative ones. Equal where they differ by less than `tolerance`
// times the larger; also by less than 1e-13 of the largest summand that cancelled. kUnknown: the
// reference has no finite value at enough of the points.
Match CompareNumerically(const Expression& reference, const Expression& answer, double tolerance,
                         Scope& scope);

// Whether a / b is the same constant everywhere, of positive sign if `positive`.
Match CompareProportion(const Expression& a, const Expression& b, bool positive, Scope& scope);

// Of a constant expression; not a number if it has no finite real value.
double RealValue(const Expression& expression, Scope& scope);

}  // namespace lorikeet::math
