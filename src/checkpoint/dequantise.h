// Dequantisation: rows of any stored dtype to f32. The block formats are those of GGUF: Q4_0 to
// Q6_K, IQ1_S to IQ4_XS, MXFP4, TQ1_0 and TQ2_0.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

// dst[0 ... count): the values of `count` elements at src; whole blocks for a quantised dtype.
// f32, f16, bf16 and every quantised dtype of core/tensor.h; CHECKs against integers.
void DequantiseRow(DType dtype, const std::byte* src, int64_t count, float* dst);

}  // namespace lorikeet
