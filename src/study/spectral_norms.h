// How large the factors of an adapter have become: B starts at zero and ends above A, which is why
// short runs want higher rates than long ones.
#pragma once
#include <span>

#include "core/metrics.h"
#include "core/tensor.h"
#include "model/lora.h"

namespace lorikeet {

struct SpectralNorms {
  double a = 0, b = 0, update = 0;  // of A, of B, of the scaled product
};
// a (R, in), bt (R, out), f32. From the R x R matrices of inner products, by power iteration.
SpectralNorms NormsOf(const Tensor& a, const Tensor& bt, double scale);

// Means over an adapter's modules: norm_a, norm_b, norm_update.
Metrics AdapterNorms(const LoraAdapter& adapter);

}  // namespace lorikeet
