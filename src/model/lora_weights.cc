#include "model/lora_weights.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace lorikeet {

LoraExtent LoraWeights::Extent() const {
  LoraExtent extent;
  for (const LoraFactors& factors : slots_) {
    extent = extent.With({factors.r, static_cast<bool>(factors.gain)});
  }
  return extent;
}

size_t LoraWeights::Bytes() const {
  std::unordered_map<const void*, size_t> tensors;  // by address
  for (const LoraFactors& factors : slots_) {
    if (factors.r == 0) continue;
    tensors[factors.a.data] = static_cast<size_t>(factors.a.bytes());
    tensors[factors.bt.data] = static_cast<size_t>(factors.bt.bytes());
    if (!factors.gain) continue;
    tensors[factors.gain.data] = static_cast<size_t>(factors.gain.bytes());
    tensors[factors.inverse_norm.data] = static_cast<size_t>(factors.inverse_norm.bytes());
  }
  size_t bytes = 0;
  for (const auto& [address, size] : tensors) bytes += size;
  return bytes;
}

std::shared_ptr<const LoraWeights> LoraWeights::Copy() const {
  auto storage = std::make_shared<TensorPool>();
  auto copy = std::make_shared<LoraWeights>(slots_.size(), compute_, storage);
  std::unordered_map<const void*, Tensor> copies;  // shared factors stay shared
  const auto clone = [&](const Tensor& from) {
    if (!from) return Tensor();
    Tensor& to = copies[from.data];
    if (!to) {
      to = storage->Take(from.dtype, {from.rows(), from.cols()});
      std::memcpy(to.data, from.data, static_cast<size_t>(from.bytes()));
    }
    return to;
  };
  for (size_t i = 0; i < slots_.size(); ++i) {
    const LoraFactors& from = slots_[i];
    if (from.r == 0) continue;
    copy->slots_[i] = {from.r,         from.scale,       clone(from.a),
                       clone(from.bt), clone(from.gain), clone(from.inverse_norm)};
  }
  return copy;
}

}  // namespace lorikeet
