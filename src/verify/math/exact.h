// Exact values of expressions: quotients of polynomials (verify/math/polynomial.h).
#pragma once
#include <map>
#include <optional>
#include <string>

#include "verify/math/expression.h"
#include "verify/math/polynomial.h"

namespace lorikeet::math {

struct Quotient {
  Polynomial num, den;  // den is not zero, and 1 if it has one term
};

// State that the two sides of a comparison share.
struct Scope {
  Budget budget;
  std::map<std::string, int64_t> variables;  // generators of the symbols
  std::optional<int> point;  // variables are not symbols but fixed pseudo-random integers

  Polynomial ValueOf(const std::string& symbol);
};

// Absent if the expression does not have such a value: functions of irrational arguments, roots of
// sums, variables in exponents, tuples and relations. Throws Error(kInvalidArgument) for a division
// by zero and Error(kOutOfMemory) beyond the budget.
std::optional<Quotient> ExactValue(const Expression& expression, Scope& scope);

bool Equal(const Quotient& a, const Quotient& b, Budget& budget);
std::optional<Rational> ToRational(const Quotient& value);

}  // namespace lorikeet::math
