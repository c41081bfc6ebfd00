#include "rl/overlong.h"

#include <algorithm>

#include "core/check.h"

namespace lorikeet {

double OverlongPenalty(int64_t tokens, int64_t max_tokens, int64_t buffer) {
  CHECK(0 < buffer && buffer <= max_tokens);
  const int64_t over = std::clamp<int64_t>(tokens - (max_tokens - buffer), 0, buffer);
  return -static_cast<double>(over) / static_cast<double>(buffer);
}

void AddOverlongPenalties(int64_t max_tokens, int64_t buffer, std::span<Group> groups) {
  for (Group& group : groups) {
    for (Rollout& rollout : group.rollouts) {
      const auto tokens = static_cast<int64_t>(rollout.generation.tokens.size());
      rollout.grade.reward += OverlongPenalty(tokens, max_tokens, buffer);
    }
  }
}

}  // namespace lorikeet
