#include "kernels/panel_matmul.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/arena.h"
#include "core/check.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/panel_kernel.h"

namespace lorikeet {
namespace {

// One operand seen as lines that run along k: the rows of op(a), the columns of op(b).
struct Lines {
  const std::byte* data;
  int64_t count;
  int64_t stride;  // elements from a row of memory to the next
  bool across_k;   // rows of memory are k, not lines
};

struct Term {
  Lines rows, columns;
  int64_t k;
};

struct Product {
  const PanelKernel& kernel;
  DType dtype;
  std::array<Term, 2> terms;
  size_t num_terms;
  Tensor c;
  bool accumulate;

  int64_t element_bytes() const { return DTypeBytes(dtype, 1); }
  int64_t per_word() const { return dtype == DType::kF32 ? 1 : 2; }
  int64_t Steps(int64_t k) const { return (k + per_word() - 1) / per_word(); }
  const void* At(const Lines& lines, int64_t line, int64_t k) const {
    const int64_t at = lines.across_k ? k * lines.stride + line : line * lines.stride + k;
    return lines.data + at * element_bytes();
  }
};

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Packed panels of one block of columns stay in the L2 cache, and few enough steps are taken at
// once that a block is wide: rows are read, or packed, once for each. With few rows, where packing
// is most of the work, a block is one panel that fits L1.
constexpr int64_t kBlockWords = (512 << 10) / 4, kThinBlockWords = (32 << 10) / 4;
constexpr int64_t kSteps = 512;
constexpr int64_t kThinRows = 48;

struct Blocks {
  int64_t width;  // columns
  int64_t depth;  // elements of k
};

// The depth is cut only where sums can wait in f32: in c itself, or beside it for few rows.
Blocks ChooseBlocks(const Product& product, int64_t rows, int64_t columns) {
  const int64_t panel = product.kernel.columns(), steps = product.Steps(product.terms[0].k);
  const bool thin = rows <= kThinRows;
  const int64_t words = thin ? kThinBlockWords : kBlockWords;
  const bool can_wait = thin || product.c.dtype == DType::kF32;
  const int64_t deepest = !can_wait ? steps : thin ? words / panel : kSteps;
  const int64_t pieces = (steps + deepest - 1) / deepest;
  const int64_t depth = (steps + pieces - 1) / pieces;
  const int64_t panels = std::max<int64_t>(1, words / (depth * panel));
  return {std::min(panels * panel, RoundUp(columns, panel)), depth * product.per_word()};
}

// This thread's working memory, grown when a product needs more.
struct Scratch {
  std::array<Word*, 2> columns;  // packed panels of each term
  std::array<Word*, 2> rows;     // `height` packed rows of each term
  float* waiting;                // sums of a thin product between two pieces of k

