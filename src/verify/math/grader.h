// Grades answers to mathematical questions by value. Native, bounded and without timers: verdicts
// depend on nothing but the two texts. docs/rl_rewards.md states the rules.
#pragma once
#include <string_view>

#include "verify/task.h"

namespace lorikeet {

// Changes whenever a verdict may.
inline constexpr int kMathGraderVersion = 1;

// Whether the final answer of `completion` (verify/math/answer.h) has the value of `reference`:
// reward 1 or 0. kInvalid if the reference is no mathematics and no words, or the comparison is
// over budget. Never throws, whatever the texts.
Grade GradeMath(std::string_view reference, std::string_view completion);

}  // namespace lorikeet
