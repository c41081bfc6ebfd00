// An `AdamWOptimizer` updates the parameters of a model or an adapter from their gradients.
#pragma once
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "model/param.h"

namespace lorikeet {

// Multipliers of OptimParams' values for the A's, or the B's, of an adapter. With init_a times p,
// alpha / (p q), a = {p, 1/p, 1/p} and b = {q, 1/q, 1/q} a run without clipping gives the same
// model at every step for all p and q: the invariance of "LoRA Without Regret".
struct FactorScales {
  double learning_rate = 1, eps = 1, weight_decay = 1;
  bool operator==(const FactorScales&) const = default;
};

struct OptimParams {
  double learning_rate = 1e-4;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;
  bool decay_matrices_only = false;  // no weight decay for norms and biases
  double max_grad_norm = 0;          // 0: no clipping
  double grad_divisor = 1;  // sum of all weights, by which the summed gradients are divided
  FactorScales a, b;        // for an adapter's A and B
};

struct OptimStepOutput {
  double grad_norm = 0;  // norm of the mean loss's gradient, before clipping
};

class AdamWOptimizer {
 public:
  AdamWOptimizer() = default;
  explicit AdamWOptimizer(std::vector<Param> params);  // moments are zero

  // One AdamW update with gradients / grad_divisor, clipped by their global norm; then zeroes them.
  // A gradient that is not finite throws Error(kDiverged) naming the parameter, weights untouched.
  OptimStepOutput Step(const OptimParams& params);
  void ZeroGradients() const;

  const std::vector<Param>& params() const { return params_; }
  const Tensor& first_moment(size_t i) const { return m_[i]; }  // for params()[i], flat
  const Tensor& second_moment(size_t i) const { return v_[i]; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  int64_t NumParameters() const;

 private:
  std::vector<Param> params_;
  TensorPool moments_;
  std::vector<Tensor> m_, v_;
  int64_t steps_ = 0;
};

}  // namespace lorikeet
