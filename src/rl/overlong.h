// The soft overlong penalty of DAPO (arXiv 2503.14476, eq. 13) for completions near max_tokens.
#pragma once
#include <cstdint>
#include <span>

#include "rl/rollout.h"

namespace lorikeet {

// 0 up to max_tokens - buffer tokens, then linear down to -1 at max_tokens. 0 < buffer <=
// max_tokens.
double OverlongPenalty(int64_t tokens, int64_t max_tokens, int64_t buffer);

// Adds the penalty to every reward; verdicts do not change.
void AddOverlongPenalties(int64_t max_tokens, int64_t buffer, std::span<Group> groups);

}  // namespace lorikeet
