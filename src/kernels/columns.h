// `Columns` are a range of the columns of a matrix, such as q in the product [q|k|v] of a fused
// weight. A matrix converts to the range of all of its columns.
#pragma once
#include <concepts>
#include <cstdint>

#include "core/check.h"
#include "core/tensor.h"

namespace lorikeet {

struct Columns {
  Tensor matrix;  // (T, N)
  int64_t begin = 0, count = 0;

  Columns() = default;
  template <std::convertible_to<const Tensor&> M>
  Columns(const M& all)  // NOLINT(google-explicit-constructor)
      : matrix(static_cast<const Tensor&>(all)), count(matrix.cols()) {}
  Columns(const Tensor& of, int64_t first, int64_t number)
      : matrix(of), begin(first), count(number) {
    CHECK(of.rank == 2 && 0 <= first && 0 <= number && first + number <= of.cols());
  }

  explicit operator bool() const { return static_cast<bool>(matrix); }
  DType dtype() const { return matrix.dtype; }
  int64_t rows() const { return matrix.rows(); }
  int64_t cols() const { return count; }
  int64_t size() const { return rows() * count; }
  int64_t bytes() const { return matrix ? DTypeBytes(matrix.dtype, size()) : 0; }
  bool whole() const { return count == matrix.cols(); }  // its rows lie one after another
  template <class T>
  T* Row(int64_t t) const {
    return matrix.as<T>() + t * matrix.cols() + begin;
  }
};

inline bool SameShape(const Columns& a, const Columns& b) {
  return a.rows() == b.rows() && a.cols() == b.cols();
}

// fn(t, n) for rows [begin, end): n elements from the start of row t that lie one after another.
// With whole matrices that is all of them at once, otherwise a row of `cols` elements each time.
template <class Fn>
void ForRuns(int64_t begin, int64_t end, int64_t cols, bool whole, const Fn& fn) {
  if (whole) return fn(begin, (end - begin) * cols);
  for (int64_t t = begin; t < end; ++t) fn(t, cols);
}

}  // namespace lorikeet
