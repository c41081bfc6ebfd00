// Exact values of expressions: quotients of polynomials (verify/math/polynomial.h).
#pragma once
#include <map>
#include <optional>
#include <string>

#include "verify/math/atoms.h"
#include "verify/math/expression.h"
#include "verify/math/quotient.h"

namespace lorikeet::math {

// State that the two sides of a comparison share.
struct Scope {
  Budget budget;
  std::map<std::string, int64_t> variables;  // generators of the symbols
  std::optional<int> point;    // variables are not symbols but fixed pseudo-random integers
  std::optional<Atoms> atoms;  // if present, functions and roots of sums have values, too

  Polynomial ValueOf(const std::string& symbol);
};

// Absent if the expression does not have such a value: tuples and relations; without atoms also
// functions of irrational arguments, roots of sums and variables in exponents. Throws
// Error(kInvalidArgument) for a division by zero and Error(kOutOfMemory) beyond the budget.
std::optional<Quotient> ExactValue(const Expression& expression, Scope& scope);

}  // namespace lorikeet::math
