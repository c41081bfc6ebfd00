// Quantisation: rows of f32 to the block formats of GGUF, with the blocks of ggml's reference
// functions, bit for bit: Q8_0, Q4_0, Q5_0, Q4_K, Q5_K and Q6_K.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

bool CanQuantise(DType dtype);
// dst: the blocks of src[0 ... count), which are finite; whole blocks of a dtype that
// CanQuantise().
void QuantiseRow(DType dtype, const float* src, int64_t count, std::byte* dst);

}  // namespace lorikeet
