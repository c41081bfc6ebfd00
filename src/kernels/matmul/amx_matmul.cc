#include "kernels/matmul/amx_matmul.h"

#include "core/check.h"
#include "kernels/isa.h"

#if defined(__x86_64__) && defined(__linux__)
#include "kernels/matmul/amx_matmul-inl.h"
#else
namespace lorikeet {
namespace {
void MultiplyByTiles(const MatMulTerm&, const MatMulTerm*, const Tensor&, bool) {}
}  // namespace
}  // namespace lorikeet
#endif

namespace lorikeet {

void AmxMatMul(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c,
               bool accumulate) {
  CHECK(IsaHas(Isa::kAmx));
  MultiplyByTiles(first, second, c, accumulate);
}

}  // namespace lorikeet
