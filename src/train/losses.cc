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
  const double ratio =
      batch.old_logprobs.empty() ? 1 : std::exp(logp - static_cast<double>(batch.old_logprobs[i]));
  return {batch.weights[i], batch.advantages[i], logp, ratio};
}

TokenGrad PolicyGradient(const PolicyRow& row) {
  const double coefficient = -row.weight * row.advantage;
  return {coefficient * row.logprob, static_cast<float>(coefficient)};
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

TokenGrad PolicyLoss(const LossConfig& config, const PolicyRow& row) {
  switch (config.fn) {
    case LossFn::kPolicyGradient:
      return PolicyGradient(row);
    case LossFn::kImportanceSampling:
      return ImportanceSampling(row);
    case LossFn::kPpo:
      return Ppo(config, row);
    case LossFn::kCispo:
      return Cispo(config, row);
    case LossFn::kCrossEntropy:
      break;
  }
  CHECK(false && "unknown loss");
}

TokenGrad KlPenalty(double coefficient, double weight, double logprob, double reference) {
  const double apart = reference - logprob, scale = weight * coefficient;
  return {scale * (std::expm1(apart) - apart), static_cast<float>(-scale * std::expm1(apart))};
}

}  // namespace

TokenLoss MakeTokenLoss(const LossConfig& config, const PackedBatch& batch) {
  if (config.fn == LossFn::kCrossEntropy) {
    return [&batch](int64_t row, float logprob) {
      const float weight = batch.weights[static_cast<size_t>(row)];
      return TokenGrad{-static_cast<double>(weight) * logprob, -weight};
    };
  }
  const size_t rows = batch.weights.size();
  CHECK(batch.advantages.size() == rows);
  CHECK(config.fn == LossFn::kPolicyGradient || batch.old_logprobs.size() == rows);
  CHECK(config.kl_coef == 0 || batch.reference_logprobs.size() == rows);
  return [&batch, config](int64_t row, float logprob) {
    const PolicyRow of = RowOf(batch, row, logprob);
    TokenGrad grad = PolicyLoss(config, of);
    if (config.kl_coef > 0) {
      const float reference = batch.reference_logprobs[static_cast<size_t>(row)];
      const TokenGrad kl = KlPenalty(config.kl_coef, of.weight, logprob, reference);
      grad.loss += kl.loss;
      grad.dlogprob += kl.dlogprob;
    }
    return grad;
  };
}

}  // namespace lorikeet
