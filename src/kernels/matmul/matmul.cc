#include "kernels/matmul/matmul.h"

#include "kernels/isa.h"
#include "kernels/matmul/amx_matmul.h"
#include "kernels/matmul/panel_matmul.h"

namespace lorikeet {

void MatMul(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind, bool accumulate) {
  if (a.dtype == DType::kBF16 && IsaHas(Isa::kAmx)) {
    AmxMatMul(a, b, c, kind, accumulate);
  } else {
    PanelMatMul({a, b, kind}, nullptr, c, accumulate);
  }
}

void MatMulSum(const MatMulTerm& first, const MatMulTerm& second, const Tensor& c,
               bool accumulate) {
  if (first.a.dtype == DType::kBF16 && IsaHas(Isa::kAmx)) {
    AmxMatMulSum(first, second, c, accumulate);
  } else {
    PanelMatMul(first, &second, c, accumulate);
  }
}

bool HasNativeBf16() { return IsaHas(Isa::kAvx512Bf16); }

}  // namespace lorikeet
