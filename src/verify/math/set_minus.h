// Set differences: the real line or an interval without points.
#pragma once
#include "verify/math/exact.h"
#include "verify/math/expression.h"

namespace lorikeet::math {

// A kSetMinus of intervals and a finite set, as a union of intervals; of two finite sets, as a set.
// R - {0} is read as one, too. Other expressions, and those whose order is not known, are as they
// were.
Expression WithoutElements(const Expression& expression, Scope& scope);

}  // namespace lorikeet::math
