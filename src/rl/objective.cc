#include "rl/objective.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "core/error.h"
#include "core/suggest.h"

namespace lorikeet {
namespace {

std::vector<Objective> AllObjectives() {
  using enum Normalisation;
  using enum AdvantageKind;
  const auto loss = [](LossFn fn, double low, double high) {
    return LossConfig{.fn = fn, .clip_low = low, .clip_high = high};
  };
  return {
      {"importance_sampling", "ratio times advantage, centred; nothing is clipped or divided",
       loss(LossFn::kImportanceSampling, 0, 0), kCentred, kCompletions},
      {"ppo", "the same with clipped ratios", loss(LossFn::kPpo, 0.2, 0.2), kCentred, kCompletions},
      {"grpo", "advantages over their deviation, a mean over each completion's tokens",
       loss(LossFn::kPpo, 0.2, 0.2), kStandardised, kCompletionLengths},
      {"dr_grpo", "grpo without its two divisions", loss(LossFn::kPpo, 0.2, 0.2), kCentred,
       kCompletions},
      {.name = "dapo",
       .summary =
           "grpo with a higher upper bound, a mean over all tokens, new groups for those without "
           "signal, and rewards that fall as max_tokens comes near",
       .loss = loss(LossFn::kPpo, 0.2, 0.28),
       .advantages = kStandardised,
       .normalisation = kTokens,
       .filter_groups = true,
       .overlong_share = 0.2},
      {"cispo", "clipped ratios as constant weights, a mean over all tokens",
       loss(LossFn::kCispo, 1, 0.28), kStandardised, kTokens},
      {.name = "gspo",
       .summary = "one clipped ratio for a whole completion",
       .loss = loss(LossFn::kGspo, 3e-4, 4e-4),
       .advantages = kStandardised,
       .normalisation = kCompletions},
      {"rloo", "against the mean of the others, unclipped", loss(LossFn::kImportanceSampling, 0, 0),
       kLeaveOneOut, kCompletions},
  };
}

// The prompt's tokens are targets of weight 0, the completion's of weight `weight`. The prompt
// without its last token is the prefix shared by group `index`, and is computed once: the row of
// the last token predicts the completion's first token, which differs.
Example ExampleOf(const Group& group, size_t index, const Rollout& rollout, double advantage,
                  double weight) {
  Example example;
  example.prefix_group = static_cast<int64_t>(index);
  example.shared_prefix = static_cast<int64_t>(group.prompt.size()) - 1;
  example.tokens = group.prompt;
  const std::vector<int32_t>& completion = rollout.generation.tokens;
  example.tokens.insert(example.tokens.end(), completion.begin(), completion.end() - 1);
  example.target_tokens.assign(group.prompt.begin() + 1, group.prompt.end());
  example.target_tokens.insert(example.target_tokens.end(), completion.begin(), completion.end());
  const size_t masked = group.prompt.size() - 1, n = example.tokens.size();
  example.weights.assign(n, static_cast<float>(weight));
  std::fill_n(example.weights.begin(), masked, 0.0F);
  example.advantages.assign(n, advantage);
  example.logprobs.assign(masked, 0.0F);
  const std::vector<float>& sampled = rollout.generation.sampled_logprobs;
  example.logprobs.insert(example.logprobs.end(), sampled.begin(), sampled.end());
  return example;
}

}  // namespace

std::span<const Objective> Objectives() {
  static const std::vector<Objective> objectives = AllObjectives();
  return objectives;
}

const Objective& GetObjective(std::string_view name) {
  std::vector<std::string> names;
  for (const Objective& objective : Objectives()) {
    if (objective.name == name) return objective;
    names.push_back(objective.name);
  }
  std::string known;
  for (const std::string& each : names) known += (known.empty() ? "" : ", ") + each;
  Fail(ErrorCode::kInvalidArgument, "no objective '{}'{}; there are {}", name,
       DidYouMean(name, names), known);
}

PolicyBatch MakePolicyBatch(std::span<const Group> groups, const Objective& objective) {
  PolicyBatch batch;
  double completions = 0, tokens = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    std::vector<Grade> grades;
    for (const Rollout& rollout : group.rollouts) grades.push_back(rollout.grade);
    const GroupAdvantages advantages = AdvantagesOf(grades, objective.advantages);
    for (size_t i = 0; i < group.rollouts.size(); ++i) {
      const Rollout& rollout = group.rollouts[i];
      if (rollout.grade.verdict == Verdict::kInvalid) continue;
      CHECK(!rollout.generation.tokens.empty());
      const auto length = static_cast<double>(rollout.generation.tokens.size());
      completions += 1;
      tokens += length;
      if (advantages.advantages[i] == 0 && objective.loss.kl_coef == 0) continue;
      const bool per_length = objective.normalisation == Normalisation::kCompletionLengths;
      batch.examples.push_back(
          ExampleOf(group, g, rollout, advantages.advantages[i], per_length ? 1 / length : 1));
      batch.rollouts.push_back(&rollout);
      batch.rollout_advantages.push_back(advantages.advantages[i]);
    }
  }
  if (!batch.examples.empty()) {
    batch.divisor = objective.normalisation == Normalisation::kTokens ? tokens : completions;
  }
  return batch;
}

