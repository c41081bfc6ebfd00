// A `Tensor` is a non-owning, row-major view of memory with a dtype and a shape. It computes and
// frees nothing: memory belongs to an Arena, a Buffer or a mapped file.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "core/check.h"
#include "core/float16.h"

namespace lorikeet {

// Quantised types occur only in GGUF files and are dequantised when a model is loaded.
enum class DType : uint8_t {
  kF32,
  kBF16,
  kF16,
  kI32,
  kI64,
  kU8,
  kBool,  // this and the next ones: in files only, as tensors that no model here reads
  kI8,
  kI16,
  kU16,
  kU32,
  kU64,
  kF64,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ2_XXS,
  kIQ2_XS,
  kIQ2_S,
  kIQ3_XXS,
  kIQ3_S,
  kIQ1_S,
  kIQ1_M,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kTQ1_0,
  kTQ2_0,
};

const char* DTypeName(DType dtype);  // "f32", "bf16", "q4_1", ...
// Bytes of `count` elements in a row; for a quantised type `count` must be whole blocks.
int64_t DTypeBytes(DType dtype, int64_t count);
// Elements in a quantised block; 1 for plain types.
int64_t DTypeBlock(DType dtype);
inline bool IsQuantised(DType dtype) { return DTypeBlock(dtype) > 1; }
inline bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

template <class T>
inline constexpr DType kDTypeOf = DType::kF32;
template <>
inline constexpr DType kDTypeOf<bfloat16> = DType::kBF16;
template <>
inline constexpr DType kDTypeOf<float16> = DType::kF16;
template <>
inline constexpr DType kDTypeOf<int32_t> = DType::kI32;

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, 8> shape{};

  Tensor() = default;
  Tensor(void* memory, DType type, std::initializer_list<int64_t> dims)
      : data(memory), dtype(type), rank(static_cast<int>(dims.size())) {
    CHECK(dims.size() <= shape.size());
    int i = 0;
    for (const int64_t dim : dims) shape[i++] = dim;
  }

  explicit operator bool() const { return data != nullptr; }
  int64_t rows() const { return rank == 0 ? 0 : shape[0]; }
  int64_t cols() const { return rank == 0 ? 0 : shape[rank - 1]; }
  int64_t size() const {
    int64_t n = rank == 0 ? 0 : 1;
    for (int i = 0; i < rank; ++i) n *= shape[i];
    return n;
  }
  int64_t bytes() const { return DTypeBytes(dtype, size()); }

  template <class T>
  T* as() const {
    CHECK(dtype == kDTypeOf<T>);
    return static_cast<T*>(data);
  }
  // Rows [begin, end) of the first dimension.
  Tensor Rows(int64_t begin, int64_t end) const {
    CHECK(rank > 0 && 0 <= begin && begin <= end && end <= shape[0]);
    Tensor view = *this;
    view.shape[0] = end - begin;
    const int64_t row = shape[0] == 0 ? 0 : size() / shape[0];
    view.data = static_cast<std::byte*>(data) + DTypeBytes(dtype, begin * row);
    return view;
  }
};

}  // namespace lorikeet
