// Which rewards a run adds up, from --rewards, --reward-command and --reward-url.
#pragma once
#include "cli/rl_options.h"
#include "verify/rewards/function.h"

namespace lorikeet {

// Checks options.rewards and fills it where it is empty: with all commands and URLs, or with the
// grader where there are none. Throws Error(kInvalidArgument) for names that stand for nothing, and
// for commands and URLs that no name stands for.
void ResolveRewards(RlOptions& options);

// Whether the problems' own graders are asked and must know what to say. Of resolved options.
bool GraderCounts(const RlOptions& options);

// Of resolved options; starts the commands. Throws Error.
RewardFunction MakeReward(const RlOptions& options);

}  // namespace lorikeet
