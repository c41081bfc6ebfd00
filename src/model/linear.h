// y = x W^T + bias + s (x A^T) B^T, and its gradient: the only place where LoRA touches the
// arithmetic. Full fine-tuning is the same call with the weight's gradient present.
// C = f32|bf16, the compute dtype: operands of products in C, their results in f32.
#pragma once
#include <string>

#include "core/arena.h"
#include "core/tensor.h"

namespace lorikeet {

struct Linear {
  std::string name;    // module path, "model.layers.0.self_attn.q_proj"
  Tensor weight;       // (out, in) C
  Tensor bias;         // (out) f32 or empty
  Tensor dweight;      // (out, in) f32; empty when frozen
  Tensor dbias;        // (out) f32; empty when frozen
  int lora_slot = -1;  // which pair of an adapter belongs here, fixed by ForEachLinear's order

  int64_t out_features() const { return weight.rows(); }
  int64_t in_features() const { return weight.cols(); }
};

// The low-rank part of one module. B is kept transposed: then every product of its forward and
// backward has dense operands in an order whose bits do not depend on threads.
struct LoraPair {
  std::string module;
  int64_t r = 0;
  float alpha = 0;
  float scale = 0;   // s = alpha / r, or alpha / sqrt(r)
  Tensor a, bt;      // (R, in), (R, out) f32: master copies
  Tensor da, dbt;    // their gradients; empty when not trained
  Tensor a_c, bt_c;  // in C, what products read; the masters themselves when C is f32
  // Experts may share a factor: then the tensors above are those of an earlier pair of the adapter.
  bool borrows_a = false, borrows_b = false;
};

// What LinearForward keeps for the backward: s (x A^T) transposed, (R, T) C.
// `lora` may be null. y (T, out) f32 is written, or added to when accumulating; without a bias and
// not accumulating it may be in C, rounded once. low_rank_t may be empty when no backward follows.
void LinearForward(const Linear& linear, const LoraPair* lora, const Tensor& x, const Tensor& y,
                   bool accumulate, const Tensor& low_rank_t, Arena& scratch);

// dx (T, in) f32 = dy W + s (dy B) A, written or added to; may be empty when nothing below needs
// it. dy (T, out) C. g_t (R, T) C receives s (dy B) transposed, for LinearBackwardWeights; empty
// without lora.
void LinearBackwardInput(const Linear& linear, const LoraPair* lora, const Tensor& dy,
                         const Tensor& dx, bool accumulate, const Tensor& g_t, Arena& scratch);

// da += g^T x, dbt += (s x A^T)^T dy; dweight += dy^T x, dbias += column sums of dy: whichever of
// them exist. x (T, in) C.
void LinearBackwardWeights(const Linear& linear, const LoraPair* lora, const Tensor& dy,
                           const Tensor& x, const Tensor& low_rank_t, const Tensor& g_t);

}  // namespace lorikeet
