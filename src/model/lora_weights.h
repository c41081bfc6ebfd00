// `LoraWeights` are the low-rank factors of one adapter as products read them: immutable, shared,
// with a version that identifies their values. A pass has them for ranges of its rows
// (model/adapter_rows.h).
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/version.h"
#include "model/linear.h"

namespace lorikeet {

// Properties of adapters that decide a pass's scratch memory: the largest rank, and whether one is
// of DoRA.
struct LoraExtent {
  int64_t rank = 0;  // 0: no adapter
  bool dora = false;

  bool Covers(const LoraExtent& other) const { return rank >= other.rank && (dora || !other.dora); }
  LoraExtent With(const LoraExtent& other) const {
    return {std::max(rank, other.rank), dora || other.dora};
  }
};

class LoraWeights {
 public:
  // slots: number of linears of the model. The factors' memory belongs to `storage`.
  LoraWeights(size_t slots, DType compute, std::shared_ptr<const TensorPool> storage)
      : slots_(slots), compute_(compute), storage_(std::move(storage)), version_(NextVersion()) {}

  // The factors of a linear; null when it is not adapted.
  const LoraFactors* Find(const Linear& linear) const {
    const LoraFactors& factors = slots_[static_cast<size_t>(linear.lora_slot)];
    return factors.r == 0 ? nullptr : &factors;
  }
  std::span<const LoraFactors> slots() const { return slots_; }  // by lora_slot; r = 0: none
  DType compute() const { return compute_; }
  uint64_t version() const { return version_; }
  size_t Bytes() const;       // bytes of all factors; a shared one counts once
  LoraExtent Extent() const;  // over all linears

  // A copy with its own version, which later changes of this object do not affect.
  std::shared_ptr<const LoraWeights> Copy() const;

  // For the owner of weights in training, while nothing else reads them.
  void Set(const Linear& linear, const LoraFactors& factors) {
    slots_[static_cast<size_t>(linear.lora_slot)] = factors;
  }
  void ValuesChanged() { version_ = NextVersion(); }

 private:
  std::vector<LoraFactors> slots_;
  DType compute_;
  std::shared_ptr<const TensorPool> storage_;
  uint64_t version_;
};

}  // namespace lorikeet
