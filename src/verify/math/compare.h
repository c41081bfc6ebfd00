// Comparison of two answers by value.
#pragma once
#include "verify/math/decide.h"
#include "verify/math/expression.h"

namespace lorikeet::math {

// Compares exactly if both have an exact value, else by proofs (verify/math/decide.h). If a decimal
// is involved and neither side is an integer, a relative difference of 1e-6 is accepted. kUnknown:
// the reference has no known value. Throws Error(kOutOfMemory) beyond the budget.
Match Compare(const Expression& reference, const Expression& answer, Scope& scope);

}  // namespace lorikeet::math
