// Notices when a run of reinforcement learning goes wrong in a way that its reward does not show.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "core/json.h"
#include "rl/rl_report.h"

namespace lorikeet {

class RlWatch {
 public:
  // What a person should be told after this step: each thing once, and again only after it had
  // passed. Steps must come in order.
  std::vector<std::string> Look(const StepReport& report);

  // Half of the completions are cut off, and they are twice as long as at the first step: the
  // policy talks instead of answering, whatever its reward.
  bool runaway() const { return runaway_; }
  double first_reward() const { return first_reward_; }
  // Mean reward of the last steps, kRecent at most: single steps scatter.
  double RecentReward() const;
  static constexpr size_t kRecent = 10;

  Json ToJson() const;
  void FromJson(const Json& json);  // throws Json::exception for a state that is not ToJson's

 private:
  void LookAtSignal(const StepReport& report, std::vector<std::string>* notes);
  void LookAtLength(const StepReport& report, std::vector<std::string>* notes);
  void LookAtSampler(const StepReport& report, std::vector<std::string>* notes);

  int64_t steps_ = 0, flat_steps_ = 0;
  double first_length_ = 0, first_reward_ = 0;
  std::deque<double> recent_;
  bool runaway_ = false, apart_ = false;
};

}  // namespace lorikeet
