#include "rl/rl_monitor.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "core/format.h"

namespace lorikeet {

double RlMonitor::RecentReward() const {
  if (recent_.empty()) return 0;
  return std::accumulate(recent_.begin(), recent_.end(), 0.0) / static_cast<double>(recent_.size());
}

std::vector<std::string> RlMonitor::Observe(const StepReport& report) {
  if (++steps_ == 1) {
    first_length_ = report.mean_length;
    first_reward_ = report.reward;
  }
  recent_.push_back(report.reward);
  if (recent_.size() > kRecent) recent_.pop_front();
  std::vector<std::string> notes;
  CheckSignal(report, &notes);
  CheckLength(report, &notes);
  CheckDrift(report, &notes);
  return notes;
}

void RlMonitor::CheckSignal(const StepReport& report, std::vector<std::string>* notes) {
  constexpr int64_t kPatience = 3;
  flat_steps_ = report.without_signal == 1 ? flat_steps_ + 1 : 0;
  if (flat_steps_ != kPatience) return;
  std::string why = "nothing was learned from them";
  if (report.completions == 0) {
    why = "every completion was invalid; transcripts/ has the reasons";
  } else if (report.accuracy == 0) {
    why =
        "no completion was correct, so there is nothing to learn from; start with an easier "
        "--difficulty, a larger --max-tokens, or with sft";
  } else if (report.accuracy == 1) {
    why = "every completion was correct, so there is nothing left to learn; raise --difficulty";
  }
  notes->push_back(
      fmt::format("{} steps without different rewards in any group: {}", kPatience, why));
}

void RlMonitor::CheckLength(const StepReport& report, std::vector<std::string>* notes) {
  const bool before = runaway_;
  runaway_ = steps_ > 1 && report.truncated >= 0.5 && report.mean_length >= 2 * first_length_;
  if (!runaway_ || before) return;
  notes->push_back(
      fmt::format("runaway length: {} of the completions reach --max-tokens, {:.0f} tokens on "
                  "average against {:.0f} at first; treat this as a failure even if the reward "
                  "looks fine (try a lower --learning-rate, or --overlong-buffer)",
                  Percent(report.truncated), report.mean_length, first_length_));
}

void RlMonitor::CheckDrift(const StepReport& report, std::vector<std::string>* notes) {
  constexpr double kAlarm = 0.01;  // nats; larger values are reported to precede a collapse
  const double kl = std::max(report.update.first.kl, report.update.last.kl);
  const bool before = drifted_;
  drifted_ = kl > kAlarm;
  if (!drifted_ || before) return;
  notes->push_back(
      fmt::format("the trained policy is {:.3f} nats a token from the one that sampled; try fewer "
                  "--updates-per-batch or --minibatches, a lower --learning-rate, or --target-kl",
                  kl));
}

void SignalTotals::Observe(const StepReport& report) {
  ++steps_;
  flat_steps_ += report.without_signal == 1 ? 1 : 0;
  completions_ += report.completions;
  correct_ += std::llround(report.accuracy * static_cast<double>(report.completions));
  if (!report.invalid_reason.empty()) last_invalid_reason_ = report.invalid_reason;
}

std::string SignalTotals::WhyNothing() const {
  if (completions_ == 0) {
    return fmt::format("no completion had a usable reward; the last reason: {}",
                       last_invalid_reason_.empty() ? "none was given" : last_invalid_reason_);
  }
  if (flat_steps_ < steps_) {
    return "no update was large enough to change a parameter; give a larger --learning-rate";
  }
  if (correct_ == 0) {
    return "no completion was correct; start with an easier --difficulty, a larger --max-tokens, "
           "or with sft";
  }
  if (correct_ == completions_) {
    return "every completion was correct; raise --difficulty";
  }
  return "the completions of each prompt all had the same reward; raise --group-size, or change "
         "the reward";
}

Json SignalTotals::ToJson() const {
  return {{"steps", steps_},
          {"flat_steps", flat_steps_},
          {"completions", completions_},
          {"correct", correct_},
          {"last_invalid_reason", last_invalid_reason_}};
}

void SignalTotals::FromJson(const Json& json) {
  steps_ = json.at("steps").get<int64_t>();
  flat_steps_ = json.at("flat_steps").get<int64_t>();
  completions_ = json.at("completions").get<int64_t>();
  correct_ = json.at("correct").get<int64_t>();
  last_invalid_reason_ = json.at("last_invalid_reason").get<std::string>();
}

Json RlMonitor::ToJson() const {
  return {{"steps", steps_},
          {"flat_steps", flat_steps_},
          {"first_length", first_length_},
          {"first_reward", first_reward_},
          {"recent", recent_},
          {"runaway", runaway_},
          {"apart", drifted_}};
}

void RlMonitor::FromJson(const Json& json) {
  steps_ = json.at("steps").get<int64_t>();
  flat_steps_ = json.at("flat_steps").get<int64_t>();
  first_length_ = json.at("first_length").get<double>();
  first_reward_ = json.at("first_reward").get<double>();
  recent_ = json.at("recent").get<std::deque<double>>();
  runaway_ = json.at("runaway").get<bool>();
  drifted_ = json.at("apart").get<bool>();
}

}  // namespace lorikeet
