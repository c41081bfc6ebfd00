// Losses as functions of the target token's log-probability (model/loss_head.h).
#pragma once
#include <cstdint>

#include "data/packer.h"
#include "model/loss_head.h"

namespace lorikeet {

enum class LossFn : uint8_t { kCrossEntropy, kImportanceSampling, kPpo, kCispo };

// A row's weight w scales its whole loss: it holds the mask and whatever a loss divides by. With
// logp the trained policy's log-probability of the token, logq the sampling policy's
// (Example::logprobs), A the advantage (Example::advantages) and r = exp(logp - logq):
//
//   cross_entropy        -w logp
//   importance_sampling  -w r A
//   ppo                  -w min(r A, clip(r, 1 - clip_low, 1 + clip_high) A)
//   cispo                -w stop_gradient(clip(r, 1 - clip_low, 1 + clip_high)) A logp
//
// ppo: Schulman et al. 2017, arXiv 1707.06347, eq. 7; its asymmetric bounds: DAPO, arXiv
// 2503.14476, eq. 10. cispo: MiniMax-M1, arXiv 2506.13585, eq. 4. All but the first need advantages
// and log-probabilities in every example.
struct LossConfig {
  LossFn fn = LossFn::kCrossEntropy;
  double clip_low = 0.2, clip_high = 0.2;
};

// The batch must outlive the function.
TokenLoss MakeTokenLoss(const LossConfig& config, const PackedBatch& batch);

}  // namespace lorikeet
