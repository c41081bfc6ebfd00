// Comparison of two answers by value.
#pragma once
#include "verify/math/exact.h"
#include "verify/math/expression.h"
#include "verify/math/numeric.h"

namespace lorikeet::math {

// Compares exactly if both have an exact value, else numerically within kTolerance; if a decimal is
// involved and neither side is an integer, within kDecimalTolerance (both relative).
// kUnknown: the reference has no known value. Throws Error(kOutOfMemory) beyond the budget.
inline constexpr double kTolerance = 1e-9, kDecimalTolerance = 1e-6;
Match Compare(const Expression& reference, const Expression& answer, Scope& scope);

}  // namespace lorikeet::math
