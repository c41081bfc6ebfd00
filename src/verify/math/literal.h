// Exact values of written numbers.
#pragma once
#include <string>
#include <string_view>

#include "verify/math/expression.h"

namespace lorikeet::math {

// Reads "12", "3.", ".5", "1.5e-3" as from Tokenize. With an exponent: a product with an
// unevaluated power of ten, so that 1e999999999 costs nothing. Throws Error(kInvalidArgument) for
// an exponent of more than nine digits.
Expression Literal(std::string_view text);

// A literal followed by repeating digits: ("0.1", "6") is 1/6. `period`: digits only.
Expression RepeatingLiteral(std::string_view start, std::string_view period);

// "0.1666" of 0.1666...: 1/6, as its last digits repeat three times or more. Digits that occur
// twice (0.1212...) repeat if `twice`; without repetition the digits as they are.
Expression EllipsisLiteral(std::string_view text, bool twice);

Expression SmallNumber(int64_t value);
Expression Unary(Kind kind, Expression child, std::string text = {});
Expression Binary(Kind kind, Expression first, Expression second, std::string text = {});

}  // namespace lorikeet::math
