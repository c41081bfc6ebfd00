// The claim of an answer, independent of its form: "x = 5" claims 5, "x > 5" the interval
// (5, infinity), "x = \pm 2" the numbers -2 and 2.
#pragma once
#include <optional>
#include <set>
#include <string>

#include "verify/math/budget.h"
#include "verify/math/expression.h"

namespace lorikeet::math {

std::set<std::string> Variables(const Expression& expression);
bool HasVariables(const Expression& expression);
bool HasDecimals(const Expression& expression);
bool HasInfinity(const Expression& expression);

struct Claim {
  std::string name;  // name of the value: "x", "f x", "(x, y)"; may be empty
  Expression value;
  bool application = false;  // f(0) = 1: a value of a function, and no equation
};

// A point "Q(2,3)" as the equation Q = (2,3); other expressions as they are.
Expression WithPointNamed(const Expression& expression);

// A text that is the same for expressions that differ in the order of summands and factors.
std::string OrderedText(const Expression& expression);

// The claim of a kRelation: name = value, a chain of equations that ends in the value, value
// \approx rounded, name in set, name < 5, 1 < name < 5, name != 5. Absent for other relations (x +
// y = 3).
std::optional<Claim> ReadClaim(const Expression& relation);

// The expression without +- (two values), with products of numbers and a matrix expanded, and with
// the real numbers as an interval. Throws Error(kOutOfMemory) beyond the budget.
Expression Expanded(const Expression& expression, Budget& budget);

}  // namespace lorikeet::math