namespace {

// log r of each trained token.
std::vector<double> LogRatios(const Example& example, const std::vector<float>& logprobs) {
  std::vector<double> ratios;
  for (size_t t = 0; t < example.tokens.size(); ++t) {
    if (example.weights[t] == 0) continue;
    ratios.push_back(static_cast<double>(logprobs[t]) - static_cast<double>(example.logprobs[t]));
  }
  return ratios;
}

// Whether the ratio is beyond the clipping bound for an advantage of this sign.
bool IsClipped(const LossConfig& loss, double ratio, double advantage) {
  return advantage > 0 ? ratio > 1 + loss.clip_high : advantage < 0 && ratio < 1 - loss.clip_low;
}

bool HasBounds(const Objective& objective) {
  const LossFn fn = objective.loss.fn;
  return fn == LossFn::kPpo || fn == LossFn::kCispo || fn == LossFn::kGspo;
}

}  // namespace

RatioStats RatioStatsOf(const PolicyBatch& batch, std::span<const std::vector<float>> logprobs,
                        const Objective& objective) {
  CHECK(logprobs.size() == batch.examples.size());
  RatioStats stats{
      .ratio_min = std::numeric_limits<double>::infinity(), .ratio_mean = 0, .ratio_max = 0};
  const bool by_sequence = IsSequenceLoss(objective.loss.fn);
  double tokens = 0, clipped = 0;
  for (size_t i = 0; i < logprobs.size(); ++i) {
    const std::vector<double> log_ratios = LogRatios(batch.examples[i], logprobs[i]);
    const double advantage = batch.rollout_advantages[i];
    for (const double log_ratio : log_ratios) {
      const double ratio = std::exp(log_ratio);
      stats.logp_difference = std::max(stats.logp_difference, std::abs(log_ratio));
      stats.kl += std::expm1(log_ratio) - log_ratio;
      stats.ratio_min = std::min(stats.ratio_min, ratio);
      stats.ratio_max = std::max(stats.ratio_max, ratio);
      stats.ratio_mean += ratio;
      tokens += 1;
      if (!by_sequence) clipped += IsClipped(objective.loss, ratio, advantage) ? 1 : 0;
    }
    if (by_sequence) {
      clipped += IsClipped(objective.loss, SequenceRatio(log_ratios), advantage) ? 1 : 0;
    }
  }
  if (tokens == 0) return {};
  stats.kl /= tokens;
  stats.ratio_mean /= tokens;
  const double count = by_sequence ? static_cast<double>(logprobs.size()) : tokens;
  stats.clipped = HasBounds(objective) ? clipped / count : 0;
  return stats;
}

}  // namespace lorikeet
