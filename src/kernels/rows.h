// Helpers of the elementwise kernels: checks of operands, parallel loops, and sums over rows in a
// fixed order.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace lorikeet {

inline bool IsCompute(const Tensor& a) { return a.dtype == DType::kF32 || a.dtype == DType::kBF16; }
inline bool SameShape(const Tensor& a, const Tensor& b) {
  return a.rank == b.rank && a.shape == b.shape;
}

// Minimum number of rows of `cols` elements per thread.
inline int64_t RowGrain(int64_t cols) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, cols));
}

// fn(begin, n) over pieces of [0, size) that begin at multiples of 64 elements.
template <class Fn>
void ParallelElements(int64_t size, const Fn& fn) {
  constexpr int64_t kBlock = 64;
  ParallelRanges((size + kBlock - 1) / kBlock, RowGrain(kBlock), [&](int64_t begin, int64_t end) {
    fn(begin * kBlock, std::min(size, end * kBlock) - begin * kBlock);
  });
}

// fn(begin, n) over ranges of columns of a matrix, for sums over rows: each thread owns columns.
template <class Fn>
void ParallelColumns(int64_t cols, int64_t rows, const Fn& fn) {
  constexpr int64_t kBlock = 32;  // two cache lines of f32: no line has two writers
  ParallelRanges((cols + kBlock - 1) / kBlock, RowGrain(rows * kBlock),
                 [&](int64_t begin, int64_t end) {
                   fn(begin * kBlock, std::min(cols, end * kBlock) - begin * kBlock);
                 });
}

// fn(begin, end, line) over pieces of [0, rows), each with a zeroed line (cols) of its own to sum
// into; the lines are added to sums (cols) in order. The pieces depend on `rows` only, so the
// bits do not depend on threads. With null sums, line is null and the pieces are one per thread.
template <class Fn>
void SumOverRows(int64_t rows, int64_t row_elements, int64_t cols, float* sums, const Fn& fn) {
  if (sums == nullptr) {
    ParallelRanges(rows, RowGrain(row_elements),
                   [&](int64_t begin, int64_t end) { fn(begin, end, nullptr); });
    return;
  }
  constexpr int64_t kMinPiece = 32, kMaxPieces = 64;  // bounds the memory for the lines
  const int64_t piece = std::max(kMinPiece, (rows + kMaxPieces - 1) / kMaxPieces);
  const int64_t pieces = (rows + piece - 1) / piece;
  std::vector<float> lines(static_cast<size_t>(pieces * cols));
  ParallelRanges(pieces, std::max<int64_t>(1, RowGrain(row_elements) / piece),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     fn(i * piece, std::min(rows, (i + 1) * piece), lines.data() + i * cols);
                   }
                 });
  for (int64_t i = 1; i < pieces; ++i) {
    const float* line = lines.data() + i * cols;
    for (int64_t c = 0; c < cols; ++c) lines[c] += line[c];
  }
  for (int64_t c = 0; pieces > 0 && c < cols; ++c) sums[c] += lines[c];
}

}  // namespace lorikeet
