// Matrix products on AMX tiles (amx_matmul.h) but for the question whether the CPU has them.
// Included by amx_matmul.cc, and by a test that puts an emulation in the place of the tile
// instructions.
#pragma once
#include <array>

#include "core/arena.h"
#include "core/check.h"
#include "kernels/matmul/amx_tiles-inl.h"
#include "kernels/matmul/operand.h"

namespace lorikeet {
namespace {

// c, or the part of it that begins at first_row and first_column.
struct Result {
  void* data;
  DType dtype;
  int64_t stride;  // elements from row to row
  int64_t first_row, first_column;
  template <class T>
  T* At(int64_t row, int64_t column) const {
    return static_cast<T*>(data) + (row - first_row) * stride + (column - first_column);
  }
  Sums SumsAt(int64_t row, int64_t column) const { return {At<float>(row, column), stride}; }
};

// A product or its transpose: which operand is read as it lies (rows) and which is packed into
// column tiles does not change the bits, a tile product being symmetric in them.
struct TileProduct : Product {
  using Product::Product;
  void Exchange() {
    for (size_t t = 0; t < num_terms; ++t) std::swap(terms[t].rows, terms[t].columns);
    c_transposed = !c_transposed;
  }
  bool c_transposed = false;  // lines of `rows` are columns of c
};

// The blocking of one thread's rectangle of c. Column tiles of `depth` x `width` stay in the L2
// cache; the row tiles they meet, 32 rows of `inner_depth`, in L1.
struct Blocking {
  int64_t depth, width, inner_depth;
};

constexpr int64_t kColumnBytes = 1 << 20;  // of packed column tiles, half of L2
constexpr int64_t kInnerDepth = 640;       // 32 rows: 40 KiB of L1's 48
constexpr int64_t kNarrow = 256, kWide = 768;

// Deep blocks spare c: it is read and written once for each. Wide ones are better where the rows
// must be transposed for every block, or are so few that the columns are best read in long runs.
Blocking ChooseBlocking(const Product& product, int64_t rows, int64_t columns) {
  const Term& term = product.terms[0];
  const int64_t k = RoundUp(term.k, kStep);
  const int64_t wanted = term.rows.across_k || rows <= kPanel ? kWide : kNarrow;
  const int64_t min_width = std::min(RoundUp(columns, kPanel), wanted);
  const int64_t max_depth = kColumnBytes / (2 * min_width);
  Blocking blocking;
  // A bf16 c cannot hold sums between two blocks of k, so there is one.
  blocking.depth = product.c.dtype == DType::kBF16 ? k : EvenPart(k, max_depth, kStep);
  const int64_t max_width = std::max(kColumnBytes / (2 * blocking.depth) / kPanel * kPanel, kPanel);
  blocking.width = EvenPart(columns, max_width, kPanel);
  blocking.inner_depth = EvenPart(blocking.depth, kInnerDepth, kStep);
  return blocking;
}

// This thread's working memory for one term, grown when a product needs more.
struct Scratch {
  Bits* columns;  // packed column tiles, by panel of 32 columns
  Bits* rows;     // 32 lines
  int64_t row_stride;
  float* waiting;  // a 32 x 32 block of sums for each panel of columns
  Sums block, transposed;
};

Scratch TakeScratch(const Blocking& blocking, size_t term) {
  static thread_local std::array<Buffer, 2> buffers;
  Buffer& buffer = buffers[term];
  Scratch scratch;
  // An odd number of cache lines from row to row, or tiles would compete for few sets of L1.
  scratch.row_stride = (blocking.depth / kStep | 1) * kStep;
  const int64_t columns = blocking.depth * blocking.width * 2;
  const int64_t rows = scratch.row_stride * kPanel * 2;
  constexpr int64_t kBlockBytes = kPanel * kPanel * 4;
  const int64_t waiting = blocking.width / kPanel * kBlockBytes;
  const int64_t bytes = columns + rows + waiting + 2 * kBlockBytes;
  if (buffer.tensor().size() < bytes) buffer = Buffer(DType::kU8, {bytes});
  auto* memory = static_cast<std::byte*>(buffer.tensor().data);
  scratch.columns = reinterpret_cast<Bits*>(memory);
  scratch.rows = reinterpret_cast<Bits*>(memory + columns);
  scratch.waiting = reinterpret_cast<float*>(memory + columns + rows);
  float* blocks_of_sums = reinterpret_cast<float*>(memory + columns + rows + waiting);
  scratch.block = {blocks_of_sums, kPanel};
  scratch.transposed = {blocks_of_sums + kPanel * kPanel, kPanel};
  return scratch;
}

// One term's work on a rectangle of c.
struct Job {
  const Term* term;
  Result c;
  bool c_transposed;
  bool accumulate;
  Blocking blocking;
  Scratch scratch;
};

// The second term is added to the sums of the first, which are f32 whatever c is. It goes through
// the columns in the parts of the first one, all of its k at once.
Job JobOf(const TileProduct& product, size_t term, const Blocking& first) {
  const Tensor& c = product.c;
  Blocking blocking = first;
  if (term > 0) {
    blocking.depth = RoundUp(product.terms[term].k, kStep);
    blocking.inner_depth = EvenPart(blocking.depth, kInnerDepth, kStep);
  }
  return {&product.terms[term],
          {c.data, c.dtype, c.cols(), 0, 0},
          product.c_transposed,
          product.accumulate || term > 0,
          blocking,
          TakeScratch(blocking, term)};
}

// Both pack columns x ks into panels of column tiles, `depth` rows of k each, and read memory in
// the order in which it lies.
LORIKEET_AMX void PackAcrossK(const Operand& from, Range columns, Range ks, int64_t depth,
                              Bits* to) {
  for (int64_t k = ks.begin; k < ks.end; k += kStep) {
    for (int64_t x = columns.begin; x < columns.end; x += kPanel) {
      for (int64_t ahead = k + kStep; ahead < std::min(k + 2 * kStep, ks.end); ++ahead) {
        _mm_prefetch(from.At<char>(x, ahead), _MM_HINT_T0);
      }
      Bits* tiles = to + (x - columns.begin) * depth + (k - ks.begin) * kPanel;
      for (int64_t t = x; t < std::min(x + kPanel, columns.end);
           t += kTile, tiles += kTileElements) {
        InterleaveTile(from.At<Bits>(t, k), from.stride, ks.end - k, columns.end - t, tiles);
      }
    }
  }
}

LORIKEET_AMX void PackAlongK(const Operand& from, Range columns, Range ks, int64_t depth,
                             Bits* to) {
  alignas(64) Bits tile[kTileElements];
  for (int64_t x = columns.begin; x < columns.end; x += kTile) {
    const int64_t within = (x - columns.begin) % kPanel;
    Bits* packed = to + (x - columns.begin - within) * depth + within * kStep;
    for (int64_t k = ks.begin; k < ks.end; k += kStep, packed += 2 * kTileElements) {
      for (int64_t ahead = x + kTile; ahead < std::min(x + 2 * kTile, columns.end); ++ahead) {
        _mm_prefetch(from.At<char>(ahead, k), _MM_HINT_T0);
      }
      if (ks.end - k >= kStep && columns.end - x >= kTile) {
        TransposeWords(from.At<Bits>(x, k), from.stride * 2, packed, 64);
      } else {
        CopyPart(from.At<Bits>(x, k), from.stride, columns.end - x, ks.end - k, tile, kStep);
        TransposeWords(tile, 64, packed, 64);
      }
    }
  }
}

LORIKEET_AMX void PackColumns(const Job& job, Range columns, Range ks) {
  const auto pack = job.term->columns.across_k ? PackAcrossK : PackAlongK;
  pack(job.term->columns, columns, ks, job.blocking.depth, job.scratch.columns);
}

// Up to 32 lines x ks, along k, padded with zeros to whole tiles.
LORIKEET_AMX void PackRows(const Operand& from, Range rows, Range ks, Bits* to, int64_t stride) {
  alignas(64) Bits tile[kTileElements];
  for (int64_t k = ks.begin; k < ks.end; k += kStep, to += kStep) {
    for (int64_t r = rows.begin; r < rows.end; r += kTile) {
      Bits* packed = to + (r - rows.begin) * stride;
      if (from.across_k) {
        InterleaveTile(from.At<Bits>(r, k), from.stride, ks.end - k, rows.end - r, tile);
        TransposeWords(tile, 64, packed, stride * 2);
      } else {
        CopyPart(from.At<Bits>(r, k), from.stride, rows.end - r, ks.end - k, packed, stride);
      }
    }
  }
}

// Rows where they lie if they fill whole tiles, else packed.
LORIKEET_AMX RowTiles ReadRows(const Job& job, Range rows, Range ks) {
  const Operand& from = job.term->rows;
  if (!from.across_k && rows.size() % kTile == 0 && ks.size() % kStep == 0) {
    return {from.At<Bits>(rows.begin, ks.begin), from.stride};
  }
  PackRows(from, rows, ks, job.scratch.rows, job.scratch.row_stride);
  return {job.scratch.rows, job.scratch.row_stride};
}

LORIKEET_AMX void ReadSums(const Job& job, Range rows, Range columns) {
  const Scratch& scratch = job.scratch;
  if (job.c_transposed) {
    CopyBlock(job.c.SumsAt(columns.begin, rows.begin), columns.size(), rows.size(),
              scratch.transposed);
    TransposeBlock(scratch.transposed, scratch.block);
  } else {
    CopyBlock(job.c.SumsAt(rows.begin, columns.begin), rows.size(), columns.size(), scratch.block);
  }
}

// Sums of c's rows x columns into c.
LORIKEET_AMX void WriteResult(const Sums& sums, Range rows, Range columns, const Result& c) {
  if (c.dtype == DType::kF32) {
    CopyBlock(sums, rows.size(), columns.size(), c.SumsAt(rows.begin, columns.begin));
  } else {
    RoundBlock(sums, rows.size(), columns.size(), c.At<Bits>(rows.begin, columns.begin), c.stride);
  }
}

LORIKEET_AMX void WriteSums(const Job& job, Range rows, Range columns) {
  if (job.c_transposed) {
    TransposeBlock(job.scratch.block, job.scratch.transposed);
    WriteResult(job.scratch.transposed, columns, rows, job.c);
  } else {
    WriteResult(job.scratch.block, rows, columns, job.c);
  }
}

// Up to 32 rows of a block of columns, to meet the packed columns.
struct Stripe {
  Block block;
  RowTiles tiles;
  bool is_last;  // no rows follow
};

// The rows that follow, fetched bit by bit while this stripe goes through its panels.
Prefetch NextRows(const Operand& rows, const Stripe& stripe, int64_t k, int64_t panel) {
  if (stripe.is_last) return {};
  const int64_t panels = CeilDiv(stripe.block.columns.size(), kPanel);
  return {rows.At<Bits>(stripe.block.rows.end, stripe.block.ks.begin + k), rows.stride,
          rows.across_k ? kStep * rows.stride : kStep, kPanel * panel / panels,
          kPanel * (panel + 1) / panels};
}

// One panel of the stripe over k in [ks.begin + k, ks.begin + k + inner_depth). Sums that wait for
// the next of those stay in scratch; whole tiles of an f32 c are read and written there.
LORIKEET_AMX void MultiplyPart(const Job& job, const Stripe& stripe, int64_t k, int64_t panel) {
  const Scratch& scratch = job.scratch;
  const Range rows = stripe.block.rows, ks = stripe.block.ks;
  const Range columns =
      stripe.block.columns.Part(stripe.block.columns.begin + panel * kPanel, kPanel);
  const bool direct = job.c.dtype == DType::kF32 && !job.c_transposed && rows.size() % kTile == 0 &&
                      columns.size() % kTile == 0;
  const bool first = k == 0, last = k + job.blocking.inner_depth >= ks.size();
  const bool from_c = job.accumulate || ks.begin > 0;
  const Sums waiting = {scratch.waiting + panel * kPanel * kPanel, kPanel};
  const Sums c = direct ? job.c.SumsAt(rows.begin, columns.begin) : scratch.block;
  if (first && from_c && !direct) ReadSums(job, rows, columns);
  const int64_t depth = std::min(job.blocking.inner_depth, ks.size() - k);
  MultiplyBlock(rows.size(), columns.size(), {stripe.tiles.data + k, stripe.tiles.stride},
                scratch.columns + panel * kPanel * job.blocking.depth + k * kPanel,
                CeilDiv(depth, kStep),
                !first   ? waiting
                : from_c ? c
                         : Sums{},
                last ? c : waiting, NextRows(job.term->rows, stripe, k, panel));
  if (last && !direct) WriteSums(job, rows, columns);
}

// `end`: of this thread's rows.
LORIKEET_AMX void MultiplyStripe(const Job& job, const Block& block, int64_t end) {
  const Stripe stripe = {block, ReadRows(job, block.rows, block.ks), block.rows.end >= end};
  for (int64_t k = 0; k < block.ks.size(); k += job.blocking.inner_depth) {
    for (int64_t x = 0; x < block.columns.size(); x += kPanel) {
      MultiplyPart(job, stripe, k, x / kPanel);
    }
  }
}

// A stripe of c in f32, for a sum of products whose c is bf16: rounded once, when it is complete.
Result StripeOf(const Job& job, const Block& block) {
  static thread_local Buffer buffer;
  const int64_t width = job.blocking.width;
  if (buffer.tensor().size() < kPanel * width) buffer = Buffer(DType::kF32, {kPanel * width});
  if (job.c_transposed) {
    return {buffer.tensor().data, DType::kF32, kPanel, block.columns.begin, block.rows.begin};
  }
  return {buffer.tensor().data, DType::kF32, width, block.rows.begin, block.columns.begin};
}

LORIKEET_AMX void RoundStripe(const Result& stripe, Range rows, Range columns, const Result& c) {
  for (int64_t r = rows.begin; r < rows.end; r += kPanel) {
    for (int64_t x = columns.begin; x < columns.end; x += kPanel) {
      WriteResult(stripe.SumsAt(r, x), rows.Part(r, kPanel), columns.Part(x, kPanel), c);
    }
  }
}

using Jobs = std::array<Job, 2>;

// One stripe of the sum of two terms.
LORIKEET_AMX void MultiplySum(const Jobs& jobs, const Block& block, int64_t end) {
  MultiplyStripe(jobs[0], block, end);
  MultiplyStripe(jobs[1], {block.rows, block.columns, {0, jobs[1].term->k}}, end);
}

// The same where c is bf16.
LORIKEET_AMX void MultiplyRoundedSum(Jobs jobs, const Block& block, int64_t end) {
  const Result c = jobs[0].c;
  jobs[0].c = jobs[1].c = StripeOf(jobs[0], block);
  MultiplySum(jobs, block, end);
  const bool transposed = jobs[0].c_transposed;
  RoundStripe(jobs[0].c, transposed ? block.columns : block.rows,
              transposed ? block.rows : block.columns, c);
}

// The second term, where there is one, follows on each stripe of c while that is in the caches.
// Tiles are given back at the end: a thread that holds them pays at every context switch.
LORIKEET_AMX void MultiplyRectangle(const TileProduct& product, Range rows, Range columns) {
  const Blocking blocking = ChooseBlocking(product, rows.size(), columns.size());
  Jobs jobs;
  jobs[0] = JobOf(product, 0, blocking);
  if (product.num_terms > 1) jobs[1] = JobOf(product, 1, blocking);
  const TileConfig config;
  _tile_loadconfig(&config);
  const Range all = {0, product.terms[0].k};
  for (int64_t k = 0; k < all.end; k += blocking.depth) {
    const Range ks = all.Part(k, blocking.depth);
    const bool sum = product.num_terms > 1 && ks.end == all.end;
    for (int64_t x = columns.begin; x < columns.end; x += blocking.width) {
      const Range part = columns.Part(x, blocking.width);
      PackColumns(jobs[0], part, ks);
      if (sum) PackColumns(jobs[1], part, {0, jobs[1].term->k});
      for (int64_t r = rows.begin; r < rows.end; r += kPanel) {
        const Block block = {rows.Part(r, kPanel), part, ks};
        if (!sum) {
          MultiplyStripe(jobs[0], block, rows.end);
        } else if (product.c.dtype == DType::kF32) {
          MultiplySum(jobs, block, rows.end);
        } else {
          MultiplyRoundedSum(jobs, block, rows.end);
        }
      }
    }
  }
  _tile_release();
}

// Cycles of one thread, in units of a tile product and per step of k: products, packing of columns
// and rows, transposition of c.
double Cost(const TileProduct& product, int64_t rows, int64_t columns) {
  const Term& term = product.terms[0];
  const auto r = static_cast<double>(CeilDiv(rows, kTile));
  const auto c = static_cast<double>(CeilDiv(columns, kTile));
  const double pack_columns = term.columns.across_k ? 2 : 4;
  const double pack_rows = term.rows.across_k ? 6 : 0.5;
  const double transpose = product.c_transposed ? 6 : 1;
  return r * c + pack_columns * c + pack_rows * r +
         transpose * r * c * kStep / static_cast<double>(term.k);
}

Grid GridOf(const TileProduct& product) {
  const Term& term = product.terms[0];
  constexpr double kWorthAThread = 512;  // tile products: about 2 us
  return ChooseGrid({term.rows.lines, term.columns.lines, kPanel, kPanel}, CeilDiv(term.k, kStep),
                    kWorthAThread,
                    [&](int64_t rows, int64_t columns) { return Cost(product, rows, columns); });
}

// AmxMatMul (amx_matmul.h).
void MultiplyByTiles(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c,
                     bool accumulate) {
  if (c.size() == 0) return;
  CHECK(first.a.dtype == DType::kBF16);
  TileProduct product(first, second, c, accumulate);
  Grid grid = GridOf(product);
  // With few rows in a, pack those rather than b: weights then stream by as they lie.
  if (first.kind == MatMulKind::kNT) {
    product.Exchange();
    const Grid exchanged = GridOf(product);
    if (exchanged.cost < grid.cost) {
      grid = exchanged;
    } else {
      product.Exchange();
    }
  }
  grid.ForEach([&](Range rows, Range columns) { MultiplyRectangle(product, rows, columns); });
}

}  // namespace
}  // namespace lorikeet
