#include "train/losses.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace lorikeet {
namespace {

// What a policy loss sees of a row.
struct PolicyRow {
  double weight, advantage, logprob, ratio;
};

PolicyRow RowOf(const PackedBatch& batch, int64_t row, float logprob) {
  const auto i = static_cast<size_t>(row);
  const double logp = logprob;
  // Equal bits give exactly 1: the sampler's log-probabilities are this forward's.
  return {batch.weights[i], batch.advantages[i], logp, std::exp(logp - batch.old_logprobs[i])};
}

TokenGrad ImportanceSampling(const PolicyRow& row) {
  const double value = -row.weight * row.ratio * row.advantage;
  return {value, static_cast<float>(value)};  // d exp(logp - logq) / d logp is itself
}

TokenGrad Ppo(const LossConfig& config, const PolicyRow& row) {
  const double clipped = std::clamp(row.ratio, 1 - config.clip_low, 1 + config.clip_high);
  const double free = row.ratio * row.advantage, bound = clipped * row.advantage;
  if (free <= bound) return ImportanceSampling(row);
  return {-row.weight * bound, 0};  // at the bound the loss is flat
}

TokenGrad Cispo(const LossConfig& config, const PolicyRow& row) {
  const double clipped = std::clamp(row.ratio, 1 - config.clip_low, 1 + config.clip_high);
  const double coefficient = -row.weight * clipped * row.advantage;
  return {coefficient * row.logprob, static_cast<float>(coefficient)};
}

}  // namespace

TokenLoss MakeTokenLoss(const LossConfig& config, const PackedBatch& batch) {
  if (config.fn == LossFn::kCrossEntropy) {
    return [&batch](int64_t row, float logprob) {
      const float weight = batch.weights[static_cast<size_t>(row)];
      return TokenGrad{-static_cast<double>(weight) * logprob, -weight};
    };
  }
  CHECK(batch.advantages.size() == batch.weights.size() &&
        batch.old_logprobs.size() == batch.weights.size());
  switch (config.fn) {
    case LossFn::kImportanceSampling:
      return [&batch](int64_t row, float logprob) {
        return ImportanceSampling(RowOf(batch, row, logprob));
      };
    case LossFn::kPpo:
      return [&batch, config](int64_t row, float logprob) {
        return Ppo(config, RowOf(batch, row, logprob));
      };
    case LossFn::kCispo:
      return [&batch, config](int64_t row, float logprob) {
        return Cispo(config, RowOf(batch, row, logprob));
      };
    case LossFn::kCrossEntropy:
      break;
  }
  CHECK(false && "unknown loss");
}

}  // namespace lorikeet
