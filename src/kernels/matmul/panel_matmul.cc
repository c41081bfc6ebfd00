#include "kernels/matmul/panel_matmul.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/arena.h"
#include "core/check.h"
#include "kernels/isa.h"
#include "kernels/matmul/operand.h"
#include "kernels/matmul/panel_kernel.h"

namespace lorikeet {
namespace {

struct PanelProduct : Product {
  PanelProduct(const MatMulTerm& first, const MatMulTerm* second, const Tensor& result,
               bool accumulates)
      : Product(first, second, result, accumulates),
        kernel(first.a.dtype == DType::kF32 ? F32PanelKernel() : Bfloat16PanelKernel()),
        per_word(first.a.dtype == DType::kF32 ? 1 : 2) {}

  const PanelKernel& kernel;
  const int64_t per_word;  // elements

  int64_t Steps(int64_t k) const { return CeilDiv(k, per_word); }
};

// Packed panels of one block of columns stay in the L2 cache, and few enough steps are taken at
// once that a block is wide: rows are read, or packed, once for each. With few rows, where packing
// is most of the work, a block is one panel of all steps, so that columns are read in the order in
// which they lie.
constexpr int64_t kBlockWords = (512 << 10) / 4, kThinBlockWords = (256 << 10) / 4;
constexpr int64_t kSteps = 512;
constexpr int64_t kThinRows = 48;

struct Blocking {
  int64_t panel;  // columns of a panel
  int64_t width;  // columns of a block: whole panels
  int64_t depth;  // k of a block
};

Blocking ChooseBlocking(const PanelProduct& product, int64_t rows, int64_t columns) {
  const PanelKernel& kernel = product.kernel;
  const int64_t steps = product.Steps(product.terms[0].k);
  if (rows <= kThinRows) {
    const int64_t vectors = kThinBlockWords / (steps * kernel.lanes);
    const int64_t panel = std::clamp<int64_t>(vectors, 1, kernel.vectors) * kernel.lanes;
    return {panel, panel, product.terms[0].k};
  }
  // The depth is cut only where sums can wait in f32: in c itself.
  const int64_t depth = product.c.dtype == DType::kF32 ? EvenPart(steps, kSteps, 1) : steps;
  const int64_t panel = kernel.columns();
  const int64_t panels = std::max<int64_t>(1, kBlockWords / (depth * panel));
  return {panel, std::min(panels * panel, RoundUp(columns, panel)), depth * product.per_word};
}

// This thread's working memory, grown when a product needs more.
struct Scratch {
  std::array<Word*, 2> columns;  // packed panels of each term
  std::array<Word*, 2> rows;     // `height` packed rows of each term

