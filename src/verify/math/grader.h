// The math grader compares answers to mathematical questions by value. Its cost is bounded without
// timers: verdicts depend on the two texts alone. docs/rl_rewards.md states the rules.
#pragma once
#include <string>
#include <string_view>

#include "verify/task.h"

namespace lorikeet {

// Changes whenever a verdict may change.
inline constexpr int kMathGraderVersion = 2;

// Reward 1 if the final answer of `completion` (verify/math/answer.h) has the value of `reference`,
// else 0. kInvalid if the reference is neither mathematics nor words, or the comparison exceeds its
// budget. Does not throw for any text.
Grade GradeMath(std::string_view reference, std::string_view completion);

// Why the grader cannot use `reference` except to find the very same text again; "" if it can: it
// is a value, a choice or words.
std::string UnusableMathReference(std::string_view reference);

}  // namespace lorikeet
