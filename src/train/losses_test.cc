#include "train/losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <span>

namespace lorikeet {
namespace {

constexpr double kStep = 1e-30;  // the complex step: exact, since nothing cancels

using Complex = std::complex<double>;

// The losses by their formulas, for complex numbers; the real part decides branches.
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
    case LossFn::kGspo:
      break;
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
      const auto loss = std::get<TokenLoss>(MakeLoss(config, batch));
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
    const auto loss = std::get<TokenLoss>(MakeLoss({.fn = fn}, batch));
    for (size_t i = 0; i < batch.weights.size(); ++i) {
      EXPECT_EQ(loss(static_cast<int64_t>(i), batch.old_logprobs[i]).dlogprob,
                static_cast<float>(-batch.advantages[i]));
    }
  }
}

// Two examples behind the prompt that they share, and one by itself, with a masked row in the
// midst.
struct Sequences {
  PackedBatch batch;
  std::vector<float> logprobs;

  Sequences() {
    batch.batch.cu_seqlens = {0, 2, 5, 7, 11};
    batch.weights = {0, 0, 0.5F, 0.5F, 0.5F, 1, 1, 0, 0.25F, 0, 0.25F};
    for (const double a : {0.0, 0.0, 1.3, 1.3, 1.3, -0.7, -0.7, 2.0, 2.0, 2.0, 2.0}) {
      batch.advantages.push_back(a);
    }
    batch.old_logprobs = {0, 0, -1.0F, -0.5F, -2.0F, -0.3F, -0.9F, 0, -1.1F, 0, -0.2F};
    batch.reference_logprobs = {0, 0, -1.2F, -0.4F, -2.2F, -0.5F, -0.6F, 0, -1.0F, 0, -0.6F};
    logprobs.assign(batch.weights.size(), 0.0F);
  }
};

Complex SequenceReference(const LossConfig& config, const PackedBatch& batch,
                          std::span<const float> logprobs, size_t moved) {
  Complex loss = 0;
  for (size_t s = 0; s + 1 < batch.batch.cu_seqlens.size(); ++s) {
    Complex sum = 0;
    double n = 0, w = 0, a = 0;
    for (auto t = static_cast<size_t>(batch.batch.cu_seqlens[s]);
         t < static_cast<size_t>(batch.batch.cu_seqlens[s + 1]); ++t) {
      if (batch.weights[t] == 0) continue;
      const Complex logp(logprobs[t], t == moved ? kStep : 0);
      sum += logp - static_cast<double>(batch.old_logprobs[t]);
      n += 1;
      w = batch.weights[t];
      a = batch.advantages[t];
      const Complex apart = static_cast<double>(batch.reference_logprobs[t]) - logp;
      loss += w * config.kl_coef * (std::exp(apart) - apart - 1.0);
    }
    if (n == 0) continue;
    const Complex ratio = std::exp(sum / n);
    const double low = 1 - config.clip_low, high = 1 + config.clip_high;
    const Complex clipped = ratio.real() < low ? low : ratio.real() > high ? high : ratio;
    const Complex free = ratio * a, bound = clipped * a;
    loss -= w * (free.real() <= bound.real() ? free : bound);
  }
  return loss;
}

TEST(Losses, SequenceLossesAndTheirDerivativesFollowTheFormula) {
  Sequences of;
  for (const double kl_coef : {0.0, 0.04}) {
    const LossConfig config = {
        .fn = LossFn::kGspo, .clip_low = 0.2, .clip_high = 0.28, .kl_coef = kl_coef};
    const auto loss = std::get<LossFunction>(MakeLoss(config, of.batch));
    int flat = 0;  // examples at their bound
    for (const float apart : {-0.5F, -0.1F, 0.0F, 0.1F, 0.5F}) {
      for (size_t t = 0; t < of.logprobs.size(); ++t) {
        const float moved = of.batch.old_logprobs[t] + apart * (t % 2 == 0 ? 1.0F : 0.8F);
        of.logprobs[t] = of.batch.weights[t] == 0 ? 0 : moved;
      }
      const BatchLoss batch = loss(of.logprobs);
      const double value = SequenceReference(config, of.batch, of.logprobs, 99).real();
      EXPECT_NEAR(batch.loss, value, 1e-12 * (1 + std::abs(value)));
      for (size_t t = 0; t < of.logprobs.size(); ++t) {
        const double slope = SequenceReference(config, of.batch, of.logprobs, t).imag() / kStep;
        EXPECT_NEAR(batch.dlogprob[t], slope, 1e-6 * (1 + std::abs(slope))) << "row " << t;
        flat += of.batch.weights[t] != 0 && slope == 0 ? 1 : 0;
      }
    }
    EXPECT_EQ(flat > 0, kl_coef == 0);
  }
}

TEST(Losses, SequenceLossesNeedOneAdvantageForAnExample) {
  Sequences of;
  of.batch.advantages[3] += 0.5;
  const auto loss = std::get<LossFunction>(MakeLoss({.fn = LossFn::kGspo}, of.batch));
  EXPECT_DEATH(loss(of.logprobs), "CHECK");
}

}  // namespace
}  // namespace lorikeet
