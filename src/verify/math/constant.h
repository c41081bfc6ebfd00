// Proofs about constants: expressions without variables.
#pragma once
#include <cstdint>
#include <optional>

#include "verify/math/enclosure.h"
#include "verify/math/expression.h"

namespace lorikeet::math {

enum class Zero : uint8_t {
  kYes,
  kNo,
  kOpen,  // not known: neither follows from the bits that were computed
};

// Whether the value is zero. "No" follows from an interval without 0. "Yes" follows for algebraic
// numbers (roots, cosines of rational angles): one that is not zero is at least as far from it as
// its degree and the size of its conjugates say (Burnikel, Funke, Mehlhorn, Schirra and Schmitt,
// "A separation bound for real algebraic expressions", Algorithmica 55, 2009).
// Spends work of scope.budget; throws Error(kOutOfMemory) beyond it.
Zero IsZero(const Expression& constant, Scope& scope);

// -1, 0 or 1; absent if it is not known, or the value is not real.
std::optional<int> SignOf(const Expression& constant, Scope& scope);

// Bits after the point that are enough to tell an algebraic number from zero; absent for others.
std::optional<int64_t> SeparationBits(const Expression& constant, Scope& scope);

// The rational r for which the expression is exactly r pi (r pi i if `imaginary`).
std::optional<Rational> MultipleOfPi(const Expression& constant, bool imaginary, Scope& scope);

// The same value with constant parts evaluated: rational numbers, angles in degrees, floor(sqrt 5),
// |1 - sqrt 2|, arctan 1. Verdicts about them are proofs; what is not known stays as it is.
Expression Simplified(const Expression& expression, Scope& scope);

}  // namespace lorikeet::math
