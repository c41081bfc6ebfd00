// The block of a shared expert (Qwen2-MoE): an MLP that every token goes through, beside the
// experts that a router chooses, with a gate of one number per token. Its entries are those of
// model/attention_block.h.
//
//   y = sigmoid(x g^T) * down(silu(gate x) * up x)
//
// As the weight of an expert, the gate is applied to the operand of down.
#pragma once
#include <string>

#include "core/tensor.h"
#include "model/attention_block.h"
#include "model/declaration.h"
#include "model/layer_spec.h"
#include "model/linear.h"

namespace lorikeet {

struct SharedExpertWeights {
  SharedExpertSpec spec;
  Linear gate_proj, up_proj, down_proj;
  Linear token_gate;  // (1, D); `shared_expert_gate` in files
};

void DeclareWeights(const SharedExpertSpec& spec, const std::string& prefix,
                    const WeightVisitor& visit, SharedExpertWeights* weights);

template <MaybeConst<SharedExpertWeights> W, class Fn>
void ForEachLinear(W& w, const Fn& fn) {
  fn(w.gate_proj);
  fn(w.up_proj);
  fn(w.down_proj);
  fn(w.token_gate);
}
template <MaybeConst<SharedExpertWeights> W, class Fn>
void ForEachNorm(W&, const Fn&) {}

struct SharedExpertActivations {
  Tensor gate, up;                                   // (T, F) C
  Tensor gates;                                      // (T) f32, the sigmoids
  Tensor gate_lora_x_t, up_lora_x_t, down_lora_x_t;  // (R, T) C, of adapted linears
  Tensor token_gate_lora_x_t;
};

SharedExpertActivations TakeActivations(const Pass& pass, const SharedExpertWeights& w);
void BlockForward(const Pass& pass, const SharedExpertWeights& w, const Tensor& x,
                  const SharedExpertActivations& a, const Tensor& residual);
void BlockBackward(const Pass& pass, const SharedExpertWeights& w, const NormedInput& input,
                   const SharedExpertActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate);
inline StateShape DecodingState(const SharedExpertSpec&) { return {}; }

}  // namespace lorikeet
