#include "rl/policy_update.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lorikeet {
namespace {

std::vector<const Example*> Pointers(const PolicyBatch& batch) {
  std::vector<const Example*> pointers;
  for (const Example& example : batch.examples) pointers.push_back(&example);
  return pointers;
}

// Splits the groups, in order, into `count` mini-batches of nearly equal size, and drops those
// without examples.
std::vector<PolicyBatch> MiniBatches(std::span<const Group> groups, const Objective& objective,
                                     int64_t count) {
  std::vector<PolicyBatch> batches;
  const auto n = static_cast<int64_t>(groups.size());
  for (int64_t b = 0; b < count; ++b) {
    const int64_t begin = n * b / count, end = n * (b + 1) / count;
    PolicyBatch batch = MakePolicyBatch(
        groups.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), objective);
    if (batch.divisor > 0) batches.push_back(std::move(batch));
  }
  return batches;
}

// Fills in Example::reference_logprobs. Returns the sum of exp(d) - 1 - d over tokens, d =
// logp_base - logq, and the number of tokens.
std::pair<double, double> FillReferenceLogprobs(TrainingRun& run, double temperature,
                                                PolicyBatch* batch) {
  const ForwardBackwardOutput output =
      run.ForwardReference(Pointers(*batch), {.temperature = temperature});
  double sum = 0, tokens = 0;
  for (size_t i = 0; i < batch->examples.size(); ++i) {
    Example& example = batch->examples[i];
    example.reference_logprobs = output.logprobs[i];
    for (size_t t = 0; t < example.tokens.size(); ++t) {
      if (example.weights[t] == 0) continue;
      const double d =
          static_cast<double>(output.logprobs[i][t]) - static_cast<double>(example.logprobs[t]);
      sum += std::expm1(d) - d;
      tokens += 1;
    }
  }
  return {sum, tokens};
}

// Does nothing unless the KL to the base is measured or penalised. Returns its mean over tokens.
std::optional<double> FillReferenceLogprobs(TrainingRun& run, const UpdateConfig& config,
                                            std::vector<PolicyBatch>& batches) {
  const bool wanted = config.measure_base_kl || config.objective.loss.kl_coef > 0;
  if (!wanted || !run.has_reference()) return std::nullopt;
  double sum = 0, tokens = 0;
  for (PolicyBatch& batch : batches) {
    const auto [more, counted] =
        FillReferenceLogprobs(run, config.objective.loss.temperature, &batch);
    sum += more;
    tokens += counted;
  }
  return tokens > 0 ? sum / tokens : 0;
}

}  // namespace

UpdateReport UpdatePolicy(GuardedRun& run, std::span<const Group> groups,
                          const UpdateConfig& config) {
  UpdateReport report;
  std::vector<PolicyBatch> batches = MiniBatches(groups, config.objective, config.minibatches);
  report.base_kl = FillReferenceLogprobs(run.run(), config, batches);
  double grad_norms = 0;
  for (int64_t pass = 0; pass < config.passes && !report.stopped; ++pass) {
    for (const PolicyBatch& batch : batches) {
      const bool first = report.updates == 0;
      const ForwardBackwardOutput output =
          run.ForwardBackward(Pointers(batch), config.objective.loss);
      report.tokens += output.tokens;
      const RatioStats stats = RatioStatsOf(batch, output.logprobs, config.objective);
      if (!first && config.target_kl > 0 && stats.kl > config.target_kl) {
        run.run().ZeroGradients();
        report.stopped = true;
        break;
      }
      OptimParams optim = config.optim;
      optim.grad_divisor = batch.divisor;
      grad_norms += run.OptimStep(optim).grad_norm;
      if (first) {
        report.first = stats;
        report.loss = output.loss_sum / batch.divisor;
      }
      report.last = stats;
      ++report.updates;
    }
  }
  if (report.updates > 0) report.grad_norm = grad_norms / static_cast<double>(report.updates);
  return report;
}

}  // namespace lorikeet
