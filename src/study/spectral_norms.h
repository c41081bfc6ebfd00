// Spectral norms of an adapter's factors: B starts at zero and ends above A, which is why short
// runs need higher rates than long ones.
#pragma once
#include <span>

#include "core/metrics.h"
#include "core/tensor.h"
#include "model/lora.h"

namespace lorikeet {

struct SpectralNorms {
  double a = 0, b = 0, update = 0;  // norms of A, of B, of the scaled product
};
// a (R, in), bt (R, out), f32. Computed from the R x R Gram matrices by power iteration.
SpectralNorms NormsOf(const Tensor& a, const Tensor& bt, double scale);

// Means over an adapter's modules: norm_a, norm_b, norm_update.
Metrics AdapterNorms(const LoraAdapter& adapter);

}  // namespace lorikeet
