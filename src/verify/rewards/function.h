// Who says what completions are worth: the problems' own graders, a look at their form, or, from
// outside, a program or a server of the user's own. docs/rl_rewards.md holds both protocols.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/task.h"

namespace lorikeet {

struct RewardRequest {
  const Problem* problem = nullptr;  // messages, answer, data, task and id are sent
  std::string_view prompt;           // the text that the model was given
  std::string_view completion;       // need not be valid UTF-8: replaced by U+FFFD where it is not
};

// One grade for each request, in their order. A reward is any finite number; a reward that did not
// come, came too late or is no number is kInvalid with the reason, never 0. Called by one thread at
// a time; waits for the whole batch.
using RewardFunction = std::function<std::vector<Grade>(std::span<const RewardRequest>)>;

// Each problem's own grader (verify/grader.h), on all threads.
RewardFunction GraderReward();

// 1 for a completion that begins with <think>, has no second one, and a </think> somewhere behind
// it; else 0. The rule of TRL's think_format_reward, but that a prompt which ends with <think>
// counts as the completion's beginning: templates of reasoning models open the thought themselves.
RewardFunction ThinkFormatReward();

// Rewards from `command`, which /bin/sh -c runs. Started here and kept until the last copy of the
// function is gone: then its stdin is closed, and it is asked (SIGTERM) and at last made (SIGKILL)
// to end if it does not. A command that dies is started anew, once in a batch; one that is late is
// ended and started anew for the next batch. `timeout` is for a batch, in seconds.
// Throws Error(kIo) if no process can be made.
RewardFunction ProcessReward(const std::string& command, double timeout);

// Rewards from a server, to which a batch is posted. Connections that fail and statuses 429 and 5xx
// are tried again, four times in all, with growing pauses, within `timeout` seconds for the batch.
// Throws Error(kInvalidArgument) if `url` is none of http:// or https://.
RewardFunction HttpReward(const std::string& url, double timeout);

}  // namespace lorikeet
