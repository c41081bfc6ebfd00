// Copies of rows, and copies between tensors and the host. Code outside the kernels calls them
// instead of accessing a tensor's memory.
#pragma once
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace lorikeet {

// to[i] = from[rows[i]]. from (T, D), to (n, D) of one dtype; 0 <= row < T.
void CopyRows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to);

// to[rows[i]] = from[i]. from (n, D), to (T, D) of one dtype; no row occurs twice.
void PutRows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to);

// Both f32 and of one size. In a dry run CopyToHost gives zeros.
void CopyToHost(const Tensor& from, std::span<float> to);
void CopyFromHost(std::span<const float> from, const Tensor& to);

}  // namespace lorikeet
