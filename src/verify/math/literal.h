// Numbers as they are written -> exact values.
#pragma once
#include <string>
#include <string_view>

#include "verify/math/expression.h"

namespace lorikeet::math {

// "12", "3.", ".5", "1.5e-3" as Tokenize gives them. With an exponent: a product with a power of
// ten that stays a power, so that 1e999999999 costs nothing. Throws Error(kInvalidArgument) for an
// exponent of more than nine digits.
Expression Literal(std::string_view text);

// Adds the digits that repeat for ever to a literal: ("0.1", "6") is 1/6. `period`: digits only.
Expression RepeatingLiteral(std::string_view start, std::string_view period);

Expression SmallNumber(int64_t value);
Expression Unary(Kind kind, Expression child, std::string text = {});
Expression Binary(Kind kind, Expression first, Expression second, std::string text = {});

}  // namespace lorikeet::math
