// Reward functions: the problems' own graders, a format check, or a program or server of the user.
// docs/rl_rewards.md states both protocols.
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
  std::string_view prompt;           // input text of the model
  std::string_view completion;       // ill-formed UTF-8 is replaced by U+FFFD
};

// One grade per request, in their order. A reward is any number up to 1e12 in size; a missing or
// late reward or one that is not a number is kInvalid with the reason, never 0. Called by one
// thread at a time; waits for the whole batch.
using RewardFunction = std::function<std::vector<Grade>(std::span<const RewardRequest>)>;

// Whether the user wants the run to stop: a batch is then given up, and what is missing is invalid.
// May be empty.
using StopRequest = std::function<bool()>;

// Each problem's own grader (verify/grader.h), on all threads.
RewardFunction GraderReward();

// 1 for a completion that begins with <think>, has no second one, and has a </think> after it; else
// 0. The rule of TRL's think_format_reward, except that a prompt that ends with <think> counts as
// the start of the completion: templates of reasoning models open the thought themselves.
RewardFunction ThinkFormatReward();

// Rewards from `command`, run by /bin/sh -c. It is started here and lives as long as the last copy
// of the function: then its stdin is closed, followed by SIGTERM and at last SIGKILL if it does not
// end. A command that dies is restarted, once per batch; one that is late is ended and restarted
// for the next batch. `timeout`: per batch, in seconds. It ends with this process, however that
// ends. Throws Error(kIo) if no process can be created.
RewardFunction ProcessReward(const std::string& command, double timeout,
                             const StopRequest& stop = {});

// Rewards from a server, which gets a batch by POST. Failed connections and statuses 429 and 5xx
// are retried, four tries in all, with growing pauses, within `timeout` seconds for the batch.
// Throws Error(kInvalidArgument) unless `url` is http:// or https://.
RewardFunction HttpReward(const std::string& url, double timeout, const StopRequest& stop = {});

}  // namespace lorikeet
