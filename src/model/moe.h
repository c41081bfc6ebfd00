// The MLP of a layer of experts (Qwen3-MoE, Mixtral): a router sends every token to k of E experts
// and weighs what they answer. Forward and its mirror, called where transformer.cc has the dense
// MLP. No auxiliary loss: the router learns from the loss of the tokens alone.
//
//   p = softmax(x Wr^T), its k largest; y = sum over them of w_e down_e(silu(gate_e x) * up_e x)
//
// The weight is applied to the operand of down_e. Experts take their rows one after another, and
// each adds its rows to the residual: a token's experts add in ascending order.
#pragma once
#include "core/arena.h"
#include "model/activations.h"
#include "model/lora.h"
#include "model/weights.h"

namespace lorikeet {

// One layer in one pass.
struct ExpertLayer {
  const ModelConfig& config;
  const LayerWeights& weights;
  const LoraAdapter* adapter;  // may be null
  DType compute;
  int64_t T;
  Arena& arena;

  const LoraPair* Lora(const Linear& linear) const {
    return adapter == nullptr ? nullptr : adapter->Find(linear);
  }
};

ExpertActivations TakeExpertActivations(const ExpertLayer& layer);

// residual (T, D) f32 += the experts' answer to x (T, D) C, the normed input.
void ExpertsForward(const ExpertLayer& layer, const Tensor& x, const ExpertActivations& a,
                    const Tensor& residual);

// Adds to the gradients of router and experts, whichever are trained. dresidual (T, D) f32 is left
// as it is; dx (T, D) f32 is written unless empty, when nothing below wants it.
void ExpertsBackward(const ExpertLayer& layer, const ExpertActivations& a, const Tensor& x,
                     const Tensor& dresidual, const Tensor& dx);

// Elements per row that a layer's kept low-rank products take for modules of rank `r` at most:
// even, so that every expert's part begins at a whole word of two bf16.
inline int64_t ExpertLowRankWidth(int64_t r) { return (r + 1) / 2 * 2; }

}  // namespace lorikeet
