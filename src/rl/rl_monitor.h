// An `RlMonitor` detects failures of reinforcement learning that the reward does not show: steps
// without signal, runaway length, and drift from the sampler.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "core/json.h"
#include "rl/rl_report.h"

namespace lorikeet {

class RlMonitor {
 public:
  // Returns the warnings for the user after this step. A warning is repeated only if its condition
  // ended in between. Steps must come in order.
  std::vector<std::string> Observe(const StepReport& report);

  // At least half of the last step's completions were cut off at max_tokens, and their mean length
  // was at least twice that of the first step.
  bool runaway() const { return runaway_; }
  double first_reward() const { return first_reward_; }
  // Mean reward of the last kRecent steps, or of all if there are fewer.
  double RecentReward() const;
  static constexpr size_t kRecent = 10;

  Json ToJson() const;
  void FromJson(const Json& json);  // throws Json::exception unless ToJson wrote it

 private:
  void CheckSignal(const StepReport& report, std::vector<std::string>* notes);
  void CheckLength(const StepReport& report, std::vector<std::string>* notes);
  void CheckDrift(const StepReport& report, std::vector<std::string>* notes);

  int64_t steps_ = 0;
  int64_t flat_steps_ = 0;  // consecutive steps in which no group had signal
  double first_length_ = 0, first_reward_ = 0;
  std::deque<double> recent_;  // rewards of the last steps
  bool runaway_ = false;
  bool drifted_ = false;  // the KL between sampler and policy is too large
};

// What the steps of a whole run gave to learn from.
class SignalTotals {
 public:
  void Observe(const StepReport& report);
  int64_t steps_without_signal() const { return flat_steps_; }
  // The reason why nothing was learned, of a run whose steps all left the model as it was.
  std::string WhyNothing() const;

  Json ToJson() const;
  void FromJson(const Json& json);  // throws Json::exception unless ToJson wrote it

 private:
  int64_t steps_ = 0, flat_steps_ = 0;     // flat: no group had different rewards
  int64_t completions_ = 0, correct_ = 0;  // valid completions; correct ones among them
  std::string last_invalid_reason_;        // "": none was invalid
};

}  // namespace lorikeet
