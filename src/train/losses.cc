#include "train/losses.h"

namespace lorikeet {

TokenLoss MakeTokenLoss(const LossConfig& config, const PackedBatch& batch) {
  switch (config.fn) {
    case LossFn::kCrossEntropy:
      return [&batch](int64_t row, float logprob) {
        const float weight = batch.weights[static_cast<size_t>(row)];
        return TokenGrad{-static_cast<double>(weight) * logprob, -weight};
      };
  }
  CHECK(false && "unknown loss");
}

}  // namespace lorikeet
