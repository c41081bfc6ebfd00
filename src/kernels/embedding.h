// Token embedding: rows of a table, and the sum of gradients back into them.
#pragma once
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace lorikeet {

// residual[t] = factor * table[tokens[t]]. table (V,D) f32|bf16|f16, residual (T,D) f32; 0 <= token
// < V.
void EmbeddingForward(std::span<const int32_t> tokens, const Tensor& table, const Tensor& residual,
                      float factor = 1);

// dtable[tokens[t]] += factor * dresidual[t] in the order of t. dresidual (T,D) f32, dtable (V,D)
// f32.
void EmbeddingBackward(std::span<const int32_t> tokens, const Tensor& dresidual,
                       const Tensor& dtable, float factor = 1);

}  // namespace lorikeet
