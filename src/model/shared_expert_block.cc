#include "model/shared_expert_block.h"

#include "kernels/cast.h"
#include "kernels/sigmoid.h"
#include "kernels/swiglu.h"
#include "model/pass.h"

namespace lorikeet {

void DeclareWeights(const SharedExpertSpec& s, const std::string& prefix,
                    const WeightVisitor& visit, SharedExpertWeights* w) {
  w->spec = s;
  const auto linear = [&](Linear* to, const std::string& name, int64_t out, int64_t in, bool adds) {
    to->name = prefix + "mlp.shared_expert" + name;
    visit.linear({to, out, in, /*bias=*/false, adds});
  };
  linear(&w->gate_proj, ".gate_proj", s.intermediate_size, s.hidden_size, false);
  linear(&w->up_proj, ".up_proj", s.intermediate_size, s.hidden_size, false);
  linear(&w->down_proj, ".down_proj", s.hidden_size, s.intermediate_size, true);
  linear(&w->token_gate, "_gate", 1, s.hidden_size, false);
}

SharedExpertActivations TakeActivations(const Pass& pass, const SharedExpertWeights& w) {
  SharedExpertActivations a;
  a.gate = pass.Take("activations", pass.compute(), w.spec.intermediate_size);
  a.up = pass.Take("activations", pass.compute(), w.spec.intermediate_size);
  a.gates = pass.arena.Take("activations", DType::kF32, {pass.T()});
  a.gate_lora_x_t = pass.TakeLoraX(w.gate_proj);
  a.up_lora_x_t = pass.TakeLoraX(w.up_proj);
  a.down_lora_x_t = pass.TakeLoraX(w.down_proj);
  a.token_gate_lora_x_t = pass.TakeLoraX(w.token_gate);
  return a;
}

void BlockForward(const Pass& pass, const SharedExpertWeights& w, const Tensor& x,
                  const SharedExpertActivations& a, const Tensor& residual) {
  const Tensor logits = pass.Take("router logits", DType::kF32, 1);
  pass.Project(w.token_gate, x, logits, false, a.token_gate_lora_x_t);
  SigmoidForward(logits, a.gates);
  pass.Project(w.gate_proj, x, a.gate, false, a.gate_lora_x_t);
  pass.Project(w.up_proj, x, a.up, false, a.up_lora_x_t);
  const Tensor h = pass.Take("swiglu", pass.compute(), w.spec.intermediate_size);
  WeightedSwigluForward(a.gate, a.up, a.gates, h);
  pass.Project(w.down_proj, h, residual, true, a.down_lora_x_t);
}

void BlockBackward(const Pass& pass, const SharedExpertWeights& w, const NormedInput& input,
                   const SharedExpertActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate) {
  const int64_t F = w.spec.intermediate_size;
  const DType C = pass.compute();
  const Tensor dy = pass.Take("gradient operand", C, w.spec.hidden_size);
  Convert(dresidual, dy);
  const Tensor dh = pass.Take("gradient", DType::kF32, F);
  const Tensor down_lora_dy_t = pass.TakeLoraDy(w.down_proj);
  pass.BackwardInput(w.down_proj, dy, dh, false, down_lora_dy_t);

  const Tensor dgate = pass.Take("gradient operand", C, F);
  const Tensor dup = pass.Take("gradient operand", C, F);
  const Tensor h = pass.Take("swiglu", C, F);
  const Tensor dgates = pass.arena.Take("gradient", DType::kF32, {pass.T()});
  WeightedSwigluBackward(dh, a.gate, a.up, a.gates, dgate, dup, h, dgates);
  pass.BackwardWeights(w.down_proj, dy, h, a.down_lora_x_t, down_lora_dy_t);
  const Tensor dlogits = pass.Take("gradient operand", C, 1);
  SigmoidBackward(dgates, a.gates, dlogits);

  const Tensor gate_lora_dy_t = pass.TakeLoraDy(w.gate_proj);
  const Tensor up_lora_dy_t = pass.TakeLoraDy(w.up_proj);
  const Tensor token_gate_lora_dy_t = pass.TakeLoraDy(w.token_gate);
  pass.BackwardInput(w.gate_proj, dgate, dx, accumulate, gate_lora_dy_t);
  pass.BackwardInput(w.up_proj, dup, dx, true, up_lora_dy_t);
  pass.BackwardInput(w.token_gate, dlogits, dx, true, token_gate_lora_dy_t);
  const Tensor x = dy;  // scratch by now
  input.Write(x);
  pass.BackwardWeights(w.gate_proj, dgate, x, a.gate_lora_x_t, gate_lora_dy_t);
  pass.BackwardWeights(w.up_proj, dup, x, a.up_lora_x_t, up_lora_dy_t);
  pass.BackwardWeights(w.token_gate, dlogits, x, a.token_gate_lora_x_t, token_gate_lora_dy_t);
}

}  // namespace lorikeet
