#include "model/mlp_block.h"

#include "kernels/cast.h"
#include "kernels/geglu.h"
#include "kernels/swiglu.h"
#include "model/pass.h"

namespace lorikeet {

void DeclareWeights(const MlpSpec& s, const std::string& prefix, const WeightVisitor& visit,
                    MlpWeights* w) {
  w->spec = s;
  const auto linear = [&](Linear* to, const char* name, int64_t out, int64_t in, bool adds) {
    to->name = prefix + "mlp." + name;
    visit.linear({to, out, in, s.bias, adds});
  };
  linear(&w->gate_proj, "gate_proj", s.intermediate_size, s.hidden_size, false);
  linear(&w->up_proj, "up_proj", s.intermediate_size, s.hidden_size, false);
  linear(&w->down_proj, "down_proj", s.hidden_size, s.intermediate_size, true);
}

MlpActivations TakeActivations(const Pass& pass, const MlpWeights& w) {
  MlpActivations a;
  a.gate = pass.Take("activations", pass.compute(), w.spec.intermediate_size);
  a.up = pass.Take("activations", pass.compute(), w.spec.intermediate_size);
  a.gate_lora_x_t = pass.TakeLoraX(w.gate_proj);
  a.up_lora_x_t = pass.TakeLoraX(w.up_proj);
  a.down_lora_x_t = pass.TakeLoraX(w.down_proj);
  return a;
}

void BlockForward(const Pass& pass, const MlpWeights& w, const Tensor& x, const MlpActivations& a,
                  const Tensor& residual) {
  const int64_t F = w.spec.intermediate_size;
  const bool gelu = w.spec.activation == Activation::kGeluTanh;
  const Tensor h = pass.Take("swiglu", pass.compute(), F);
  if (w.spec.bias) {  // the bias is added in f32
    const Tensor gate = pass.Take("projection", DType::kF32, F);
    const Tensor up = pass.Take("projection", DType::kF32, F);
    pass.Project(w.gate_proj, x, gate, false, a.gate_lora_x_t);
    pass.Project(w.up_proj, x, up, false, a.up_lora_x_t);
    if (gelu) {
      Convert(gate, a.gate);
      Convert(up, a.up);
      GegluForward(a.gate, a.up, h);
    } else {
      SwigluForward(gate, up, a.gate, a.up, h);
    }
  } else {
    pass.Project(w.gate_proj, x, a.gate, false, a.gate_lora_x_t);
    pass.Project(w.up_proj, x, a.up, false, a.up_lora_x_t);
    if (gelu) {
      GegluForward(a.gate, a.up, h);
    } else {
      SwigluRecompute(a.gate, a.up, h);
    }
  }
  pass.Project(w.down_proj, h, residual, true, a.down_lora_x_t);
}

void BlockBackward(const Pass& pass, const MlpWeights& w, const NormedInput& input,
                   const MlpActivations& a, const Tensor& dresidual, const Tensor& dx,
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
  if (w.spec.activation == Activation::kGeluTanh) {
    GegluBackward(dh, a.gate, a.up, dgate, dup, h);
  } else {
    SwigluBackward(dh, a.gate, a.up, dgate, dup, h);
  }
  pass.BackwardWeights(w.down_proj, dy, h, a.down_lora_x_t, down_lora_dy_t);

  const Tensor gate_lora_dy_t = pass.TakeLoraDy(w.gate_proj);
  const Tensor up_lora_dy_t = pass.TakeLoraDy(w.up_proj);
  pass.BackwardInput(w.gate_proj, dgate, dx, accumulate, gate_lora_dy_t);
  pass.BackwardInput(w.up_proj, dup, dx, true, up_lora_dy_t);
  const Tensor x = dy;  // scratch by now
  input.Write(x);
  pass.BackwardWeights(w.gate_proj, dgate, x, a.gate_lora_x_t, gate_lora_dy_t);
  pass.BackwardWeights(w.up_proj, dup, x, a.up_lora_x_t, up_lora_dy_t);
}

}  // namespace lorikeet
