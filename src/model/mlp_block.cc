#include "model/mlp_block.h"

#include "kernels/activation.h"
#include "kernels/cast.h"
#include "kernels/geglu.h"
#include "kernels/swiglu.h"
#include "model/pass.h"

namespace lorikeet {
namespace {

// Gate and up, or their gradients: two matrices, or two halves of one.
struct GateAndUp {
  Columns gate, up;  // (T, F)

  GateAndUp(const MlpSpec& s, const Tensor& gate_matrix, const Tensor& up_matrix)
      : gate(gate_matrix), up(up_matrix) {
    if (!s.fused()) return;
    gate = Columns(up_matrix, 0, s.intermediate_size);
    up = Columns(up_matrix, s.intermediate_size, s.intermediate_size);
  }
};

int64_t UpColumns(const MlpSpec& s) {
  return s.fused() ? 2 * s.intermediate_size : s.intermediate_size;
}

// The product in C. A bias is added in f32.
void ProjectRounded(const Pass& pass, const Linear& linear, const Tensor& x, const Tensor& y,
                    const Tensor& lora_x_t) {
  if (!linear.bias) return pass.Project(linear, x, y, false, lora_x_t);
  const ArenaScope scope(pass.arena);
  const Tensor product = pass.Take("projection", DType::kF32, y.cols());
  pass.Project(linear, x, product, false, lora_x_t);
  Convert(product, y);
}

// Without a gate.
void PlainForward(const MlpSpec& s, const Tensor& x, const Tensor& h) {
  if (s.activation == Activation::kSquaredRelu) {
    SquaredReluForward(x, h);
  } else {
    GeluForward(x, h);
  }
}
void PlainBackward(const MlpSpec& s, const Tensor& dh, const Tensor& x, const Tensor& dx,
                   const Tensor& h) {
  if (s.activation == Activation::kSquaredRelu) {
    SquaredReluBackward(dh, x, dx, h);
  } else {
    GeluBackward(dh, x, dx, h);
  }
}

// The products and h, the operand of the last one.
void HiddenForward(const Pass& pass, const MlpWeights& w, const Tensor& x, const MlpActivations& a,
                   const Tensor& h) {
  const MlpSpec& s = w.spec;
  if (s.bias && s.has_gate_proj() &&
      s.activation == Activation::kSilu) {  // rounded in the same pass
    const Tensor gate = pass.Take("projection", DType::kF32, s.intermediate_size);
    const Tensor up = pass.Take("projection", DType::kF32, s.intermediate_size);
    pass.Project(w.gate_proj, x, gate, false, a.gate_lora_x_t);
    pass.Project(w.up_proj, x, up, false, a.up_lora_x_t);
    return SwigluForward(gate, up, a.gate, a.up, h);
  }
  if (s.has_gate_proj()) ProjectRounded(pass, w.gate_proj, x, a.gate, a.gate_lora_x_t);
  ProjectRounded(pass, w.up_proj, x, a.up, a.up_lora_x_t);
  if (!s.names.gated) return PlainForward(s, a.up, h);
  const GateAndUp in(s, a.gate, a.up);
  if (s.activation == Activation::kGeluTanh) {
    GegluForward(in.gate, in.up, h);
  } else {
    SwigluRecompute(in.gate, in.up, h);
  }
}

// dgate and dup, and h again.
void ActivationBackward(const MlpSpec& s, const Tensor& dh, const MlpActivations& a,
                        const Tensor& dgate, const Tensor& dup, const Tensor& h) {
  if (!s.names.gated) return PlainBackward(s, dh, a.up, dup, h);
  const GateAndUp in(s, a.gate, a.up), out(s, dgate, dup);
  if (s.activation == Activation::kGeluTanh) {
    GegluBackward(dh, in.gate, in.up, out.gate, out.up, h);
  } else {
    SwigluBackward(dh, in.gate, in.up, out.gate, out.up, h);
  }
}

}  // namespace

void DeclareWeights(const MlpSpec& s, const std::string& prefix, const WeightVisitor& visit,
                    MlpWeights* w) {
  w->spec = s;
  const auto linear = [&](Linear* to, const char* name, int64_t out, int64_t in, bool adds) {
    to->name = prefix + s.names.block + "." + name;
    visit.linear({to, out, in, s.bias, adds});
  };
  if (s.has_gate_proj())
    linear(&w->gate_proj, s.names.gate, s.intermediate_size, s.hidden_size, false);
  linear(&w->up_proj, s.names.up, UpColumns(s), s.hidden_size, false);
  linear(&w->down_proj, s.names.down, s.hidden_size, s.intermediate_size, true);
}

MlpActivations TakeActivations(const Pass& pass, const MlpWeights& w) {
  const bool has_gate = w.spec.has_gate_proj();
  MlpActivations a;
  if (has_gate) a.gate = pass.Take("activations", pass.compute(), w.spec.intermediate_size);
  a.up = pass.Take("activations", pass.compute(), UpColumns(w.spec));
  if (has_gate) a.gate_lora_x_t = pass.TakeLoraX(w.gate_proj);
  a.up_lora_x_t = pass.TakeLoraX(w.up_proj);
  a.down_lora_x_t = pass.TakeLoraX(w.down_proj);
  return a;
}

void BlockForward(const Pass& pass, const MlpWeights& w, const Tensor& x, const MlpActivations& a,
                  const Tensor& residual) {
  const Tensor h = pass.Take("swiglu", pass.compute(), w.spec.intermediate_size);
  HiddenForward(pass, w, x, a, h);
  pass.Project(w.down_proj, h, residual, true, a.down_lora_x_t);
}

void BlockBackward(const Pass& pass, const MlpWeights& w, const NormedInput& input,
                   const MlpActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate) {
  const MlpSpec& s = w.spec;
  const int64_t F = s.intermediate_size;
  const DType C = pass.compute();
  const Tensor dy = pass.Take("gradient operand", C, s.hidden_size);
  Convert(dresidual, dy);
  const Tensor dh = pass.Take("gradient", DType::kF32, F);
  const Tensor down_lora_dy_t = pass.TakeLoraDy(w.down_proj);
  pass.BackwardInput(w.down_proj, dy, dh, false, down_lora_dy_t);

  const bool has_gate = s.has_gate_proj();
  const Tensor dgate = has_gate ? pass.Take("gradient operand", C, F) : Tensor();
  const Tensor dup = pass.Take("gradient operand", C, UpColumns(s));
  const Tensor h = pass.Take("swiglu", C, F);
  ActivationBackward(s, dh, a, dgate, dup, h);
  pass.BackwardWeights(w.down_proj, dy, h, a.down_lora_x_t, down_lora_dy_t);

  const Tensor x = dy;  // scratch by now
  const Tensor gate_lora_dy_t = has_gate ? pass.TakeLoraDy(w.gate_proj) : Tensor();
  const Tensor up_lora_dy_t = pass.TakeLoraDy(w.up_proj);
  if (has_gate) pass.BackwardInput(w.gate_proj, dgate, dx, accumulate, gate_lora_dy_t);
  pass.BackwardInput(w.up_proj, dup, dx, accumulate || has_gate, up_lora_dy_t);
  input.Write(x);
  if (has_gate) {
    pass.BackwardWeights(w.gate_proj, dgate, x, a.gate_lora_x_t, gate_lora_dy_t);
  }
  pass.BackwardWeights(w.up_proj, dup, x, a.up_lora_x_t, up_lora_dy_t);
}

}  // namespace lorikeet
