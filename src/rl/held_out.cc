#include "rl/held_out.h"

#include <algorithm>

#include "core/check.h"
#include "rl/rl_report.h"

namespace lorikeet {
namespace {

std::vector<Group> SampleAndGrade(Generator& generator, const ChatFormat& format,
                                  const RolloutConfig& config, const RewardFunction& reward,
                                  std::span<const Problem> problems) {
  std::vector<Group> groups;
  for (const Problem& problem : problems) groups.push_back(format.MakeGroup(problem));
  SampleRollouts(generator, format, config, reward, groups);
  return groups;
}

std::vector<int64_t> PassCounts(int64_t samples) {
  std::vector<int64_t> counts;
  for (int64_t k = 1; k < samples; k *= 2) counts.push_back(k);
  counts.push_back(samples);
  return counts;
}

double MeanPassAtK(std::span<const Group> groups, int64_t k) {
  double sum = 0, problems = 0;
  for (const Group& group : groups) {
    int64_t valid = 0, correct = 0;
    for (const Rollout& rollout : group.rollouts) {
      valid += rollout.grade.verdict != Verdict::kInvalid ? 1 : 0;
      correct += rollout.grade.verdict == Verdict::kCorrect ? 1 : 0;
    }
    if (valid < k) continue;
    sum += PassAtK(valid, correct, k);
    problems += 1;
  }
  return problems > 0 ? sum / problems : 0;
}

}  // namespace

double PassAtK(int64_t n, int64_t c, int64_t k) {
  CHECK(0 <= c && c <= n && 1 <= k && k <= n);
  // C(n - c, k) / C(n, k) = product over i < k of (n - c - i) / (n - i)
  double none = 1;
  for (int64_t i = 0; i < k; ++i) {
    none *= static_cast<double>(std::max<int64_t>(n - c - i, 0)) / static_cast<double>(n - i);
  }
  return 1 - none;
}

Json HeldOutResult::ToJson() const {
  return {{"accuracy", accuracy},   {"reward", reward},   {"mean_length", mean_length},
          {"truncated", truncated}, {"invalid", invalid}, {"pass_at", pass_at}};
}

HeldOutResult HeldOutResult::FromJson(const Json& json) {
  return {.accuracy = json.at("accuracy").get<double>(),
          .reward = json.at("reward").get<double>(),
          .mean_length = json.at("mean_length").get<double>(),
          .truncated = json.at("truncated").get<double>(),
          .invalid = json.at("invalid").get<int64_t>(),
          .pass_at = json.at("pass_at").get<std::vector<std::pair<int64_t, double>>>()};
}

HeldOutResult EvaluateHeldOut(Generator& generator, const ChatFormat& format,
                              const HeldOutConfig& config, const RewardFunction& reward,
                              std::span<const Problem> problems) {
  RolloutConfig greedy{.group_size = 1, .sampling = config.sampling, .adapter = config.adapter};
  greedy.sampling.temperature = 0;
  const StepReport report = ReportOf(SampleAndGrade(generator, format, greedy, reward, problems));
  HeldOutResult result{.accuracy = report.accuracy,
                       .reward = report.reward,
                       .mean_length = report.mean_length,
                       .truncated = report.truncated,
                       .invalid = report.invalid};
  if (config.samples == 0) return result;
  const RolloutConfig sampled{
      .group_size = config.samples, .sampling = config.sampling, .adapter = config.adapter};
  const std::vector<Group> groups = SampleAndGrade(generator, format, sampled, reward, problems);
  for (const int64_t k : PassCounts(config.samples)) {
    result.pass_at.emplace_back(k, MeanPassAtK(groups, k));
  }
  return result;
}

}  // namespace lorikeet
