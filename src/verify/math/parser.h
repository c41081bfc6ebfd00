// Text of an answer -> tree. docs/rl_rewards.md lists what is read.
#pragma once
#include <string_view>

#include "verify/math/budget.h"
#include "verify/math/expression.h"
#include "verify/math/lexer.h"

namespace lorikeet::math {

// All of `text` or nothing: throws Error(kInvalidArgument) where it is no expression, and
// Error(kOutOfMemory) where it has too many parts or is nested too deeply.
Expression Parse(std::string_view text, const Reading& reading, Budget& budget);

}  // namespace lorikeet::math
