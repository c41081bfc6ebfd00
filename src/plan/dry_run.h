// Dry runs: the passes of a run on tensors without memory (core/dry.h). The arena's high mark gives
// the memory plan, and the calls that a `Recorder` (kernels/trace.h) collects give the cost of a
// step.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/arena.h"
#include "model/lora_training.h"
#include "model/optimizer.h"
#include "model/weights.h"
#include "plan/training_shape.h"

namespace lorikeet {

struct DryPass {
  size_t arena_bytes = 0;                // high mark
  std::vector<Arena::Holding> holdings;  // at the high mark, largest first
};

// Passes over one packed batch of sequences of the given lengths, every token with weight 1. The
// model may be loaded or a skeleton; adapter and training may be null. Log-probabilities only:
DryPass DryForward(const Model& model, const LoraWeights* adapter,
                   const std::vector<int64_t>& lengths);
// With gradients:
DryPass DryForwardBackward(const Model& model, const LoraTraining* training, Recompute recompute,
                           const std::vector<int64_t>& lengths);

// One step of decoding: `tokens` tokens of sequences in a cache, and the logits of `rows` of them.
// mixed: only the first token has the adapter, as in a batch with several adapters.
DryPass DryDecode(const Model& model, const LoraWeights* adapter, int64_t tokens, int64_t rows,
                  bool mixed = false);

// A `RunSkeleton` is a run's model, adapter and optimizer as shapes.
class RunSkeleton {
 public:
  // Throws Error for a target that matches nothing.
  RunSkeleton(const ModelConfig& config, const TrainingShape& shape);

  const Model& model() const { return *model_; }
  const LoraTraining* training() const { return lora_ ? &*lora_ : nullptr; }
  const AdamWOptimizer& optimizer() const { return optimizer_; }

  DryPass ForwardBackward(const std::vector<int64_t>& lengths, Recompute recompute) const {
    return DryForwardBackward(*model_, training(), recompute, lengths);
  }
  void OptimStep();

 private:
  std::unique_ptr<Model> model_;
  std::optional<LoraTraining> lora_;
  AdamWOptimizer optimizer_;
};

}  // namespace lorikeet
