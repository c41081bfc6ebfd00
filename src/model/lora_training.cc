#include "model/lora_training.h"

#include <unordered_map>

namespace lorikeet {

LoraTraining::LoraTraining(LoraAdapter adapter) : adapter_(std::move(adapter)) {
  const std::span<const LoraFactors> slots = adapter_.weights().slots();
  gradients_.resize(slots.size());
  std::unordered_map<const void*, Tensor> of_master;  // sharers add to one gradient
  const auto gradient = [&](const std::string& name, const Tensor& master, const Tensor& working) {
    Tensor& grad = of_master[master.data];
    if (!grad) {
      grad = storage_.Take(DType::kF32, {master.rows(), master.cols()});
      params_.push_back({name, master, grad, working.data == master.data ? Tensor() : working});
    }
    return grad;
  };
  for (const LoraPair& pair : adapter_.pairs()) {
    const auto slot = static_cast<size_t>(pair.slot);
    LoraGradients& g = gradients_[slot];
    g.da = gradient(pair.module + ".lora_A", pair.a, slots[slot].a);
    g.dbt = gradient(pair.module + ".lora_B", pair.bt, slots[slot].bt);
    if (!pair.magnitude) continue;
    g.dmagnitude = gradient(pair.module + ".lora_magnitude_vector", pair.magnitude, pair.magnitude);
  }
}

std::shared_ptr<const LoraWeights> LoraTraining::Snapshot() const {
  if (snapshot_ == nullptr) snapshot_ = weights().Copy();
  return snapshot_;
}

void LoraTraining::ValuesChanged() {
  adapter_.RefreshLengths();
  adapter_.weights_->ValuesChanged();
  snapshot_.reset();
}

void LoraTraining::RefreshWorkingCopies() {
  adapter_.RefreshWorkingCopies();
  snapshot_.reset();
}

}  // namespace lorikeet
