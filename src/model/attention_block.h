// The attention block: q, k and v projections, norms of heads, rotary embedding, causal
// grouped-query attention and the output projection.
//
// Every block has the same five entries (model/block.h): its weights as a list (DeclareWeights,
// ForEachLinear, ForEachNorm), TakeActivations, BlockForward, BlockBackward, and the shape of its
// decoding state. C = f32|bf16, the compute dtype; shapes as in ARCHITECTURE.md.
#pragma once
#include <string>

#include "core/tensor.h"
#include "model/declaration.h"
#include "model/layer_spec.h"
#include "model/linear.h"
#include "model/norm.h"

namespace lorikeet {

struct Pass;
struct NormedInput;

struct AttentionWeights {
  AttentionSpec spec;
  int64_t layer = 0;              // index of its decoding state
  Linear q_proj, k_proj, v_proj;  // or
  Linear qkv_proj;                // the three as one matrix, with AttentionSpec::fused_qkv
  Linear o_proj;
  Norm q_norm, k_norm;  // (Dh), or of a whole projection; empty without qk_norm
};

// prefix: "model.layers.N.". Fills *weights' names in order and calls the visitor for each.
void DeclareWeights(const AttentionSpec& spec, const std::string& prefix,
                    const WeightVisitor& visit, AttentionWeights* weights);

template <MaybeConst<AttentionWeights> W, class Fn>
void ForEachLinear(W& w, const Fn& fn) {
  if (w.spec.fused_qkv) {
    fn(w.qkv_proj);
  } else {
    fn(w.q_proj);
    fn(w.k_proj);
    fn(w.v_proj);
  }
  fn(w.o_proj);
}
template <MaybeConst<AttentionWeights> W, class Fn>
void ForEachNorm(W& w, const Fn& fn) {
  if (!w.spec.qk_norm) return;
  fn(w.q_norm);
  fn(w.k_norm);
}

struct AttentionActivations {
  Tensor q, k, v;  // (K, T, G, Dh), (K, T + padding, Dh) C, after rope
  // (T, H*Dh) C, (T, H) f32: norms of heads; of a whole projection rstd is (T).
  Tensor q_xhat, q_rstd, k_xhat, k_rstd;
  Tensor attention, lse;  // (T, H*Dh) C, (K, T, G) f32
  // s (x A^T) transposed of adapted linears, (R, T) C.
  Tensor q_lora_x_t, k_lora_x_t, v_lora_x_t, qkv_lora_x_t, o_lora_x_t;
};

// Takes memory for what the forward keeps for the backward from the pass's arena. When decoding,
// keys and values are in the cache instead.
AttentionActivations TakeActivations(const Pass& pass, const AttentionWeights& w);

// residual (T, D) f32 += the block's output for x (T, D) C, the normed input.
void BlockForward(const Pass& pass, const AttentionWeights& w, const Tensor& x,
                  const AttentionActivations& a, const Tensor& residual);

// Adds to the gradients of what is trained. dresidual (T, D) f32 is read; dx (T, D) f32 is written,
// or added to when accumulating; empty when nothing below is trained.
void BlockBackward(const Pass& pass, const AttentionWeights& w, const NormedInput& input,
                   const AttentionActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate);

// Decoding state per position: keys and values of kv_heads heads.
struct StateShape {
  int64_t kv_heads = 0, head_dim = 0;  // 0: the block has no state
};
inline StateShape DecodingState(const AttentionSpec& spec) {
  return {spec.kv_heads, spec.head_dim};
}

}  // namespace lorikeet
