// The block of a mixture of experts (Qwen3-MoE, Mixtral): a router sends every token to k of E
// experts, and their outputs are summed with its weights. Its entries are those of
// model/attention_block.h. There is no auxiliary loss: the router learns from the loss of the
// tokens alone.
//
//   p = softmax(x Wr^T), its k largest; y = sum over them of w_e down_e(silu(gate_e x) * up_e x)
//
// The weight is applied to the operand of down_e. Experts are computed one after another and add
// their rows to the residual, so a token's experts are summed in ascending order.
#pragma once
#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/expert_rows.h"
#include "model/attention_block.h"
#include "model/declaration.h"
#include "model/layer_spec.h"
#include "model/linear.h"

namespace lorikeet {

struct ExpertWeights {
  Linear gate_proj, up_proj, down_proj;
};

struct MoeWeights {
  MoeSpec spec;
  Linear router;                       // (E, D); `gate` in files
  std::vector<ExpertWeights> experts;  // E
};

void DeclareWeights(const MoeSpec& spec, const std::string& prefix, const WeightVisitor& visit,
                    MoeWeights* weights);

template <MaybeConst<MoeWeights> W, class Fn>
void ForEachLinear(W& w, const Fn& fn) {
  fn(w.router);
  for (auto& expert : w.experts) {
    fn(expert.gate_proj);
    fn(expert.up_proj);
    fn(expert.down_proj);
  }
}
template <MaybeConst<MoeWeights> W, class Fn>
void ForEachNorm(W&, const Fn&) {}

// N = T k rows in the order of experts.
struct MoeActivations {
  Routing routing;
  Tensor router_lora_x_t;  // (R, T) C, of an adapted router
  Tensor gate, up;         // (N, F) C
  // s (x A^T) transposed of each expert's rows, one expert after another; C.
  Tensor gate_lora_x_t, up_lora_x_t, down_lora_x_t;
};

MoeActivations TakeActivations(const Pass& pass, const MoeWeights& w);
void BlockForward(const Pass& pass, const MoeWeights& w, const Tensor& x, const MoeActivations& a,
                  const Tensor& residual);
void BlockBackward(const Pass& pass, const MoeWeights& w, const NormedInput& input,
                   const MoeActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate);
inline StateShape DecodingState(const MoeSpec&) { return {}; }

// Elements per row that a layer keeps of its low-rank products, for modules of rank `r` at most:
// even, so that every expert's part begins at a whole word of two bf16.
inline int64_t ExpertLowRankWidth(int64_t r) { return (r + 1) / 2 * 2; }

}  // namespace lorikeet
