#include "kernels/matmul/operand.h"

#include "core/check.h"

namespace lorikeet {
namespace {

Term TermOf(const MatMulTerm& term, const Tensor& c) {
  const Tensor &a = term.a, &b = term.b;
  CHECK(a.rank == 2 && b.rank == 2 && a.dtype == b.dtype);
  const auto operand = [](const Tensor& matrix, bool across_k) {
    const int64_t row = DTypeBytes(matrix.dtype, matrix.cols()),
                  element = DTypeBytes(matrix.dtype, 1);
    return Operand{static_cast<const std::byte*>(matrix.data),
                   across_k ? matrix.cols() : matrix.rows(),
                   matrix.cols(),
                   across_k,
                   across_k ? element : row,
                   across_k ? row : element};
  };
  const bool a_across = term.kind == MatMulKind::kTN, b_across = term.kind != MatMulKind::kNT;
  const Term result = {operand(a, a_across), operand(b, b_across), a_across ? a.rows() : a.cols()};
  CHECK(result.k > 0 && result.k == (b_across ? b.rows() : b.cols()));
  CHECK(result.rows.lines == c.rows() && result.columns.lines == c.cols());
  return result;
}

}  // namespace

Product::Product(const MatMulTerm& first, const MatMulTerm* second, const Tensor& result,
                 bool accumulates)
    : num_terms(second == nullptr ? 1 : 2), c(result), accumulate(accumulates) {
  CHECK(c.rank == 2 && (c.dtype == DType::kF32 || (c.dtype == first.a.dtype && !accumulate)));
  terms[0] = TermOf(first, c);
  if (second == nullptr) return;
  CHECK(second->a.dtype == first.a.dtype);
  terms[1] = TermOf(*second, c);
}

}  // namespace lorikeet
