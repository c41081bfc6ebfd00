#include "kernels/matmul/panel_matmul.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/arena.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/round_up.h"
#include "kernels/isa.h"
#include "kernels/matmul/panel_kernel.h"

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

// Packed panels of one block of columns stay in the L2 cache, and few enough steps are taken at
// once that a block is wide: rows are read, or packed, once for each. With few rows, where packing
// is most of the work, a block is one panel of all steps, so that columns are read in the order in
// which they lie.
constexpr int64_t kBlockWords = (512 << 10) / 4, kThinBlockWords = (256 << 10) / 4;
constexpr int64_t kSteps = 512;
constexpr int64_t kThinRows = 48;

struct Blocks {
  int64_t panel;  // columns
  int64_t width;  // columns of the block: whole panels
  int64_t depth;  // elements of k
};

Blocks ChooseBlocks(const Product& product, int64_t rows, int64_t columns) {
  const PanelKernel& kernel = product.kernel;
  const int64_t steps = product.Steps(product.terms[0].k);
  if (rows <= kThinRows) {
    const int64_t vectors = kThinBlockWords / (steps * kernel.lanes);
    const int64_t panel = std::clamp<int64_t>(vectors, 1, kernel.vectors) * kernel.lanes;
    return {panel, panel, product.terms[0].k};
  }
  // The depth is cut only where sums can wait in f32: in c itself.
  const int64_t deepest = product.c.dtype == DType::kF32 ? kSteps : steps;
  const int64_t pieces = (steps + deepest - 1) / deepest;
  const int64_t depth = (steps + pieces - 1) / pieces, panel = kernel.columns();
  const int64_t panels = std::max<int64_t>(1, kBlockWords / (depth * panel));
  return {panel, std::min(panels * panel, RoundUp(columns, panel)), depth * product.per_word()};
}

// This thread's working memory, grown when a product needs more.
struct Scratch {
  std::array<Word*, 2> columns;  // packed panels of each term
  std::array<Word*, 2> rows;     // `height` packed rows of each term

  Scratch(const Product& product, const Blocks& blocks) {
    constexpr int64_t kSlack = 16;  // packers write whole vectors
    std::array<int64_t, 2> column_words = {}, row_words = {};
    int64_t words = 0;
    for (size_t t = 0; t < product.num_terms; ++t) {
      const int64_t steps = product.Steps(t == 0 ? blocks.depth : product.terms[t].k);
      column_words[t] = RoundUp(steps * blocks.width, kSlack);
      row_words[t] = RoundUp(steps * product.kernel.height + kSlack, kSlack);
      words += column_words[t] + row_words[t];
    }
    static thread_local Buffer buffer;
    if (buffer.tensor().size() < words) {
      buffer = Buffer(DType::kI32, {words});
    }
    auto* next = static_cast<Word*>(buffer.tensor().data);
    for (size_t t = 0; t < product.num_terms; ++t) {
      columns[t] = next;
      rows[t] = next + column_words[t];
      next += column_words[t] + row_words[t];
    }
  }
};

// The columns of a term over ks, panel by panel: that of column x begins at to + x * steps.
void PackColumns(const Product& product, const Term& term, Range columns, Range ks, int64_t panel,
                 Word* to) {
  const int64_t steps = product.Steps(ks.size());
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
  PanelTerm read = {.row_stride = 1, .step_stride = 1, .steps = product.Steps(ks.size())};
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
};

// Where the sums of rows x columns come from and go to at this piece of k: between two pieces they
// wait in c.
PanelSums SumsAt(const Product& product, const Place& place, int64_t row, int64_t column) {
  const Tensor& c = product.c;
  const int64_t at = row * c.cols() + column;
  const bool from_c = product.accumulate || place.ks.begin > 0;
  return {from_c ? c.as<float>() + at : nullptr, c.cols(),
          static_cast<std::byte*>(c.data) + DTypeBytes(c.dtype, at), c.cols(), c.dtype};
}

// What follows the block in memory, to be fetched while it is multiplied: the columns of the next
// one, where a block is all that is read between two multiplications.
struct Ahead {
  const std::byte* line = nullptr;
  int64_t lines = 0;
};
Ahead NextColumns(const Product& product, const Place& place, const Blocks& blocks) {
  const Lines& columns = product.terms[0].columns;
  if (columns.across_k || place.rows.size() > kThinRows) return {};
  const int64_t bytes = blocks.width * columns.stride * product.element_bytes();
  return {static_cast<const std::byte*>(product.At(columns, place.columns.end, 0)), bytes / 64};
}

