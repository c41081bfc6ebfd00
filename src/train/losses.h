// Losses as functions of the target token's log-probability (model/loss_head.h).
#pragma once
#include "data/packer.h"
#include "model/loss_head.h"

namespace lorikeet {

enum class LossFn : uint8_t { kCrossEntropy };

struct LossConfig {
  LossFn fn = LossFn::kCrossEntropy;
};

// cross_entropy: loss = -weight * logprob. The batch must outlive the function.
TokenLoss MakeTokenLoss(const LossConfig& config, const PackedBatch& batch);

}  // namespace lorikeet
