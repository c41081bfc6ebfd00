// `Operand`, a matrix of a product seen as lines along k, and `Grid`, the rectangles of c that the
// threads compute: the terms in which both implementations of a product (amx_matmul, panel_matmul)
// are written.
//
// A product is c = rows . columns^T: lines of the operand `rows` give rows of c, lines of `columns`
// its columns. Each thread takes a rectangle of c, cuts it into blocks and k into parts, and packs
// for itself. Operand::At alone knows where elements lie. Columns, frozen weights among them, are
// read by PackColumns of each implementation, and by the panels' direct path for few rows.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/parallel.h"
#include "core/round_up.h"
#include "core/tensor.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {

// [begin, end) of rows, columns or k.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
  // The part that begins at `at`, of at most `size`.
  Range Part(int64_t at, int64_t size) const { return {at, std::min(at + size, end)}; }
};

// The size of equal parts of `n`: at most `max`, then rounded up to a multiple of `unit`.
inline int64_t EvenPart(int64_t n, int64_t max, int64_t unit) {
  return RoundUp(CeilDiv(n, CeilDiv(n, max)), unit);
}

// A block of c, and the part of the first term's k whose products are added to it.
struct Block {
  Range rows, columns, ks;
};

// The rows of op(a), or the columns of op(b), as lines along k.
struct Operand {
  const std::byte* data;
  int64_t lines;
  int64_t stride;               // elements from a row of memory to the next
  bool across_k;                // a row of memory holds one k of every line, not one line
  int64_t line_bytes, k_bytes;  // from a line to the next, from a k to the next

  template <class T>
  const T* At(int64_t line, int64_t k) const {
    return reinterpret_cast<const T*>(data + line * line_bytes + k * k_bytes);
  }
};

struct Term {
  Operand rows, columns;
  int64_t k;
};

// The sum of one term or two.
struct Product {
  // MatMulSum's arguments, or MatMul's where second is null. CHECKs shapes and dtypes.
  Product(const MatMulTerm& first, const MatMulTerm* second, const Tensor& result,
          bool accumulates);

  std::array<Term, 2> terms;
  size_t num_terms;
  Tensor c;
  bool accumulate;
};

// The rectangles of c that threads take: `rows` x `columns` of them, whose borders are multiples of
// `height` and `width`.
struct Grid {
  int64_t m, n;  // rows and columns of c
  int64_t height, width;
  int64_t rows = 1, columns = 1;
  double cost = 0;  // cost of one step of k in the largest rectangle

  // fn(Range rows, Range columns) for every rectangle that is not empty.
  template <class Fn>
  void ForEach(const Fn& fn) const {
    const auto part = [](int64_t size, int64_t unit, int64_t parts, int64_t i) {
      const int64_t units = CeilDiv(size, unit);
      return Range{std::min(size, units * i / parts * unit),
                   std::min(size, units * (i + 1) / parts * unit)};
    };
    ParallelDynamic(rows * columns, [&](int64_t i) {
      const Range r = part(m, height, rows, i / columns), c = part(n, width, columns, i % columns);
      if (r.size() > 0 && c.size() > 0) fn(r, c);
    });
  }
};

// The cheapest grid for at most NumThreads(), or for one inside a parallel region; fewer where a
// thread would do less than `worth_a_thread`. `cost`(rows, columns): of a step of k in a rectangle
// of that size, which may reach past the end of c.
template <class Cost>
Grid ChooseGrid(Grid best, int64_t steps, double worth_a_thread, const Cost& cost) {
  best.cost = cost(best.m, best.n);
  const double work = best.cost * static_cast<double>(steps);
  const double max_threads = omp_in_parallel() != 0 ? 1 : NumThreads();
  const auto threads =
      static_cast<int64_t>(std::min(max_threads, std::max(1.0, work / worth_a_thread)));
  const int64_t row_units = CeilDiv(best.m, best.height);
  const int64_t column_units = CeilDiv(best.n, best.width);
  Grid grid = best;
  for (grid.rows = 1; grid.rows <= threads; ++grid.rows) {
    grid.columns = threads / grid.rows;
    grid.cost = cost(CeilDiv(row_units, grid.rows) * grid.height,
                     CeilDiv(column_units, grid.columns) * grid.width);
    if (grid.cost < best.cost) best = grid;
  }
  return best;
}

}  // namespace lorikeet