void MultiplyBlock(const Product& product, const Place& place, const Blocks& blocks,
                   const Scratch& scratch) {
  const PanelKernel& kernel = product.kernel;
  const bool last = place.ks.end == product.terms[0].k;
  const size_t num_terms = last ? product.num_terms : 1;
  Ahead ahead = NextColumns(product, place, blocks);
  std::array<PanelTerm, 2> terms;
  for (int64_t r = place.rows.begin; r < place.rows.end; r += kernel.height) {
    const Range rows = {r, std::min(r + kernel.height, place.rows.end)};
    for (size_t t = 0; t < num_terms; ++t) {
      const Range ks = t == 0 ? place.ks : Range{0, product.terms[t].k};
      terms[t] = ReadRows(product, product.terms[t], rows, ks, scratch.rows[t]);
    }
    if (ahead.lines > 0) {
      terms[0].ahead = ahead.line;
      ahead.line += 64 * terms[0].steps;
      ahead.lines -= terms[0].steps;
    }
    for (int64_t x = place.columns.begin; x < place.columns.end; x += blocks.panel) {
      for (size_t t = 0; t < num_terms; ++t) {
        terms[t].panel = scratch.columns[t] + (x - place.columns.begin) * terms[t].steps;
      }
      kernel.multiply(terms.data(), static_cast<int64_t>(num_terms), rows.size(),
                      std::min(blocks.panel, place.columns.end - x), SumsAt(product, place, r, x));
    }
  }
}

// Few rows whose words lie in memory as the kernel reads them: columns need no packing.
bool TakesDirect(const Product& product, int64_t rows) {
  if (rows > product.kernel.direct_height) return false;
  for (size_t t = 0; t < product.num_terms; ++t) {
    const Term& term = product.terms[t];
    if (term.rows.across_k || term.k % product.per_word() != 0) return false;
  }
  return true;
}

void MultiplyDirectly(const Product& product, Range rows, Range columns) {
  std::array<DirectTerm, 2> terms;
  for (size_t t = 0; t < product.num_terms; ++t) {
    const Term& term = product.terms[t];
    terms[t] = {static_cast<const Word*>(product.At(term.rows, rows.begin, 0)),
                term.rows.stride / product.per_word(),
                product.At(term.columns, columns.begin, 0),
                term.columns.stride,
                term.columns.across_k,
                term.k};
  }
  const Tensor& c = product.c;
  const int64_t at = rows.begin * c.cols() + columns.begin;
  const float* from = product.accumulate ? c.as<float>() + at : nullptr;
  const PanelSums sums = {from, c.cols(), static_cast<std::byte*>(c.data) + DTypeBytes(c.dtype, at),
                          c.cols(), c.dtype};
  product.kernel.multiply_direct(terms.data(), static_cast<int64_t>(product.num_terms), rows.size(),
                                 columns.size(), sums);
}

void MultiplyRectangle(const Product& product, Range rows, Range columns) {
  if (TakesDirect(product, rows.size())) {
    MultiplyDirectly(product, rows, columns);
    return;
  }
  const Blocks blocks = ChooseBlocks(product, rows.size(), columns.size());
  const Scratch scratch(product, blocks);
  const Term& first = product.terms[0];
  for (int64_t x = columns.begin; x < columns.end; x += blocks.width) {
    const Range part = {x, std::min(x + blocks.width, columns.end)};
    for (int64_t k = 0; k < first.k; k += blocks.depth) {
      const Range ks = {k, std::min(k + blocks.depth, first.k)};
      PackColumns(product, first, part, ks, blocks.panel, scratch.columns[0]);
      if (ks.end == first.k && product.num_terms > 1) {
        const Term& second = product.terms[1];
        PackColumns(product, second, part, {0, second.k}, blocks.panel, scratch.columns[1]);
      }
      MultiplyBlock(product, {rows, part, ks}, blocks, scratch);
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
  if (most_threads == 1) return best;
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
  const bool a_transposed = term.kind == MatMulKind::kTN,
             b_transposed = term.kind == MatMulKind::kNT;
  const Term described = {{static_cast<const std::byte*>(a.data),
                           a_transposed ? a.cols() : a.rows(), a.cols(), a_transposed},
                          {static_cast<const std::byte*>(b.data),
                           b_transposed ? b.rows() : b.cols(), b.cols(), !b_transposed},
                          a_transposed ? a.rows() : a.cols()};
  CHECK(described.k > 0 && described.k == (b_transposed ? b.cols() : b.rows()));
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
