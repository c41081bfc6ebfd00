// Group-relative advantages: the factors of completions in the policy gradient, computed from the
// rewards of all completions of one prompt.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "verify/task.h"

namespace lorikeet {

enum class AdvantageKind : uint8_t {
  kCentred,       // A_i = R_i - mean(R), not divided by the standard deviation
  kStandardised,  // A_i = (R_i - mean(R)) / (std(R) + 1e-4): GRPO, arXiv 2402.03300, section 4.1.2
  kLeaveOneOut,   // A_i = R_i - mean of the others' R: RLOO, arXiv 2402.14740
};

struct GroupAdvantages {
  std::vector<double> advantages;  // one per completion; 0 for an invalid one
  int64_t valid = 0;               // number of valid completions
  double mean = 0, std = 0;        // mean and deviation (n - 1, as torch) of the valid rewards
  bool has_signal = false;         // at least two valid rewards differ
};

// Invalid completions are left out of the statistics. Without signal all advantages are 0.
GroupAdvantages AdvantagesOf(std::span<const Grade> group, AdvantageKind kind);

}  // namespace lorikeet
