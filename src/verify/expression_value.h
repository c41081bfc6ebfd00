// The value of an arithmetic expression that somebody else wrote, exactly.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/math/rational.h"

namespace lorikeet {

struct ExpressionValue {
  std::optional<math::Rational> value;
  std::vector<int64_t> numbers;  // those written in it, from left to right
  std::string error;             // why there is no value
};

// + - * / over whole numbers, with round brackets, signs and the usual precedence; nothing else. At
// most 1000 bytes, 50 brackets deep, 64 numbers of at most 9 digits.
ExpressionValue EvaluateExpression(std::string_view text);

}  // namespace lorikeet
