// The parser: text of an answer to an Expression. docs/rl_rewards.md lists the accepted forms.
#pragma once
#include <string_view>

#include "verify/math/budget.h"
#include "verify/math/expression.h"
#include "verify/math/lexer.h"

namespace lorikeet::math {

// Parses all of `text`. Throws Error(kInvalidArgument) if it is not an expression, and
// Error(kOutOfMemory) if it has too many parts or is nested too deeply.
Expression Parse(std::string_view text, const Reading& reading, Budget& budget);

}  // namespace lorikeet::math
