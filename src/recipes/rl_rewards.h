// The rewards that a run adds up, from --rewards, --reward-command and --reward-url.
#pragma once
#include "recipes/rl_options.h"
#include "verify/rewards/function.h"

namespace lorikeet {

// Checks options.rewards and, if it is empty, sets it to all commands and URLs, or to the grader if
// there are none. Throws Error(kInvalidArgument) for names of rewards that are not given, and for
// commands and URLs that are given but not named.
void ResolveRewards(RlOptions& options);

// True if the problems' own graders are used, so that each problem needs one. The options must be
// resolved.
bool GraderCounts(const RlOptions& options);

// Starts the commands. The options must be resolved. Throws Error.
RewardFunction MakeReward(const RlOptions& options);

}  // namespace lorikeet
