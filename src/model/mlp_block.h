// The MLP block: down(activation(gate x) * up x), or without a gate down(activation(up x)). Its
// entries are those of model/attention_block.h.
#pragma once
#include <string>

#include "core/tensor.h"
#include "model/attention_block.h"
#include "model/declaration.h"
#include "model/layer_spec.h"
#include "model/linear.h"

namespace lorikeet {

struct MlpWeights {
  MlpSpec spec;
  Linear gate_proj;  // without a name if fused, or if there is no gate
  Linear up_proj;    // (F, D); if fused (2F, D): the rows of gate, then those of up
  Linear down_proj;
};

void DeclareWeights(const MlpSpec& spec, const std::string& prefix, const WeightVisitor& visit,
                    MlpWeights* weights);

template <MaybeConst<MlpWeights> W, class Fn>
void ForEachLinear(W& w, const Fn& fn) {
  if (w.spec.has_gate_proj()) fn(w.gate_proj);
  fn(w.up_proj);
  fn(w.down_proj);
}
template <MaybeConst<MlpWeights> W, class Fn>
void ForEachNorm(W&, const Fn&) {}

struct MlpActivations {
  Tensor gate, up;  // (T, F) C; if fused, up is (T, 2F) with the columns of both
  Tensor gate_lora_x_t, up_lora_x_t, down_lora_x_t;  // (R, T) C, of adapted linears
};

MlpActivations TakeActivations(const Pass& pass, const MlpWeights& w);
void BlockForward(const Pass& pass, const MlpWeights& w, const Tensor& x, const MlpActivations& a,
                  const Tensor& residual);
void BlockBackward(const Pass& pass, const MlpWeights& w, const NormedInput& input,
                   const MlpActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate);
inline StateShape DecodingState(const MlpSpec&) { return {}; }

}  // namespace lorikeet
