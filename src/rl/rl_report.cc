#include "rl/rl_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "verify/rewards/mix.h"

namespace lorikeet {
namespace {

// Sums over the completions of a step. `all` and `length` include invalid ones.
struct Sums {
  double reward = 0, correct = 0, length = 0, truncated = 0, logprob = 0, all = 0;
  std::map<int64_t, int64_t> advantages;                   // millionths -> count
  std::map<std::string, std::pair<double, double>> tasks;  // sum of rewards, count
  RewardPartSums parts;
};

void AddRollout(const Problem& problem, const Rollout& rollout, Sums* sums, StepReport* report) {
  const Generation& generation = rollout.generation;
  const auto length = static_cast<int64_t>(generation.tokens.size());
  report->sampled_tokens += length;
  sums->all += 1;
  sums->length += static_cast<double>(length);
  sums->truncated += generation.reason == StopReason::kLength ? 1 : 0;
  for (const float logprob : generation.sampled_logprobs) sums->logprob += logprob;
  report->max_length = std::max(report->max_length, static_cast<double>(length));
  sums->parts.Add(rollout.grade);
  if (rollout.grade.verdict == Verdict::kInvalid) {
    ++report->invalid;
    report->invalid_reason = rollout.grade.reason;
    return;
  }
  ++report->completions;
  sums->reward += rollout.grade.reward;
  sums->correct += rollout.grade.verdict == Verdict::kCorrect ? 1 : 0;
  sums->tasks[problem.task].first += rollout.grade.reward;
  sums->tasks[problem.task].second += 1;
}

void AddAdvantages(std::span<const Grade> grades, const GroupAdvantages& advantages, Sums* sums) {
  for (size_t i = 0; i < grades.size(); ++i) {
    if (grades[i].verdict == Verdict::kInvalid) continue;
    ++sums->advantages[std::llround(advantages.advantages[i] * 1e6)];
  }
}

double EntropyInBits(const std::map<int64_t, int64_t>& counts, double total) {
  double bits = 0;
  for (const auto& [value, count] : counts) {
    const double share = static_cast<double>(count) / total;
    bits -= share * std::log2(share);
  }
  return bits;
}

// A stop string ends a completion through the callback; it is shown as "stop".
const char* HowItEnded(StopReason reason) {
  return StopReasonName(reason == StopReason::kCallback ? StopReason::kStop : reason);
}

// Characters of prompts and completions that a transcript keeps; others might move a terminal's
// cursor.
constexpr std::string_view kLayout = "\n\t";

bool IsValid(const Rollout& rollout) { return rollout.grade.verdict != Verdict::kInvalid; }

std::string Entry(const Rollout& rollout) {
  const Grade& grade = rollout.grade;
  return fmt::format("--- {}{}, {} tokens ({}){}{}\n{}\n",
                     IsValid(rollout) ? fmt::format("reward {:g}, ", grade.reward) : "",
                     VerdictName(grade.verdict), rollout.generation.tokens.size(),
                     HowItEnded(rollout.generation.reason), grade.reason.empty() ? "" : ": ",
                     WithoutControls(grade.reason), WithoutControls(rollout.text, kLayout));
}

// The best, the worst and the first invalid completion; the best only once if it is also the worst.
std::vector<const Rollout*> WorthReading(const Group& group) {
  const Rollout *best = nullptr, *worst = nullptr, *invalid = nullptr;
  for (const Rollout& rollout : group.rollouts) {
    if (!IsValid(rollout)) {
      if (invalid == nullptr) invalid = &rollout;
      continue;
    }
    if (best == nullptr || rollout.grade.reward > best->grade.reward) best = &rollout;
    if (worst == nullptr || rollout.grade.reward <= worst->grade.reward) worst = &rollout;
  }
  if (worst == best) worst = nullptr;
  std::vector<const Rollout*> all = {best, worst, invalid};
  std::erase(all, nullptr);
  return all;
}

// "=== add-1-42-7 (answer 12), mean reward 0.250 of 4, 1 invalid"
std::string Heading(const Group& group) {
  double sum = 0, valid = 0;
  for (const Rollout& rollout : group.rollouts) {
    if (!IsValid(rollout)) continue;
    sum += rollout.grade.reward;
    valid += 1;
  }
  const double invalid = static_cast<double>(group.rollouts.size()) - valid;
  return fmt::format("=== {} (answer {}){}{}", group.problem.id, group.problem.answer,
                     valid > 0 ? fmt::format(", mean reward {:.3f} of {}", sum / valid, valid) : "",
                     invalid > 0 ? fmt::format(", {} invalid", invalid) : "");
}

}  // namespace

StepReport ReportOf(std::span<const Group> groups) {
  StepReport report;
  Sums sums;
  double flat = 0;
  for (const Group& group : groups) {
    std::vector<Grade> grades;
    for (const Rollout& rollout : group.rollouts) {
      AddRollout(group.problem, rollout, &sums, &report);
      grades.push_back(rollout.grade);
    }
    const GroupAdvantages advantages = AdvantagesOf(grades, AdvantageKind::kCentred);
    flat += advantages.has_signal ? 0 : 1;
    AddAdvantages(grades, advantages, &sums);
  }
  const auto mean = [](double sum, double count) { return count > 0 ? sum / count : 0; };
  const auto count = static_cast<double>(report.completions);
  report.reward = mean(sums.reward, count);
  report.accuracy = mean(sums.correct, count);
  for (const auto& [task, sum] : sums.tasks) report.by_task[task] = mean(sum.first, sum.second);
  report.parts = sums.parts.Figures();
  report.advantage_entropy = EntropyInBits(sums.advantages, count);
  report.without_signal = mean(flat, static_cast<double>(groups.size()));
  report.mean_length = mean(sums.length, sums.all);
  report.truncated = mean(sums.truncated, sums.all);
  report.entropy = -mean(sums.logprob, static_cast<double>(report.sampled_tokens));
  return report;
}

Metrics MetricsOf(const StepReport& r) {
  const auto rate = [](int64_t tokens, double seconds) {
    return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
  };
  const RatioStats &first = r.update.first, &last = r.update.last;
  Metrics metrics = {{"reward", r.reward},
                     {"accuracy", r.accuracy},
                     {"frac_reward_zero_std", r.without_signal},
                     {"advantage_entropy", r.advantage_entropy},
                     {"completions/mean_length", r.mean_length},
                     {"completions/max_length", r.max_length},
                     {"completions/clipped_ratio", r.truncated},
                     {"completions/invalid", static_cast<double>(r.invalid)},
                     {"entropy", r.entropy},
                     {"sampling/logp_difference_max", first.logp_difference},
                     {"sampling/kl", first.kl},
                     {"sampling/rounds", static_cast<double>(r.rounds)},
                     {"sampling/tokens", static_cast<double>(r.sampled_tokens)},
                     {"training/tokens", static_cast<double>(r.update.tokens)},
                     {"off_policy/updates", static_cast<double>(r.update.updates)},
                     {"off_policy/kl", last.kl},
                     {"ratio/min", last.ratio_min},
                     {"ratio/mean", last.ratio_mean},
                     {"ratio/max", last.ratio_max},
                     {"clip_ratio", last.clipped},
                     {"loss", r.update.loss},
                     {"grad_norm", r.update.grad_norm},
                     {"learning_rate", r.learning_rate},
                     {"sampling_seconds", r.sampling_seconds},
                     {"training_seconds", r.training_seconds},
                     {"sampling/tokens_per_second", rate(r.sampled_tokens, r.sampling_seconds)},
                     {"training/tokens_per_second", rate(r.update.tokens, r.training_seconds)}};
  if (r.update.base_kl) metrics.emplace_back("kl", *r.update.base_kl);
  metrics.insert(metrics.end(), r.parts.begin(), r.parts.end());
  if (r.by_task.size() > 1) {
    for (const auto& [task, reward] : r.by_task) metrics.emplace_back("reward/" + task, reward);
  }
  return metrics;
}

std::string Transcript(std::span<const Group> groups) {
  std::string text;
  for (const Group& group : groups) {
    text += fmt::format("{}\n{}\n", WithoutControls(Heading(group)),
                        WithoutControls(group.prompt_text, kLayout));
    for (const Rollout* rollout : WorthReading(group)) text += Entry(*rollout);
  }
  return text;
}

}  // namespace lorikeet
