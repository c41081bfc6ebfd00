// Copies of rows, and between tensors and the host: code outside the kernels calls them instead of
// reading and writing a tensor's memory.
#pragma once
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace lorikeet {

// to[i] = from[rows[i]]. from (T, D), to (n, D) of one dtype; 0 <= row < T.
void CopyRows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to);

// to[rows[i]] = from[i]. from (n, D), to (T, D) of one dtype; no row occurs twice.
void PutRows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to);

// f32, of one size. CopyToHost gives zeros in a dry run.
void CopyToHost(const Tensor& from, std::span<float> to);
void CopyFromHost(std::span<const float> from, const Tensor& to);

}  // namespace lorikeet
