// A `LoraTraining` is an adapter in training: with gradients, and with working copies that change
// with every step.
#pragma once
#include <memory>
#include <vector>

#include "model/lora.h"
#include "model/param.h"

namespace lorikeet {

class LoraTraining {
 public:
  explicit LoraTraining(LoraAdapter adapter);  // allocates zeroed gradients

  // A and B of every pair and the magnitude of DoRA, in order; a shared factor occurs once.
  const std::vector<Param>& params() const { return params_; }
  // Gradients of a linear's factors; null when it is not adapted.
  const LoraGradients* Gradients(const Linear& linear) const {
    const LoraGradients& g = gradients_[static_cast<size_t>(linear.lora_slot)];
    return g.da ? &g : nullptr;
  }
  const LoraAdapter& adapter() const { return adapter_; }
  const LoraWeights& weights() const { return adapter_.weights(); }  // after the last step
  // A copy of weights() that later steps do not change; the same object until a step changes the
  // values.
  std::shared_ptr<const LoraWeights> Snapshot() const;

  void ValuesChanged();         // after the optimizer wrote masters and working copies
  void RefreshWorkingCopies();  // after the masters changed otherwise

 private:
  LoraAdapter adapter_;
  std::vector<LoraGradients> gradients_;  // by lora_slot
  TensorPool storage_;
  std::vector<Param> params_;
  mutable std::shared_ptr<const LoraWeights> snapshot_;
};

}  // namespace lorikeet
