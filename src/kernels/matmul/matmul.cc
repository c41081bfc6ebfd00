#include "kernels/matmul/matmul.h"

#include "kernels/isa.h"
#include "kernels/matmul/amx_matmul.h"
#include "kernels/matmul/panel_matmul.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

// "MatMul NT +=", "MatMulSum NN in bf16".
const char* NameOf(bool sum, MatMulKind kind, DType result, bool accumulate) {
  static constexpr const char* kNames[2][3][3] = {
      {{"MatMul NT", "MatMul NT +=", "MatMul NT in bf16"},
       {"MatMul NN", "MatMul NN +=", "MatMul NN in bf16"},
       {"MatMul TN", "MatMul TN +=", "MatMul TN in bf16"}},
      {{"MatMulSum NT", "MatMulSum NT +=", "MatMulSum NT in bf16"},
       {"MatMulSum NN", "MatMulSum NN +=", "MatMulSum NN in bf16"},
       {"MatMulSum TN", "MatMulSum TN +=", "MatMulSum TN in bf16"}}};
  return kNames[sum ? 1 : 0][static_cast<size_t>(kind)][accumulate              ? 1
                                                        : result == DType::kF32 ? 0
                                                                                : 2];
}

int64_t RowSize(const MatMulTerm& term) {  // K
  return term.kind == MatMulKind::kTN ? term.a.rows() : term.a.cols();
}

void Multiply(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c, bool accumulate) {
  const bool on_tiles = first.a.dtype == DType::kBF16 && IsaHas(Isa::kAmx);
  (on_tiles ? AmxMatMul : PanelMatMul)(first, second, c, accumulate);
}

}  // namespace

void MatMul(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind, bool accumulate) {
  const int64_t m = c.rows(), n = c.cols(), k = RowSize({a, b, kind});
  const Kernel here(
      [&] {
        return KernelCall{NameOf(false, kind, c.dtype, accumulate),
                          nullptr,
                          {"{} x {} x {}", {m, n, k}},
                          2 * m * n * k,
                          BytesOf(a, b, c) + (accumulate ? c.bytes() : 0)};
      },
      [&] {
        return Replay([=](const Relocate& at) { MatMul(at(a), at(b), at(c), kind, accumulate); });
      });
  if (!here.dry()) Multiply({a, b, kind}, nullptr, c, accumulate);
}

void MatMulSum(const MatMulTerm& first, const MatMulTerm& second, const Tensor& c,
               bool accumulate) {
  const int64_t m = c.rows(), n = c.cols(), r = RowSize(second), k = RowSize(first);
  const Kernel here(
      [&] {
        return KernelCall{
            NameOf(true, first.kind, c.dtype, accumulate),
            nullptr,
            {"{} x {} x ({} + {})", {m, n, k, r}},
            2 * m * n * (k + r),
            BytesOf(first.a, first.b, second.a, second.b, c) + (accumulate ? c.bytes() : 0)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          MatMulSum({at(first.a), at(first.b), first.kind},
                    {at(second.a), at(second.b), second.kind}, at(c), accumulate);
        });
      });
  if (!here.dry()) Multiply(first, &second, c, accumulate);
}

bool HasNativeBf16() { return IsaHas(Isa::kAvx512Bf16); }

}  // namespace lorikeet
