#include "train/losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

namespace lorikeet {
namespace {

constexpr double kStep = 1e-30;  // of the complex step: no cancellation, so no tolerance for one

using Complex = std::complex<double>;

// The losses as their formulas say, for any number; branches by the real part.
Complex Policy(const LossConfig& config, double w, double a, double logq, Complex logp) {
  const Complex ratio = std::exp(logp - logq);
  const double low = 1 - config.clip_low, high = 1 + config.clip_high;
  const Complex clipped = ratio.real() < low ? low : ratio.real() > high ? high : ratio;
  switch (config.fn) {
    case LossFn::kCrossEntropy:
      return -w * logp;
    case LossFn::kPolicyGradient:
      return -w * a * logp;
    case LossFn::kImportanceSampling:
      return -w * ratio * a;
    case LossFn::kPpo: {
      const Complex free = ratio * a, bound = clipped * a;
      return -w * (free.real() <= bound.real() ? free : bound);
    }
    case LossFn::kCispo:
      return -w * clipped.real() * a * logp;
  }
  return 0;
}

Complex Reference(const LossConfig& config, double w, double a, double logq, double logp_ref,
                  Complex logp) {
  const Complex apart = logp_ref - logp;
  return Policy(config, w, a, logq, logp) + w * config.kl_coef * (std::exp(apart) - apart - 1.0);
}

TEST(Losses, EveryLossAndItsDerivativeFollowTheFormula) {
  PackedBatch batch;
  std::vector<float> logprobs;
  for (const float a : {-2.0F, -0.5F, 0.0F, 0.75F, 3.0F}) {
    for (const float logq : {-4.0F, -0.7F}) {
      for (const float apart : {-1.0F, -0.15F, 0.0F, 0.1F, 0.2F, 0.25F, 1.0F}) {
        batch.weights.push_back(0.5F + 0.25F * a * a);
        batch.advantages.push_back(a);
        batch.old_logprobs.push_back(logq);
        batch.reference_logprobs.push_back(logq - 0.3F * a);
        logprobs.push_back(logq + apart);
      }
    }
  }
  for (const double kl_coef : {0.0, 0.04}) {
    for (const LossFn fn : {LossFn::kCrossEntropy, LossFn::kPolicyGradient,
                            LossFn::kImportanceSampling, LossFn::kPpo, LossFn::kCispo}) {
      if (fn == LossFn::kCrossEntropy && kl_coef > 0) continue;  // no policy loss
      const LossConfig config = {.fn = fn, .clip_low = 0.2, .clip_high = 0.28, .kl_coef = kl_coef};
      const TokenLoss loss = MakeTokenLoss(config, batch);
      for (size_t i = 0; i < logprobs.size(); ++i) {
        const Complex expected =
            Reference(config, batch.weights[i], batch.advantages[i], batch.old_logprobs[i],
                      batch.reference_logprobs[i], {logprobs[i], kStep});
        const TokenGrad grad = loss(static_cast<int64_t>(i), logprobs[i]);
        EXPECT_NEAR(grad.loss, expected.real(), 1e-12 * (1 + std::abs(expected.real())));
        const double slope = expected.imag() / kStep;
        EXPECT_NEAR(grad.dlogprob, slope, 1e-6 * (1 + std::abs(slope)))
            << static_cast<int>(fn) << " row " << i;
      }
    }
  }
}

TEST(Losses, OnPolicyTheRatioIsOneExactly) {
  PackedBatch batch;
  batch.weights = {1, 1};
  batch.advantages = {0.3F, -1.7F};
  batch.old_logprobs = {-2.718F, -0.001F};
  for (const LossFn fn : {LossFn::kImportanceSampling, LossFn::kPpo, LossFn::kCispo}) {
    const TokenLoss loss = MakeTokenLoss({.fn = fn}, batch);
    for (size_t i = 0; i < batch.weights.size(); ++i) {
      EXPECT_EQ(loss(static_cast<int64_t>(i), batch.old_logprobs[i]).dlogprob,
                -batch.advantages[i]);
    }
  }
}

}  // namespace
}  // namespace lorikeet
