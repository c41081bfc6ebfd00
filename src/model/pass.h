// A `Pass` holds what every layer needs in one forward or backward: model, batch, adapters,
// decoding state, scratch memory and the tables of the rotary embedding.
#pragma once
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "kernels/heads.h"
#include "model/adapter_rows.h"
#include "model/batch.h"
#include "model/kv_cache.h"
#include "model/lora_training.h"
#include "model/weights.h"

namespace lorikeet {

struct Pass {
  const Model& model;
  const Batch& batch;
  std::span<const AdapterRows> adapters;  // ascending; rows in none use the base alone
  const LoraTraining* training;           // the adapter's gradients, in a backward; may be null
  KvCache* cache;                         // null: keys and values are kept as activations
  std::span<const SequenceState* const> states;  // (S) with a cache
  Arena& arena;
  std::vector<HeadRope> ropes = {};      // (T, R) f32 tables of this batch, AttentionSpec::rope
  std::vector<int64_t> cache_rows = {};  // (T) destination rows in a head's pages

  const ModelConfig& config() const { return model.config(); }
  DType compute() const { return model.compute(); }
  int64_t T() const { return batch.num_tokens(); }
  // The adapter of all rows; null if there is none. A pass that keeps activations, and a backward,
  // can have no other.
  const LoraWeights* adapter() const { return AdapterOfAll(adapters, T()); }
  const LoraFactors* Lora(const Linear& linear) const {
    return adapter() == nullptr ? nullptr : adapter()->Find(linear);
  }
  const LoraGradients* Gradients(const Linear& linear) const {
    return training == nullptr ? nullptr : training->Gradients(linear);
  }
  // True if the linear's weight or its adapter has a gradient.
  bool IsTrained(const Linear& linear) const { return linear.dweight || Gradients(linear); }

  // (T, cols) from the arena.
  Tensor Take(const char* name, DType dtype, int64_t cols) const {
    return arena.Take(name, dtype, {T(), cols});
  }
  // (R, T) C for s (x A^T) transposed of one linear; empty when it is not adapted.
  Tensor TakeLoraX(const Linear& linear) const;

  // y = x W^T + bias + low-rank part, or y += ...; as LinearForward (model/linear.h), with the
  // adapter of each row.
  void Project(const Linear& linear, const Tensor& x, const Tensor& y, bool accumulate,
               const Tensor& lora_x_t) const {
    ProjectRows(linear, adapters, x, y, accumulate, lora_x_t, arena);
  }
  // The same for some of the batch's tokens, ascending, which are the rows of x.
  void Project(const Linear& linear, std::span<const int32_t> tokens, const Tensor& x,
               const Tensor& y, bool accumulate, const Tensor& lora_x_t) const;

  // The backward of Project in two steps, since x may be written to memory that dx's products have
  // just freed. lora_dy_t: from TakeLoraDy, filled by the first and read by the second.
  Tensor TakeLoraDy(const Linear& linear) const;  // (R, T) C; empty when not adapted
  void BackwardInput(const Linear& linear, const Tensor& dy, const Tensor& dx, bool accumulate,
                     const Tensor& lora_dy_t) const {
    LinearBackwardInput(linear, Lora(linear), dy, dx, accumulate, lora_dy_t, arena);
  }
  void BackwardWeights(const Linear& linear, const Tensor& dy, const Tensor& x,
                       const Tensor& lora_x_t, const Tensor& lora_dy_t) const {
    LinearBackwardWeights(linear, Lora(linear), Gradients(linear), dy, x, lora_x_t, lora_dy_t,
                          arena);
  }
};

// Makes a Pass with the rope tables of the batch's positions, from the arena, and the rows in the
// cache. Throws Error for positions that a rope table does not have.
Pass MakePass(const Model& model, const Batch& batch, std::span<const AdapterRows> adapters,
              const LoraTraining* training, KvCache* cache,
              std::span<const SequenceState* const> states, Arena& arena);

// The input of a sublayer's blocks in the backward: computed again from what the norm kept.
struct NormedInput {
  Tensor xhat;                        // (T, D) C
  const Norm* norm;                   // null: xhat is the input
  void Write(const Tensor& x) const;  // x (T, D) C, NormScale
};

}  // namespace lorikeet
