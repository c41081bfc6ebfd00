// Exact evaluation of an arithmetic expression from an untrusted text.
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
  std::vector<int64_t> numbers;  // numbers in the expression, from left to right
  std::string error;             // reason why there is no value
};

// + - * / over whole numbers, with round brackets, signs and the conventional precedence; nothing
// else. At most 1000 bytes, 50 nested brackets, 64 numbers of at most 9 digits.
ExpressionValue EvaluateExpression(std::string_view text);

}  // namespace lorikeet
