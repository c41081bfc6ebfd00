// The soft penalty for completions that come near the limit of their length.
#pragma once
#include <cstdint>
#include <span>

#include "rl/rollout.h"

namespace lorikeet {

// 0 up to max_tokens - buffer tokens, then down in a line to -1 at max_tokens: DAPO, arXiv
// 2503.14476, eq. 13. 0 < buffer <= max_tokens.
double OverlongPenalty(int64_t tokens, int64_t max_tokens, int64_t buffer);

// Adds it to the rewards; verdicts stay.
void AddOverlongPenalties(int64_t max_tokens, int64_t buffer, std::span<Group> groups);

}  // namespace lorikeet