  Scratch(const PanelProduct& product, const Blocking& blocking) {
    constexpr int64_t kSlack = 16;  // packers write whole vectors
    std::array<int64_t, 2> column_words = {}, row_words = {};
    int64_t words = 0;
    for (size_t t = 0; t < product.num_terms; ++t) {
      const int64_t steps = product.Steps(t == 0 ? blocking.depth : product.terms[t].k);
      column_words[t] = RoundUp(steps * blocking.width, kSlack);
      row_words[t] = RoundUp(steps * product.kernel.height + kSlack, kSlack);
      words += column_words[t] + row_words[t];
    }
    static thread_local Buffer buffer;
    if (buffer.tensor().size() < words) buffer = Buffer(DType::kI32, {words});
    auto* next = static_cast<Word*>(buffer.tensor().data);
    for (size_t t = 0; t < product.num_terms; ++t) {
      columns[t] = next;
      rows[t] = next + column_words[t];
      next += column_words[t] + row_words[t];
    }
  }
};

// The columns of a term over ks, panel by panel: that of column x begins at to + x * steps.
void PackColumns(const PanelProduct& product, const Operand& from, Range columns, Range ks,
                 int64_t panel, Word* to) {
  const int64_t steps = product.Steps(ks.size());
  const auto pack = from.across_k ? product.kernel.pack_across_k : product.kernel.pack_along_k;
  for (int64_t x = columns.begin; x < columns.end; x += panel) {
    pack(from.At<Word>(x, ks.begin), from.stride, columns.Part(x, panel).size(), ks.size(),
         to + (x - columns.begin) * steps);
  }
}

// Copies rows that lie along k and end in the middle of a word.
void CopyRows(const Operand& from, Range rows, Range ks, int64_t steps, Word* to) {
  for (int64_t r = rows.begin; r < rows.end; ++r, to += steps) {
    to[steps - 1] = 0;
    std::memcpy(to, from.At<Word>(r, ks.begin), static_cast<size_t>(ks.size() * from.k_bytes));
  }
}

// Rows as the kernel reads them: where they lie if their words are there, else packed.
PanelTerm ReadRows(const PanelProduct& product, const Operand& from, Range rows, Range ks,
                   Word* scratch) {
  PanelTerm read = {.row_stride = 1, .step_stride = 1, .steps = product.Steps(ks.size())};
  const Word* in_place = from.At<Word>(rows.begin, ks.begin);
  const bool whole_words = from.stride % product.per_word == 0 && ks.size() % product.per_word == 0;
  if (from.across_k && product.kernel.pack_rows != nullptr) {
    product.kernel.pack_rows(in_place, from.stride, rows.size(), ks.size(), scratch);
    read.rows = scratch;
    read.step_stride = product.kernel.height;
  } else if (from.across_k) {
    read.rows = in_place;
    read.step_stride = from.stride;
  } else if (whole_words) {
    read.rows = in_place;
    read.row_stride = from.stride / product.per_word;
  } else {
    CopyRows(from, rows, ks, read.steps, scratch);
    read.rows = scratch;
    read.row_stride = read.steps;
  }
  return read;
}

// Where the sums of a block come from and go to that begins at (row, column) of c.
PanelSums SumsAt(const Tensor& c, int64_t row, int64_t column, bool from_c) {
  const int64_t at = row * c.cols() + column;
  return {from_c ? c.as<float>() + at : nullptr, c.cols(),
          static_cast<std::byte*>(c.data) + DTypeBytes(c.dtype, at), c.cols(), c.dtype};
}

// What follows the block in memory, to be fetched while it is multiplied: the columns of the next
// one, where a block is all that is read between two multiplications.
struct Prefetch {
  const std::byte* line = nullptr;
  int64_t lines = 0;
};
Prefetch NextColumns(const Operand& columns, const Block& block, const Blocking& blocking) {
  if (columns.across_k || block.rows.size() > kThinRows) return {};
  const int64_t bytes = blocking.width * columns.line_bytes;
  return {columns.At<std::byte>(block.columns.end, 0), bytes / 64};
}

void MultiplyBlock(const PanelProduct& product, const Block& block, const Blocking& blocking,
                   const Scratch& scratch) {
  const PanelKernel& kernel = product.kernel;
  const size_t num_terms = block.ks.end == product.terms[0].k ? product.num_terms : 1;
  // Between two parts of k the sums wait in c.
  const bool from_c = product.accumulate || block.ks.begin > 0;
  Prefetch next = NextColumns(product.terms[0].columns, block, blocking);
  std::array<PanelTerm, 2> terms;
  for (int64_t r = block.rows.begin; r < block.rows.end; r += kernel.height) {
    const Range rows = block.rows.Part(r, kernel.height);
    for (size_t t = 0; t < num_terms; ++t) {
      const Range ks = t == 0 ? block.ks : Range{0, product.terms[t].k};
      terms[t] = ReadRows(product, product.terms[t].rows, rows, ks, scratch.rows[t]);
    }
    if (next.lines > 0) {
      terms[0].prefetch = next.line;
      next.line += 64 * terms[0].steps;
      next.lines -= terms[0].steps;
    }
    for (int64_t x = block.columns.begin; x < block.columns.end; x += blocking.panel) {
      for (size_t t = 0; t < num_terms; ++t) {
        terms[t].panel = scratch.columns[t] + (x - block.columns.begin) * terms[t].steps;
      }
      kernel.multiply(terms.data(), static_cast<int64_t>(num_terms), rows.size(),
                      block.columns.Part(x, blocking.panel).size(),
                      SumsAt(product.c, r, x, from_c));
    }
  }
}

// Few rows whose words lie in memory as the kernel reads them: columns need no packing.
bool TakesDirect(const PanelProduct& product, int64_t rows) {
  if (rows > product.kernel.direct_height) return false;
  for (size_t t = 0; t < product.num_terms; ++t) {
    const Term& term = product.terms[t];
    if (term.rows.across_k || term.k % product.per_word != 0) return false;
  }
  return true;
}

void MultiplyDirectly(const PanelProduct& product, Range rows, Range columns) {
  std::array<DirectTerm, 2> terms;
  for (size_t t = 0; t < product.num_terms; ++t) {
    const Term& term = product.terms[t];
    terms[t] = {term.rows.At<Word>(rows.begin, 0),
                term.rows.stride / product.per_word,
                term.columns.At<Word>(columns.begin, 0),
                term.columns.stride,
                term.columns.across_k,
                term.k};
  }
  product.kernel.multiply_direct(terms.data(), static_cast<int64_t>(product.num_terms), rows.size(),
                                 columns.size(),
                                 SumsAt(product.c, rows.begin, columns.begin, product.accumulate));
}

void MultiplyRectangle(const PanelProduct& product, Range rows, Range columns) {
  if (TakesDirect(product, rows.size())) {
    MultiplyDirectly(product, rows, columns);
    return;
  }
  const Blocking blocking = ChooseBlocking(product, rows.size(), columns.size());
  const Scratch scratch(product, blocking);
  const auto pack = [&](size_t t, Range part, Range ks) {
    PackColumns(product, product.terms[t].columns, part, ks, blocking.panel, scratch.columns[t]);
  };
  const Range all = {0, product.terms[0].k};
  for (int64_t x = columns.begin; x < columns.end; x += blocking.width) {
    const Range part = columns.Part(x, blocking.width);
    for (int64_t k = 0; k < all.end; k += blocking.depth) {
      const Range ks = all.Part(k, blocking.depth);
      pack(0, part, ks);
      if (ks.end == all.end && product.num_terms > 1) pack(1, part, {0, product.terms[1].k});
      MultiplyBlock(product, {rows, part, ks}, blocking, scratch);
    }
  }
}

// Cycles per step of k: vector multiplications, and packing.
double Cost(const PanelProduct& product, int64_t rows, int64_t columns) {
  const PanelKernel& kernel = product.kernel;
  const Term& term = product.terms[0];
  const auto m = static_cast<double>(std::min(rows, term.rows.lines));
  const auto n = static_cast<double>(std::min(columns, term.columns.lines));
  const double pack_column = term.columns.across_k ? 0.15 : 0.35;
  const double pack_row = term.rows.across_k && kernel.pack_rows != nullptr ? 0.7 : 0.05;
  return m * n / static_cast<double>(kernel.lanes) + pack_column * n + pack_row * m;
}

}  // namespace

bool PanelMatMulTakes(DType operands) {
  return operands == DType::kF32 || (operands == DType::kBF16 && IsaHas(Isa::kAvx512Bf16));
}

void PanelMatMul(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c,
                 bool accumulate) {
  if (c.size() == 0) return;
  CHECK(PanelMatMulTakes(first.a.dtype));
  const PanelProduct product(first, second, c, accumulate);
  constexpr double kWorthAThread = 8192;  // cycles: about 2 us
  const Grid grid =
      ChooseGrid({c.rows(), c.cols(), product.kernel.height, product.kernel.lanes},
                 product.Steps(product.terms[0].k), kWorthAThread,
                 [&](int64_t rows, int64_t columns) { return Cost(product, rows, columns); });
  grid.ForEach([&](Range rows, Range columns) { MultiplyRectangle(product, rows, columns); });
}

}  // namespace lorikeet
