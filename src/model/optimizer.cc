#include "model/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/yield.h"
#include "kernels/adamw.h"
#include "kernels/cast.h"

namespace lorikeet {
namespace {

// The multipliers of a parameter, by its name.
FactorScales ScalesOf(const std::string& name, const OptimParams& params) {
  if (name.ends_with(".lora_A")) return params.a;
  return name.ends_with(".lora_B") ? params.b : FactorScales();
}

}  // namespace

AdamWOptimizer::AdamWOptimizer(std::vector<Param> params) : params_(std::move(params)) {
  for (const Param& param : params_) {
    m_.push_back(moments_.Take(DType::kF32, {param.value.size()}));
    v_.push_back(moments_.Take(DType::kF32, {param.value.size()}));
  }
}

OptimStepOutput AdamWOptimizer::Step(const OptimParams& params) {
  CHECK(params.grad_divisor > 0);
  double squares = 0;
  for (const Param& param : params_) {
    const double sum = SumOfSquares(param.grad);
    if (!std::isfinite(sum)) {
      Fail(ErrorCode::kDiverged, "step {}: the gradient of {} is not finite", steps_ + 1,
           param.name);
    }
    squares += sum;
  }
  const double norm = std::sqrt(squares) / params.grad_divisor;
  double scale = 1.0 / params.grad_divisor;
  // torch.nn.utils.clip_grad_norm_: the coefficient has 1e-6 added to the norm.
  if (params.max_grad_norm > 0) scale *= std::min(1.0, params.max_grad_norm / (norm + 1e-6));
  AdamWParams adamw;
  adamw.beta1 = params.beta1;
  adamw.beta2 = params.beta2;
  adamw.step = ++steps_;
  adamw.grad_scale = scale;
  for (size_t i = 0; i < params_.size(); ++i) {
    YieldPoint(Yield::kLayer);
    const Param& p = params_[i];
    const FactorScales scales = ScalesOf(p.name, params);
    adamw.learning_rate = params.learning_rate * scales.learning_rate;
    adamw.eps = params.eps * scales.eps;
    const int64_t n = p.value.size();
    adamw.weight_decay = params.decay_matrices_only && p.value.rank < 2 ? 0 : params.weight_decay;
    adamw.weight_decay *= scales.weight_decay;
    const auto flat = [n](const Tensor& t) { return Tensor(t.data, t.dtype, {n}); };
    AdamWUpdate(flat(p.value), flat(p.grad), m_[i], v_[i], adamw,
                p.working ? flat(p.working) : Tensor());
  }
  ZeroGradients();
  return {norm};
}

void AdamWOptimizer::ZeroGradients() const {
  for (const Param& param : params_) Zero(param.grad);
}

int64_t AdamWOptimizer::NumParameters() const {
  int64_t count = 0;
  for (const Param& param : params_) count += param.value.size();
  return count;
}

}  // namespace lorikeet
