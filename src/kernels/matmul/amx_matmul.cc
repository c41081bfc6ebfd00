#include "kernels/matmul/amx_matmul.h"

#include <array>

#include "core/arena.h"
#include "core/check.h"
#include "core/parallel.h"
#include "kernels/isa.h"

#if defined(__x86_64__) && defined(__linux__)
#include "kernels/matmul/amx_tiles-inl.h"

namespace lorikeet {
namespace {

// An operand seen as lines that run along k: the rows of op(a), the columns of op(b).
struct Lines {
  const Bits* data;
  int64_t count;
  int64_t stride;  // elements from a row of memory to the next
  bool k_is_row;   // rows of memory are k, not lines
  const Bits* At(int64_t line, int64_t k) const {
    return k_is_row ? data + k * stride + line : data + line * stride + k;
  }
};

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
};

// c = rows . columns^T, or its transpose: which operand is read as it lies (rows) and which is
// packed into column tiles does not change the bits, a tile product being symmetric in them.
struct Product {
  Lines rows, columns;
  int64_t k;
  Result c;
  bool c_transposed;  // lines of `rows` are columns of c
  bool accumulate;
};

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// How one thread walks its rectangle of c. Column tiles of `depth` x `width` stay in the L2 cache;
// the row tiles they meet, 32 rows of `inner_depth`, in L1.
struct Blocks {
  int64_t depth, width, inner_depth;
};

constexpr int64_t kColumnBytes = 1 << 20;  // of packed column tiles, half of L2
constexpr int64_t kInnerDepth = 640;       // 32 rows: 40 KiB of L1's 48
constexpr int64_t kNarrow = 256, kWide = 768;

// `n` cut into equal pieces of at most `most`, each a multiple of `unit`.
int64_t EvenPiece(int64_t n, int64_t most, int64_t unit) {
  const int64_t pieces = (n + most - 1) / most;
  return RoundUp((n + pieces - 1) / pieces, unit);
}

// Deep blocks spare c: it is read and written once for each. Wide ones are better where the rows
// must be turned for every block, or are so few that the columns are best read in long runs.
Blocks ChooseBlocks(const Product& product, int64_t rows, int64_t columns) {
  const int64_t k = RoundUp(product.k, kStep);
  const int64_t wanted = product.rows.k_is_row || rows <= kPanel ? kWide : kNarrow;
  const int64_t least_width = std::min(RoundUp(columns, kPanel), wanted);
  const int64_t deepest = kColumnBytes / (2 * least_width);
  Blocks blocks;
  // A bf16 c cannot hold sums between two blocks of k, so there is one.
  blocks.depth = product.c.dtype == DType::kBF16 ? k : EvenPiece(k, deepest, kStep);
  const int64_t widest = std::max(kColumnBytes / (2 * blocks.depth) / kPanel * kPanel, kPanel);
  blocks.width = EvenPiece(columns, widest, kPanel);
  blocks.inner_depth = EvenPiece(blocks.depth, kInnerDepth, kStep);
  return blocks;
}

// This thread's working memory, grown when a product needs more.
struct Scratch {
  Bits* columns;  // packed column tiles, by panel of 32 columns
  Bits* rows;     // 32 lines
  int64_t row_stride;
  float* waiting;  // a 32 x 32 block of sums for each panel of columns
  Sums block, turned;
};

// A product and the one that is added to it have a memory each.
Scratch TakeScratch(const Blocks& blocks, size_t which) {
  static thread_local std::array<Buffer, 2> buffers;
  Buffer& buffer = buffers[which];
  Scratch scratch;
  // An odd number of cache lines from row to row, or tiles would compete for few sets of L1.
  scratch.row_stride = (blocks.depth / kStep | 1) * kStep;
  const int64_t columns = blocks.depth * blocks.width * 2, rows = scratch.row_stride * kPanel * 2;
  constexpr int64_t kBlockBytes = kPanel * kPanel * 4;
  const int64_t waiting = blocks.width / kPanel * kBlockBytes;
  const int64_t bytes = columns + rows + waiting + 2 * kBlockBytes;
  if (buffer.tensor().size() < bytes) buffer = Buffer(DType::kU8, {bytes});
  auto* memory = static_cast<std::byte*>(buffer.tensor().data);
  scratch.columns = reinterpret_cast<Bits*>(memory);
  scratch.rows = reinterpret_cast<Bits*>(memory + columns);
  scratch.waiting = reinterpret_cast<float*>(memory + columns + rows);
  float* blocks_of_sums = reinterpret_cast<float*>(memory + columns + rows + waiting);
  scratch.block = {blocks_of_sums, kPanel};
  scratch.turned = {blocks_of_sums + kPanel * kPanel, kPanel};
  return scratch;
}

// Both pack columns x ks into panels of column tiles, `depth` rows of k each, and read memory in
// the order in which it lies.
LORIKEET_AMX void PackInterleaved(const Lines& lines, Range columns, Range ks, int64_t depth,
                                  Bits* to) {
  for (int64_t k = ks.begin; k < ks.end; k += kStep) {
    for (int64_t x = columns.begin; x < columns.end; x += kPanel) {
      for (int64_t ahead = k + kStep; ahead < std::min(k + 2 * kStep, ks.end); ++ahead) {
        _mm_prefetch(reinterpret_cast<const char*>(lines.At(x, ahead)), _MM_HINT_T0);
      }
      Bits* tiles = to + (x - columns.begin) * depth + (k - ks.begin) * kPanel;
      for (int64_t t = x; t < std::min(x + kPanel, columns.end);
           t += kTile, tiles += kTileElements) {
        InterleaveTile(lines.At(t, k), lines.stride, ks.end - k, columns.end - t, tiles);
      }
    }
  }
}

LORIKEET_AMX void PackTransposed(const Lines& lines, Range columns, Range ks, int64_t depth,
                                 Bits* to) {
  alignas(64) Bits tile[kTileElements];
  for (int64_t x = columns.begin; x < columns.end; x += kTile) {
    const int64_t within = (x - columns.begin) % kPanel;
    Bits* packed = to + (x - columns.begin - within) * depth + within * kStep;
    for (int64_t k = ks.begin; k < ks.end; k += kStep, packed += 2 * kTileElements) {
      const int64_t deep = std::min(kStep, ks.end - k);
      for (int64_t ahead = x + kTile; ahead < std::min(x + 2 * kTile, columns.end); ++ahead) {
        _mm_prefetch(reinterpret_cast<const char*>(lines.At(ahead, k)), _MM_HINT_T0);
      }
      if (deep == kStep && columns.end - x >= kTile) {
        TransposeWords(lines.At(x, k), lines.stride * 2, packed, 64);
      } else {
        CopyTile(lines.At(x, k), lines.stride, columns.end - x, deep, tile, kStep);
        TransposeWords(tile, 64, packed, 64);
      }
    }
  }
}

// Up to 32 lines x ks, along k, padded with zeros to whole tiles.
LORIKEET_AMX void PackRows(const Lines& lines, Range rows, Range ks, Bits* to, int64_t stride) {
  alignas(64) Bits tile[kTileElements];
  for (int64_t k = ks.begin; k < ks.end; k += kStep, to += kStep) {
    const int64_t deep = std::min(kStep, ks.end - k);
    for (int64_t r = rows.begin; r < rows.end; r += kTile) {
      Bits* packed = to + (r - rows.begin) * stride;
      if (lines.k_is_row) {
        InterleaveTile(lines.At(r, k), lines.stride, deep, rows.end - r, tile);
        TransposeWords(tile, 64, packed, stride * 2);
      } else {
        CopyTile(lines.At(r, k), lines.stride, rows.end - r, deep, packed, stride);
      }
    }
  }
}

// Lines that fill whole tiles are read where they lie.
bool ReadableInPlace(const Lines& lines, Range rows, Range ks) {
  return !lines.k_is_row && rows.size() % kTile == 0 && ks.size() % kStep == 0;
}

// One block of c, at rows x columns of the product.
struct Place {
  Range rows, columns;
};

LORIKEET_AMX void ReadSums(const Product& product, const Place& place, const Scratch& scratch) {
  const Result& c = product.c;
  if (product.c_transposed) {
    ReadBlock(c.At<float>(place.columns.begin, place.rows.begin), c.stride, place.columns.size(),
              place.rows.size(), scratch.turned);
    TransposeBlock(scratch.turned, scratch.block);
  } else {
    ReadBlock(c.At<float>(place.rows.begin, place.columns.begin), c.stride, place.rows.size(),
              place.columns.size(), scratch.block);
  }
}

// Sums of c's rows x columns into c.
LORIKEET_AMX void WriteResult(const Sums& sums, Range rows, Range columns, const Result& c) {
  if (c.dtype == DType::kF32) {
    WriteBlock(sums, rows.size(), columns.size(), c.At<float>(rows.begin, columns.begin), c.stride);
  } else {
    WriteBlock(sums, rows.size(), columns.size(), c.At<Bits>(rows.begin, columns.begin), c.stride);
  }
}

LORIKEET_AMX void WriteSums(const Product& product, const Place& place, const Scratch& scratch) {
  if (product.c_transposed) {
    TransposeBlock(scratch.block, scratch.turned);
    WriteResult(scratch.turned, place.columns, place.rows, product.c);
  } else {
    WriteResult(scratch.block, place.rows, place.columns, product.c);
  }
}

// Up to 32 rows of the product, to meet the packed columns.
struct Stripe {
  Place place;
  Range ks;
  RowTiles tiles;
  bool is_last;  // no rows follow
};

// The rows that follow, fetched bit by bit while this stripe goes through its panels.
Prefetch NextRows(const Lines& lines, const Stripe& stripe, int64_t k, int64_t panel,
                  int64_t panels) {
  if (stripe.is_last) return {};
  return {lines.At(stripe.place.rows.end, stripe.ks.begin + k), lines.stride,
          lines.k_is_row ? kStep * lines.stride : kStep, kPanel * panel / panels,
          kPanel * (panel + 1) / panels};
}

// One block of the stripe over k in [ks.begin + k, ks.begin + k + blocks.inner_depth). Sums that
// wait for the next of those stay in scratch; whole tiles of an f32 c are read and written there.
LORIKEET_AMX void MultiplyPart(const Product& product, const Stripe& stripe, int64_t k,
                               int64_t panel, const Blocks& blocks, const Scratch& scratch) {
  const Range rows = stripe.place.rows, all = stripe.place.columns;
  const int64_t column = all.begin + panel * kPanel;
  const Range columns = {column, std::min(column + kPanel, all.end)};
  const bool direct = product.c.dtype == DType::kF32 && !product.c_transposed &&
                      rows.size() % kTile == 0 && columns.size() % kTile == 0;
  const bool first = k == 0, last = k + blocks.inner_depth >= stripe.ks.size();
  const bool from_c = product.accumulate || stripe.ks.begin > 0;
  const Sums waiting = {scratch.waiting + panel * kPanel * kPanel, kPanel};
  const Sums c =
      direct ? Sums{product.c.At<float>(rows.begin, column), product.c.stride} : scratch.block;
  if (first && from_c && !direct) ReadSums(product, {rows, columns}, scratch);
  const int64_t depth = std::min(blocks.inner_depth, stripe.ks.size() - k);
  MultiplyBlock(rows.size(), columns.size(), {stripe.tiles.data + k, stripe.tiles.stride},
                scratch.columns + panel * kPanel * blocks.depth + k * kPanel,
                (depth + kStep - 1) / kStep,
                !first   ? waiting
                : from_c ? c
                         : Sums{},
                last ? c : waiting,
                NextRows(product.rows, stripe, k, panel, (all.size() + kPanel - 1) / kPanel));
  if (last && !direct) WriteSums(product, {rows, columns}, scratch);
}

// `last_row`: where the rows of this thread end.
LORIKEET_AMX void MultiplyStripe(const Product& product, const Place& place, Range ks,
                                 int64_t last_row, const Blocks& blocks, const Scratch& scratch) {
  const Lines& lines = product.rows;
  Stripe stripe = {
      place, ks, {lines.At(place.rows.begin, ks.begin), lines.stride}, place.rows.end >= last_row};
  if (!ReadableInPlace(lines, place.rows, ks)) {
    PackRows(lines, place.rows, ks, scratch.rows, scratch.row_stride);
    stripe.tiles = {scratch.rows, scratch.row_stride};
  }
  for (int64_t k = 0; k < ks.size(); k += blocks.inner_depth) {
    for (int64_t x = 0; x < place.columns.size(); x += kPanel) {
      MultiplyPart(product, stripe, k, x / kPanel, blocks, scratch);
    }
  }
}

// A rectangle of c in work: a product with its blocks and memory.
struct Work {
  const Product* product;
  Blocks blocks;
  Scratch scratch;

