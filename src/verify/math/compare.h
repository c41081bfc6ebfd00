// Whether two answers are the same by value.
#pragma once
#include "verify/math/exact.h"
#include "verify/math/expression.h"
#include "verify/math/numeric.h"

namespace lorikeet::math {

// Exactly where both have an exact value, else numerically within kTolerance; where a decimal is
// involved and neither side is an integer, within kDecimalTolerance (both relative).
// kUnknown: the reference has no value that is known. Throws Error(kOutOfMemory) over budget.
inline constexpr double kTolerance = 1e-9, kDecimalTolerance = 1e-6;
Match Compare(const Expression& reference, const Expression& answer, Scope& scope);

}  // namespace lorikeet::math
