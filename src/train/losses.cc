#include "train/losses.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"

namespace lorikeet {
namespace {

// Inputs of a policy loss for one row.
struct PolicyRow {
  double weight, advantage, logprob, ratio;
};

PolicyRow RowOf(const PackedBatch& batch, int64_t row, float logprob) {
  const auto i = static_cast<size_t>(row);
  const double logp = logprob;
  // Equal bits give exactly 1: the sampler's log-probabilities are this forward's.
  const double ratio =
      batch.old_logprobs.empty() ? 1 : std::exp(logp - static_cast<double>(batch.old_logprobs[i]));
  // Rounded to f32: a token's loss needs no more.
  return {batch.weights[i], static_cast<float>(batch.advantages[i]), logp, ratio};
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
    case LossFn::kGspo:
      break;
  }
  CHECK(false && "not a token's policy loss");
}

TokenGrad KlPenalty(double coefficient, double weight, double logprob, double reference) {
  const double apart = reference - logprob, scale = weight * coefficient;
  return {scale * (std::expm1(apart) - apart), static_cast<float>(-scale * std::expm1(apart))};
}

void AddKlPenalty(const LossConfig& config, const PackedBatch& batch, int64_t row, float logprob,
                  TokenGrad* grad) {
  if (config.kl_coef <= 0) return;
  const auto i = static_cast<size_t>(row);
  const TokenGrad kl =
      KlPenalty(config.kl_coef, batch.weights[i], logprob, batch.reference_logprobs[i]);
  grad->loss += kl.loss;
  grad->dlogprob += kl.dlogprob;
}

// Trained rows of one example in a batch.
std::vector<size_t> TrainedRows(const PackedBatch& batch, int64_t sequence) {
  std::vector<size_t> rows;
  const std::vector<int32_t>& begins = batch.batch.cu_seqlens;
  for (int32_t row = begins[sequence]; row < begins[sequence + 1]; ++row) {
    if (batch.weights[row] != 0) rows.push_back(static_cast<size_t>(row));
  }
  return rows;
}

// The loss of an example and its derivative in the log-probability of any one of its trained rows.
TokenGrad Gspo(const LossConfig& config, const PackedBatch& batch, std::span<const size_t> rows,
               std::span<const float> logprobs) {
  const double advantage = batch.advantages[rows[0]], weight = batch.weights[rows[0]];
  std::vector<double> log_ratios;
  for (const size_t row : rows) {
    CHECK(batch.advantages[row] == advantage && batch.weights[row] == batch.weights[rows[0]]);
    log_ratios.push_back(static_cast<double>(logprobs[row]) -
                         static_cast<double>(batch.old_logprobs[row]));
  }
  const double ratio = SequenceRatio(log_ratios);
  const double bound = std::clamp(ratio, 1 - config.clip_low, 1 + config.clip_high) * advantage;
  const double free = ratio * advantage;
  if (free > bound) return {-weight * bound, 0};  // at the bound the loss is flat
  // d s / d logp_t = s / |y|, for every token alike.
  const double slope = free / static_cast<double>(rows.size());
  return {-weight * free, static_cast<float>(-weight * slope)};
}

BatchLoss SequenceLoss(const LossConfig& config, const PackedBatch& batch,
                       std::span<const float> logprobs) {
  BatchLoss loss;
  loss.dlogprob.assign(logprobs.size(), 0.0F);
  for (int64_t s = 0; s < batch.batch.num_sequences(); ++s) {
    const std::vector<size_t> rows = TrainedRows(batch, s);
    if (rows.empty()) continue;
    const TokenGrad sequence = Gspo(config, batch, rows, logprobs);
    TokenGrad sum = {sequence.loss, 0};
    for (const size_t row : rows) {
      sum.dlogprob = sequence.dlogprob;
      AddKlPenalty(config, batch, static_cast<int64_t>(row), logprobs[row], &sum);
      loss.dlogprob[row] = sum.dlogprob;
    }
    loss.loss += sum.loss;
  }
  return loss;
}

}  // namespace

double SequenceRatio(std::span<const double> log_ratios) {
  double sum = 0;
  for (const double each : log_ratios) sum += each;
  return std::exp(sum / static_cast<double>(log_ratios.size()));
}

Loss MakeLoss(const LossConfig& config, const PackedBatch& batch) {
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
  if (IsSequenceLoss(config.fn)) {
    return [&batch, config](std::span<const float> logprobs) {
      return SequenceLoss(config, batch, logprobs);
    };
  }
  return [&batch, config](int64_t row, float logprob) {
    TokenGrad grad = PolicyLoss(config, RowOf(batch, row, logprob));
    AddKlPenalty(config, batch, row, logprob, &grad);
    return grad;
  };
}

}  // namespace lorikeet
