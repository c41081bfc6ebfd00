// Comparison of values for which the exact form (verify/math/exact.h) does not decide.
#pragma once
#include <cstdint>

#include "verify/math/exact.h"
#include "verify/math/expression.h"

namespace lorikeet::math {

enum class Match : uint8_t {
  kEqual,      // proven, or within a tolerance that decimals have
  kDifferent,  // proven
  kUnknown,    // the reference has no value
  kUnproven,   // equal as far as was computed, without a proof
};

// Compares two expressions. "Different" follows from intervals that do not touch, at fixed values
// of the variables: positive ones and, where all values stay real, negative ones. "Equal" follows
// from equal polynomials with atoms (verify/math/atoms.h), or for constants from a separation bound
// (verify/math/constant.h), and for decimals from intervals whose distance is below the tolerance.
Match CompareValues(const Expression& reference, const Expression& answer, bool decimals,
                    Scope& scope);

// Whether a / b is the same constant everywhere, of positive sign if `positive`. Different if a
// side has no variables.
Match CompareProportion(const Expression& a, const Expression& b, bool positive, Scope& scope);

// Relative difference that decimals may have.
inline constexpr int64_t kDecimalPrecision = 1'000'000;

}  // namespace lorikeet::math
