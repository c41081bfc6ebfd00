#include "rl/rl_watch.h"

#include <fmt/format.h>

#include <numeric>

#include "core/format.h"

namespace lorikeet {

double RlWatch::RecentReward() const {
  if (recent_.empty()) return 0;
  return std::accumulate(recent_.begin(), recent_.end(), 0.0) / static_cast<double>(recent_.size());
}

std::vector<std::string> RlWatch::Look(const StepReport& report) {
  if (++steps_ == 1) {
    first_length_ = report.mean_length;
    first_reward_ = report.reward;
  }
  recent_.push_back(report.reward);
  if (recent_.size() > kRecent) recent_.pop_front();
  std::vector<std::string> notes;
  LookAtSignal(report, &notes);
  LookAtLength(report, &notes);
  LookAtSampler(report, &notes);
  return notes;
}

void RlWatch::LookAtSignal(const StepReport& report, std::vector<std::string>* notes) {
  constexpr int64_t kPatience = 3;
  flat_steps_ = report.without_signal == 1 ? flat_steps_ + 1 : 0;
  if (flat_steps_ != kPatience) return;
  std::string why = "nothing was learned from them";
  if (report.completions == 0) {
    why = fmt::format("every answer was invalid; {} holds the reasons", "transcripts/");
  } else if (report.accuracy == 0) {
    why =
        "no answer was right: where no sample is ever right there is nothing to learn from; an "
        "easier --difficulty, a longer --max-tokens, or sft first, gives a start";
  } else if (report.accuracy == 1) {
    why = "every answer was right: there is nothing left to learn; raise --difficulty";
  }
  notes->push_back(
      fmt::format("{} steps without two different rewards in any group: {}", kPatience, why));
}

void RlWatch::LookAtLength(const StepReport& report, std::vector<std::string>* notes) {
  const bool before = runaway_;
  runaway_ = steps_ > 1 && report.truncated >= 0.5 && report.mean_length >= 2 * first_length_;
  if (!runaway_ || before) return;
  notes->push_back(
      fmt::format("runaway length: {} of the answers reach --max-tokens, {:.0f} tokens on average "
                  "against {:.0f} "
                  "at first; take this for a failure even where the reward looks fine (a lower "
                  "--learning-rate, "
                  "or --overlong-buffer)",
                  Percent(report.truncated), report.mean_length, first_length_));
}

void RlWatch::LookAtSampler(const StepReport& report, std::vector<std::string>* notes) {
  constexpr double kAlarm = 0.01;  // nats: what others found to go before a collapse
  const double kl = std::max(report.update.first.kl, report.update.last.kl);
  const bool before = apart_;
  apart_ = kl > kAlarm;
  if (!apart_ || before) return;
  notes->push_back(fmt::format(
      "the policy that is trained is {:.3f} nats a token from the one that sampled; fewer "
      "--updates-per-batch or --minibatches, a lower --learning-rate, or --target-kl, keep it near",
      kl));
}

Json RlWatch::ToJson() const {
  return {{"steps", steps_},
          {"flat_steps", flat_steps_},
          {"first_length", first_length_},
          {"first_reward", first_reward_},
          {"recent", recent_},
          {"runaway", runaway_},
          {"apart", apart_}};
}

void RlWatch::FromJson(const Json& json) {
  steps_ = json.at("steps").get<int64_t>();
  flat_steps_ = json.at("flat_steps").get<int64_t>();
  first_length_ = json.at("first_length").get<double>();
  first_reward_ = json.at("first_reward").get<double>();
  recent_ = json.at("recent").get<std::deque<double>>();
  runaway_ = json.at("runaway").get<bool>();
  apart_ = json.at("apart").get<bool>();
}

}  // namespace lorikeet
