// From the rewards of a group of completions of one prompt to what each completion's tokens are
// weighed with.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "verify/task.h"

namespace lorikeet {

enum class AdvantageKind : uint8_t {
  kCentred,       // A_i = R_i - mean(R): nothing is divided by
  kStandardised,  // A_i = (R_i - mean(R)) / (std(R) + 1e-4): GRPO, arXiv 2402.03300, section 4.1.2
  kLeaveOneOut,   // A_i = R_i - mean of the others' R: RLOO, arXiv 2402.14740
};

struct GroupAdvantages {
  std::vector<double> advantages;  // by completion; 0 for those that are invalid
  int64_t valid = 0;
  double mean = 0, std = 0;  // of the valid ones' rewards; std with n - 1, as torch's
  // All valid rewards alike, or fewer than two of them: nothing to learn from.
  bool has_signal = false;
};

// Invalid completions count for nothing: neither in the mean nor as a reward.
GroupAdvantages AdvantagesOf(std::span<const Grade> group, AdvantageKind kind);

}  // namespace lorikeet
