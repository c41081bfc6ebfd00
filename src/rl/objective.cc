#include "rl/objective.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/error.h"
#include "core/nearest.h"

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
      {"dapo", "grpo with a higher upper bound and a mean over all tokens",
       loss(LossFn::kPpo, 0.2, 0.28), kStandardised, kTokens},
      {"cispo", "clipped ratios as constant weights, a mean over all tokens",
       loss(LossFn::kCispo, 1, 0.28), kStandardised, kTokens},
      {"rloo", "against the mean of the others, unclipped", loss(LossFn::kImportanceSampling, 0, 0),
       kLeaveOneOut, kCompletions},
  };
}

// Rows that predict the completion's tokens, and those of the prompt with weight 0.
Example ExampleOf(const Group& group, const Rollout& rollout, double advantage, double weight) {
  Example example;
  example.tokens = group.prompt;
  const std::vector<int32_t>& said = rollout.generation.tokens;
  example.tokens.insert(example.tokens.end(), said.begin(), said.end() - 1);
  example.target_tokens.assign(group.prompt.begin() + 1, group.prompt.end());
  example.target_tokens.insert(example.target_tokens.end(), said.begin(), said.end());
  const size_t masked = group.prompt.size() - 1, n = example.tokens.size();
  example.weights.assign(n, static_cast<float>(weight));
  std::fill_n(example.weights.begin(), masked, 0.0F);
  example.advantages.assign(n, static_cast<float>(advantage));
  example.logprobs.assign(masked, 0.0F);
  example.logprobs.insert(example.logprobs.end(), rollout.generation.logprobs.begin(),
                          rollout.generation.logprobs.end());
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
  for (const Group& group : groups) {
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
      if (advantages.advantages[i] == 0) continue;
      const bool per_length = objective.normalisation == Normalisation::kCompletionLengths;
      batch.examples.push_back(
          ExampleOf(group, rollout, advantages.advantages[i], per_length ? 1 / length : 1));
      batch.rollouts.push_back(&rollout);
    }
  }
  if (!batch.examples.empty()) {
    batch.divisor = objective.normalisation == Normalisation::kTokens ? tokens : completions;
  }
  return batch;
}

double LargestLogprobDifference(const PolicyBatch& batch,
                                std::span<const std::vector<float>> logprobs) {
  CHECK(logprobs.size() == batch.examples.size());
  double largest = 0;
  for (size_t i = 0; i < logprobs.size(); ++i) {
    const Example& example = batch.examples[i];
    for (size_t t = 0; t < example.tokens.size(); ++t) {
      if (example.weights[t] == 0) continue;
      largest = std::max(largest, std::abs(static_cast<double>(logprobs[i][t]) -
                                           static_cast<double>(example.logprobs[t])));
    }
  }
  return largest;
}

}  // namespace lorikeet
