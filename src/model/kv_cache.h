// Keys and values of sequences that grow by decoding, in slots of equal capacity.
#pragma once
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "model/config.h"

namespace lorikeet {

class KvCache {
 public:
  // capacity: tokens per slot, rounded up to whole attention blocks. Throws Error when memory
  // cannot be reserved.
  KvCache(const ModelConfig& config, DType dtype, int64_t slots, int64_t capacity);

  static size_t Bytes(const ModelConfig& config, DType dtype, int64_t slots, int64_t capacity);
  int64_t capacity() const { return capacity_; }
  int64_t slots() const { return slots_; }
  // Of a layer: (slots, K, capacity, Dh) C.
  const Tensor& k(int64_t layer) const { return k_[static_cast<size_t>(layer)].tensor(); }
  const Tensor& v(int64_t layer) const { return v_[static_cast<size_t>(layer)].tensor(); }

 private:
  int64_t slots_, capacity_;
  std::vector<Buffer> k_, v_;
};

}  // namespace lorikeet
