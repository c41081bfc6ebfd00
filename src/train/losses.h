// Losses as functions of the targets' log-probabilities (model/loss_head.h).
#pragma once
#include <cstdint>
#include <span>

#include "data/packer.h"
#include "model/loss_head.h"

namespace lorikeet {

enum class LossFn : uint8_t {
  kCrossEntropy,
  kPolicyGradient,
  kImportanceSampling,
  kPpo,
  kCispo,
  kGspo,
};

// A row's weight w scales its whole loss: it holds the mask and whatever a loss divides by. With
// logp the trained policy's log-probability of the token, logq the sampling policy's
// (Example::logprobs), A the advantage (Example::advantages) and r = exp(logp - logq):
//
//   cross_entropy        -w logp
//   policy_gradient      -w A logp
//   importance_sampling  -w r A
//   ppo                  -w min(r A, clip(r, 1 - clip_low, 1 + clip_high) A)
//   cispo                -w stop_gradient(clip(r, 1 - clip_low, 1 + clip_high)) A logp
//
// ppo: Schulman et al. 2017, arXiv 1707.06347, eq. 7; its asymmetric bounds: DAPO, arXiv
// 2503.14476, eq. 10. cispo: MiniMax-M1, arXiv 2506.13585, eq. 4. All but the first need
// advantages, and those with a ratio the sampler's log-probabilities, in every example.
//
// gspo couples the |y| trained rows of an example, which have the same weight and advantage, by one
// ratio s = exp(1/|y| sum_t (logp - logq)) (arXiv 2507.18071, eq. 5 to 7). Its loss of an example
// is
//
//   gspo                 -w min(s A, clip(s, 1 - clip_low, 1 + clip_high) A)
//
// With kl_coef > 0 every policy loss has a term that holds it to a reference policy, with logp_ref
// its log-probability (Example::reference_logprobs) and d = logp_ref - logp:
//
//   + w kl_coef (exp(d) - d - 1)
//
// which is never negative and has the mean KL(policy || reference) over the policy's own samples:
// DeepSeekMath, arXiv 2402.03300, eq. 4. Log-probabilities are those of softmax(logits /
// temperature), the distribution that was sampled.
struct LossConfig {
  LossFn fn = LossFn::kCrossEntropy;
  double clip_low = 0.2, clip_high = 0.2;
  double kl_coef = 0;
  double temperature = 1;
};

// True if the loss couples the rows of an example. The packer (data/packer.h) never cuts examples.
inline bool IsSequenceLoss(LossFn fn) { return fn == LossFn::kGspo; }

// A TokenLoss, or for sequence losses a LossFunction. The batch must outlive it.
Loss MakeLoss(const LossConfig& config, const PackedBatch& batch);

// exp of the mean log-ratio; must not be empty.
double SequenceRatio(std::span<const double> log_ratios);

}  // namespace lorikeet