  LORIKEET_AMX void Pack(Range part, Range ks) const {
    const auto pack = product->columns.k_is_row ? PackInterleaved : PackTransposed;
    pack(product->columns, part, ks, blocks.depth, scratch.columns);
  }
};

// What is added goes through the columns in the pieces of the first product, all of its k at once.
Work AddedWork(const Product& added, int64_t width) {
  const int64_t depth = RoundUp(added.k, kStep);
  const Blocks blocks = {depth, width, EvenPiece(depth, kInnerDepth, kStep)};
  return {&added, blocks, TakeScratch(blocks, 1)};
}

// A stripe of c in f32, for a sum of products whose c is bf16: rounded once, when it is complete.
Result StripeOf(const Product& product, const Place& place, int64_t width) {
  static thread_local Buffer buffer;
  if (buffer.tensor().size() < kPanel * width) buffer = Buffer(DType::kF32, {kPanel * width});
  if (product.c_transposed) {
    return {buffer.tensor().data, DType::kF32, kPanel, place.columns.begin, place.rows.begin};
  }
  return {buffer.tensor().data, DType::kF32, width, place.rows.begin, place.columns.begin};
}

LORIKEET_AMX void RoundStripe(const Result& stripe, Range rows, Range columns, const Result& c) {
  for (int64_t r = rows.begin; r < rows.end; r += kPanel) {
    for (int64_t x = columns.begin; x < columns.end; x += kPanel) {
      WriteResult({stripe.At<float>(r, x), stripe.stride}, {r, std::min(r + kPanel, rows.end)},
                  {x, std::min(x + kPanel, columns.end)}, c);
    }
  }
}

// One stripe of the sum of two products.
LORIKEET_AMX void MultiplySum(const Work& first, const Work& second, const Place& place, Range ks,
                              int64_t last_row) {
  Product product = *first.product, added = *second.product;
  const bool rounded = product.c.dtype != DType::kF32;
  if (rounded) product.c = added.c = StripeOf(product, place, first.blocks.width);
  MultiplyStripe(product, place, ks, last_row, first.blocks, first.scratch);
  MultiplyStripe(added, place, {0, added.k}, last_row, second.blocks, second.scratch);
  if (!rounded) return;
  const bool turned = product.c_transposed;
  RoundStripe(product.c, turned ? place.columns : place.rows, turned ? place.rows : place.columns,
              first.product->c);
}

// `added`, where there is one, follows on each stripe of c while that is in the caches.
// Tiles are given back at the end: a thread that holds them pays at every context switch.
LORIKEET_AMX void MultiplyRectangle(const Product& product, const Product* added, Range rows,
                                    Range columns) {
  const Blocks blocks = ChooseBlocks(product, rows.size(), columns.size());
  const Work work = {&product, blocks, TakeScratch(blocks, 0)};
  const Work after = added != nullptr ? AddedWork(*added, blocks.width) : Work();
  const TileConfig config;
  _tile_loadconfig(&config);
  for (int64_t k = 0; k < product.k; k += blocks.depth) {
    const Range ks = {k, std::min(k + blocks.depth, product.k)};
    const bool add = added != nullptr && ks.end == product.k;
    for (int64_t x = columns.begin; x < columns.end; x += blocks.width) {
      const Range part = {x, std::min(x + blocks.width, columns.end)};
      work.Pack(part, ks);
      if (add) after.Pack(part, {0, added->k});
      for (int64_t r = rows.begin; r < rows.end; r += kPanel) {
        const Place place = {{r, std::min(r + kPanel, rows.end)}, part};
        if (add) {
          MultiplySum(work, after, place, ks, rows.end);
        } else {
          MultiplyStripe(product, place, ks, rows.end, blocks, work.scratch);
        }
      }
    }
  }
  _tile_release();
}

int64_t Tiles(int64_t n) { return (n + kTile - 1) / kTile; }

// Cycles of one thread, in units of a tile product and per step of k: products, packing of columns
// and rows, turning of c.
double Cost(const Product& product, int64_t rows, int64_t columns) {
  const auto r = static_cast<double>(Tiles(rows)), c = static_cast<double>(Tiles(columns));
  const double pack_columns = product.columns.k_is_row ? 2 : 4;
  const double pack_rows = product.rows.k_is_row ? 6 : 0.5;
  const double turn = product.c_transposed ? 6 : 1;
  return r * c + pack_columns * c + pack_rows * r +
         turn * r * c * kStep / static_cast<double>(product.k);
}

struct Cut {
  int64_t rows, columns;  // pieces
  double cost;
};

int64_t PieceEnd(int64_t n, int64_t pieces, int64_t piece) {
  const int64_t panels = (n + kPanel - 1) / kPanel;
  return std::min(n, panels * (piece + 1) / pieces * kPanel);
}

// Each thread takes one rectangle of c and packs for itself; the cheapest grid is taken.
Cut ChooseCut(const Product& product, int64_t most_threads) {
  Cut best = {1, 1, Cost(product, product.rows.count, product.columns.count)};
  constexpr double kWorthAThread = 512;  // tile products: about 2 us
  const double work = best.cost * static_cast<double>((product.k + kStep - 1) / kStep);
  const auto threads = static_cast<int64_t>(
      std::min(static_cast<double>(most_threads), std::max(1.0, work / kWorthAThread)));
  for (int64_t rows = 1; rows <= threads; ++rows) {
    const int64_t columns = threads / rows;
    const int64_t row_panels = (product.rows.count + kPanel - 1) / kPanel;
    const int64_t column_panels = (product.columns.count + kPanel - 1) / kPanel;
    if (rows > row_panels || columns > column_panels) continue;
    const double cost = Cost(product, (row_panels + rows - 1) / rows * kPanel,
                             (column_panels + columns - 1) / columns * kPanel);
    if (cost < best.cost) best = {rows, columns, cost};
  }
  return best;
}

Product Describe(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind,
                 bool accumulate) {
  CHECK(a.rank == 2 && b.rank == 2 && c.rank == 2);
  CHECK(c.dtype == DType::kF32 || (c.dtype == DType::kBF16 && !accumulate));
  const bool a_transposed = kind == MatMulKind::kTN, b_transposed = kind == MatMulKind::kNT;
  const auto* a_bits = reinterpret_cast<const Bits*>(a.as<bfloat16>());
  const auto* b_bits = reinterpret_cast<const Bits*>(b.as<bfloat16>());
  Product product = {{a_bits, a_transposed ? a.cols() : a.rows(), a.cols(), a_transposed},
                     {b_bits, b_transposed ? b.rows() : b.cols(), b.cols(), !b_transposed},
                     a_transposed ? a.rows() : a.cols(),
                     {c.data, c.dtype, c.cols(), 0, 0},
                     false,
                     accumulate};
  CHECK(product.k > 0 && product.k == (b_transposed ? b.cols() : b.rows()));
  CHECK(c.rows() == product.rows.count && c.cols() == product.columns.count);
  return product;
}

Product Exchanged(Product product) {
  std::swap(product.rows, product.columns);
  product.c_transposed = !product.c_transposed;
  return product;
}

void Multiply(Product product, const Product* added, MatMulKind kind) {
  const int64_t threads = omp_in_parallel() != 0 ? 1 : NumThreads();
  Cut cut = ChooseCut(product, threads);
  Product added_exchanged;
  // With few rows in a, pack those rather than b: weights then stream by as they lie.
  if (kind == MatMulKind::kNT) {
    const Product exchanged = Exchanged(product);
    const Cut other = ChooseCut(exchanged, threads);
    if (other.cost < cut.cost) {
      product = exchanged;
      cut = other;
      if (added != nullptr) {
        added_exchanged = Exchanged(*added);
        added = &added_exchanged;
      }
    }
  }
  ParallelDynamic(cut.rows * cut.columns, [&](int64_t i) {
    const int64_t r = i / cut.columns, x = i % cut.columns;
    MultiplyRectangle(
        product, added,
        {PieceEnd(product.rows.count, cut.rows, r - 1), PieceEnd(product.rows.count, cut.rows, r)},
        {PieceEnd(product.columns.count, cut.columns, x - 1),
         PieceEnd(product.columns.count, cut.columns, x)});
  });
}

}  // namespace

void AmxMatMul(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind,
               bool accumulate) {
  CHECK(IsaHas(Isa::kAmx));
  if (c.size() == 0) return;
  Multiply(Describe(a, b, c, kind, accumulate), nullptr, kind);
}

void AmxMatMulSum(const MatMulTerm& first, const MatMulTerm& second, const Tensor& c,
                  bool accumulate) {
  CHECK(IsaHas(Isa::kAmx));
  if (c.size() == 0) return;
  Product added = Describe(second.a, second.b, c, second.kind, false);
  added.accumulate = true;  // to the first one's sums, which are f32 whatever c is
  Multiply(Describe(first.a, first.b, c, first.kind, accumulate), &added, first.kind);
}

}  // namespace lorikeet
#else
namespace lorikeet {

void AmxMatMul(const Tensor&, const Tensor&, const Tensor&, MatMulKind, bool) {
  CHECK(IsaHas(Isa::kAmx));
}
void AmxMatMulSum(const MatMulTerm&, const MatMulTerm&, const Tensor&, bool) {
  CHECK(IsaHas(Isa::kAmx));
}

}  // namespace lorikeet
#endif
