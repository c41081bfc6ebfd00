// y = x W^T + bias + s (x A^T) B^T, and its gradient: the only place where LoRA touches the
// arithmetic. Full fine-tuning is the same call with the weight's gradient present. With DoRA y = g
// o (x W^T + s (x A^T) B^T) + bias, where g = m / |W + s B A|, row by row; the lengths |.| count as
// constants in the gradient, as in peft.
// C = f32|bf16, the compute dtype: operands of products in C, their results in f32.
#pragma once
#include <cstdint>
#include <span>
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
  int lora_slot = -1;  // index of its pair in an adapter: its place in ForEachLinear's order

  int64_t out_features() const { return weight.rows(); }
  int64_t in_features() const { return weight.cols(); }
};

// The low-rank factors of one linear as products read them. B is stored transposed: so every
// product of forward and backward has dense operands, in an order whose bits do not depend on
// threads.
struct LoraFactors {
  int64_t r = 0;
  float scale = 0;  // s = alpha / r, or alpha / sqrt(r)
  Tensor a, bt;     // (R, in), (R, out) C
  // DoRA's, else empty: g = magnitude * inverse_norm, and 1 / |W + s B A|. (out) f32
  Tensor gain, inverse_norm;
};

// Gradients of the factors' f32 masters.
struct LoraGradients {
  Tensor da, dbt;     // (R, in), (R, out) f32
  Tensor dmagnitude;  // (out) f32; empty without DoRA
};

// y (T, out) f32 is written, or added to when accumulating; without a bias and not accumulating it
// may be in C, rounded once. `lora` may be null. lora_x_t (R, T) C receives s (x A^T) transposed
// for the backward; empty when none follows.
void LinearForward(const Linear& linear, const LoraFactors* lora, const Tensor& x, const Tensor& y,
                   bool accumulate, const Tensor& lora_x_t, Arena& scratch);

// Rows [begin, end) of x with the factors of their adapter.
struct LoraRows {
  int64_t begin = 0, end = 0;
  const LoraFactors* lora = nullptr;
};

// LinearForward of rows with different adapters: ranges ascend and do not overlap, rows in none use
// the base alone. Every row of y has the bits that LinearForward gives with its adapter for all
// rows. No backward follows.
void LinearForwardRows(const Linear& linear, std::span<const LoraRows> ranges, const Tensor& x,
                       const Tensor& y, bool accumulate, Arena& scratch);

// dx (T, in) f32 = dy W + s (dy B) A, written or added to; may be empty when nothing below needs
// it. dy (T, out) C. lora_dy_t (R, T) C receives s (dy B) transposed, for LinearBackwardWeights;
// empty without lora.
void LinearBackwardInput(const Linear& linear, const LoraFactors* lora, const Tensor& dy,
                         const Tensor& dx, bool accumulate, const Tensor& lora_dy_t,
                         Arena& scratch);

// da += lora_dy_t x, dbt += lora_x_t dy; dweight += dy^T x, dbias += column sums of dy: whichever
// of them exist. x (T, in) C. `gradients` may be null; otherwise `lora` is theirs. With DoRA dy is
// scaled by g, and the product before it is computed again for the magnitudes' gradient.
void LinearBackwardWeights(const Linear& linear, const LoraFactors* lora,
                           const LoraGradients* gradients, const Tensor& dy, const Tensor& x,
                           const Tensor& lora_x_t, const Tensor& lora_dy_t, Arena& scratch);

}  // namespace lorikeet