  Scratch(const Product& product, const Blocks& blocks, int64_t num_rows) {
    constexpr int64_t kSlack = 16;  // packers write whole vectors
    std::array<int64_t, 2> column_words = {}, row_words = {};
    int64_t words = 0;
    for (size_t t = 0; t < product.num_terms; ++t) {
      const int64_t steps = product.Steps(t == 0 ? blocks.depth : product.terms[t].k);
      column_words[t] = RoundUp(steps * blocks.width, kSlack);
      row_words[t] = RoundUp(steps * product.kernel.height + kSlack, kSlack);
      words += column_words[t] + row_words[t];
    }
    const int64_t waiting_words = num_rows <= kThinRows ? num_rows * blocks.width : 0;
    static thread_local Buffer buffer;
    if (buffer.tensor().size() < words + waiting_words) {
      buffer = Buffer(DType::kI32, {words + waiting_words});
    }
    auto* next = static_cast<Word*>(buffer.tensor().data);
    for (size_t t = 0; t < product.num_terms; ++t) {
      columns[t] = next;
      rows[t] = next + column_words[t];
      next += column_words[t] + row_words[t];
    }
    waiting = reinterpret_cast<float*>(next);
  }
};

// The columns of a term over ks, panel by panel: panel i begins at to + i * columns() * steps.
void PackColumns(const Product& product, const Term& term, Range columns, Range ks, Word* to) {
  const int64_t panel = product.kernel.columns(), steps = product.Steps(ks.size());
  const auto pack =
      term.columns.across_k ? product.kernel.pack_across_k : product.kernel.pack_along_k;
  for (int64_t x = columns.begin; x < columns.end; x += panel) {
    pack(product.At(term.columns, x, ks.begin), term.columns.stride,
         std::min(panel, columns.end - x), ks.size(), to + (x - columns.begin) * steps);
  }
}

// Copies rows that lie along k and end in the middle of a word.
void CopyRows(const Product& product, const Term& term, Range rows, Range ks, Word* to) {
  const int64_t steps = product.Steps(ks.size());
  for (int64_t r = rows.begin; r < rows.end; ++r, to += steps) {
    to[steps - 1] = 0;
    std::memcpy(to, product.At(term.rows, r, ks.begin),
                static_cast<size_t>(ks.size() * product.element_bytes()));
  }
}

// Rows as the kernel reads them: where they lie if their words are there, else packed.
PanelTerm ReadRows(const Product& product, const Term& term, Range rows, Range ks, Word* scratch) {
  PanelTerm read = {nullptr, 1, 1, nullptr, product.Steps(ks.size())};
  const auto* in_place = static_cast<const Word*>(product.At(term.rows, rows.begin, ks.begin));
  const bool whole_words =
      term.rows.stride % product.per_word() == 0 && ks.size() % product.per_word() == 0;
  if (term.rows.across_k && product.kernel.pack_rows != nullptr) {
    product.kernel.pack_rows(in_place, term.rows.stride, rows.size(), ks.size(), scratch);
    read.rows = scratch;
    read.step_stride = product.kernel.height;
  } else if (term.rows.across_k) {
    read.rows = in_place;
    read.step_stride = term.rows.stride;
  } else if (whole_words) {
    read.rows = in_place;
    read.row_stride = term.rows.stride / product.per_word();
  } else {
    CopyRows(product, term, rows, ks, scratch);
    read.rows = scratch;
    read.row_stride = read.steps;
  }
  return read;
}

// One block of c: its rows and columns, and the piece of the first term's k.
struct Place {
  Range rows, columns, ks;
  int64_t first_row;  // of the thread's rectangle
};

// Where the sums of rows x columns come from and go to at this piece of k.
PanelSums SumsAt(const Product& product, const Place& place, const Scratch& scratch, Range rows,
                 int64_t column, int64_t block_width) {
  const Tensor& c = product.c;
  const bool first = place.ks.begin == 0, last = place.ks.end == product.terms[0].k;
  const bool thin = scratch.waiting != nullptr;
  const int64_t at = rows.begin * c.cols() + column;
  float* in_c = c.dtype == DType::kF32 ? c.as<float>() + at : nullptr;
  float* waiting = thin ? scratch.waiting + (rows.begin - place.first_row) * block_width +
                              (column - place.columns.begin)
                        : in_c;
  const int64_t waiting_stride = thin ? block_width : c.cols();
  PanelSums sums = {waiting, waiting_stride, waiting, waiting_stride, DType::kF32};
  if (first) {
    sums.from = product.accumulate ? in_c : nullptr;
    sums.from_stride = c.cols();
  }
  if (last) {
    sums.to = static_cast<std::byte*>(c.data) + DTypeBytes(c.dtype, at);
    sums.to_stride = c.cols();
    sums.to_dtype = c.dtype;
  }
  return sums;
}

void MultiplyBlock(const Product& product, const Place& place, const Scratch& scratch,
                   int64_t block_width) {
  const PanelKernel& kernel = product.kernel;
  const bool last = place.ks.end == product.terms[0].k;
  const size_t num_terms = last ? product.num_terms : 1;
  std::array<PanelTerm, 2> terms;
  for (int64_t r = place.rows.begin; r < place.rows.end; r += kernel.height) {
    const Range rows = {r, std::min(r + kernel.height, place.rows.end)};
    for (size_t t = 0; t < num_terms; ++t) {
      const Range ks = t == 0 ? place.ks : Range{0, product.terms[t].k};
      terms[t] = ReadRows(product, product.terms[t], rows, ks, scratch.rows[t]);
    }
    for (int64_t x = place.columns.begin; x < place.columns.end; x += kernel.columns()) {
      for (size_t t = 0; t < num_terms; ++t) {
        terms[t].panel = scratch.columns[t] + (x - place.columns.begin) * terms[t].steps;
      }
      kernel.multiply(terms.data(), static_cast<int64_t>(num_terms), rows.size(),
                      std::min(kernel.columns(), place.columns.end - x),
                      SumsAt(product, place, scratch, rows, x, block_width));
    }
  }
}

void MultiplyRectangle(const Product& product, Range rows, Range columns) {
  const Blocks blocks = ChooseBlocks(product, rows.size(), columns.size());
  Scratch scratch(product, blocks, rows.size());
  if (rows.size() > kThinRows) scratch.waiting = nullptr;
  const Term& first = product.terms[0];
  for (int64_t x = columns.begin; x < columns.end; x += blocks.width) {
    const Range part = {x, std::min(x + blocks.width, columns.end)};
    for (int64_t k = 0; k < first.k; k += blocks.depth) {
      const Range ks = {k, std::min(k + blocks.depth, first.k)};
      PackColumns(product, first, part, ks, scratch.columns[0]);
      if (ks.end == first.k && product.num_terms > 1) {
        const Term& second = product.terms[1];
        PackColumns(product, second, part, {0, second.k}, scratch.columns[1]);
      }
      MultiplyBlock(product, {rows, part, ks, rows.begin}, scratch, blocks.width);
    }
  }
}

// How threads share c: each takes one rectangle and packs for itself.
struct Cut {
  int64_t rows, columns;  // pieces
};

int64_t PieceEnd(int64_t n, int64_t unit, int64_t pieces, int64_t piece) {
  return std::min(n, (n + unit - 1) / unit * piece / pieces * unit);
}

// Cycles per step of the largest rectangle: vector multiplications, and packing.
double Cost(const Product& product, const Cut& cut) {
  const PanelKernel& kernel = product.kernel;
  const Term& term = product.terms[0];
  const auto largest = [](int64_t n, int64_t unit, int64_t pieces) {
    const int64_t units = (n + unit - 1) / unit;
    return static_cast<double>(std::min(n, (units + pieces - 1) / pieces * unit));
  };
  const double rows = largest(term.rows.count, kernel.height, cut.rows);
  const double columns = largest(term.columns.count, kernel.lanes, cut.columns);
  const double pack_column = term.columns.across_k ? 0.15 : 0.35;
  const double pack_row = term.rows.across_k && kernel.pack_rows != nullptr ? 0.7 : 0.05;
  return rows * columns / static_cast<double>(kernel.lanes) + pack_column * columns +
         pack_row * rows;
}

// The cheapest grid of at most `most_threads`, fewer where the work is not worth waking them.
Cut ChooseCut(const Product& product, int64_t most_threads) {
  constexpr double kWorthAThread = 8192;  // cycles: about 2 us
  Cut best = {1, 1};
  double least = Cost(product, best);
  const double work = least * static_cast<double>(product.Steps(product.terms[0].k));
  const auto threads = static_cast<int64_t>(
      std::min(static_cast<double>(most_threads), std::max(1.0, work / kWorthAThread)));
  for (int64_t rows = 1; rows <= threads; ++rows) {
    const Cut cut = {rows, threads / rows};
    const double cost = Cost(product, cut);
    if (cost < least) {
      least = cost;
      best = cut;
    }
  }
  return best;
}

Term Describe(const MatMulTerm& term) {
  const Tensor &a = term.a, &b = term.b;
  CHECK(a.rank == 2 && b.rank == 2 && a.dtype == b.dtype);
  const bool a_turned = term.kind == MatMulKind::kTN, b_turned = term.kind == MatMulKind::kNT;
  const Term described = {
      {static_cast<const std::byte*>(a.data), a_turned ? a.cols() : a.rows(), a.cols(), a_turned},
      {static_cast<const std::byte*>(b.data), b_turned ? b.rows() : b.cols(), b.cols(), !b_turned},
      a_turned ? a.rows() : a.cols()};
  CHECK(described.k > 0 && described.k == (b_turned ? b.cols() : b.rows()));
  return described;
}

}  // namespace

bool PanelMatMulTakes(DType operands) {
  return operands == DType::kF32 || (operands == DType::kBF16 && IsaHas(Isa::kAvx512Bf16));
}

void PanelMatMul(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c,
                 bool accumulate) {
  CHECK(PanelMatMulTakes(first.a.dtype) && c.rank == 2);
  CHECK(c.dtype == DType::kF32 || (c.dtype == first.a.dtype && !accumulate));
  if (c.size() == 0) return;
  const DType dtype = first.a.dtype;
  Product product = {dtype == DType::kF32 ? F32PanelKernel() : Bfloat16PanelKernel(),
                     dtype,
                     {Describe(first), second == nullptr ? Term() : Describe(*second)},
                     second == nullptr ? size_t{1} : size_t{2},
                     c,
                     accumulate};
  for (size_t t = 0; t < product.num_terms; ++t) {
    CHECK(product.terms[t].rows.count == c.rows() && product.terms[t].columns.count == c.cols());
  }
  const int64_t threads = omp_in_parallel() != 0 ? 1 : NumThreads();
  const Cut cut = ChooseCut(product, threads);
  const int64_t height = product.kernel.height, lanes = product.kernel.lanes;
  ParallelDynamic(cut.rows * cut.columns, [&](int64_t i) {
    const int64_t r = i / cut.columns, x = i % cut.columns;
    const Range rows = {PieceEnd(c.rows(), height, cut.rows, r),
                        PieceEnd(c.rows(), height, cut.rows, r + 1)};
    const Range columns = {PieceEnd(c.cols(), lanes, cut.columns, x),
                           PieceEnd(c.cols(), lanes, cut.columns, x + 1)};
    if (rows.size() > 0 && columns.size() > 0) MultiplyRectangle(product, rows, columns);
  });
}

}  // namespace lorikeet
