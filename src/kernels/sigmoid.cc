#include "kernels/sigmoid.h"

#include <cmath>

#include "core/check.h"
#include "core/float16.h"
#include "core/parallel.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

constexpr int64_t kGrain = 1 << 12;  // elements for which a thread is worth waking

template <class C>
void BackwardOf(const float* dgates, const float* gates, C* dlogits, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    dlogits[i] = FromFloat<C>(dgates[i] * gates[i] * (1.0F - gates[i]));
  }
}

}  // namespace

void SigmoidForward(const Tensor& logits, const Tensor& gates) {
  const Kernel here(
      [&] {
        return KernelCall{
            "SigmoidForward", "", {"{}", {gates.size()}}, 2 * gates.size(), BytesOf(logits, gates)};
      },
      [&] { return Replay([=](const Relocate& at) { SigmoidForward(at(logits), at(gates)); }); });
  CHECK(logits.size() == gates.size());
  CHECK(logits.dtype == DType::kF32 && gates.dtype == DType::kF32);
  if (here.dry()) return;
  ParallelRanges(gates.size(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      gates.as<float>()[i] = 1.0F / (1.0F + std::exp(-logits.as<float>()[i]));
    }
  });
}

void SigmoidBackward(const Tensor& dgates, const Tensor& gates, const Tensor& dlogits) {
  const Kernel here(
      [&] {
        return KernelCall{"SigmoidBackward",
                          "",
                          {"{}", {gates.size()}},
                          3 * gates.size(),
                          BytesOf(dgates, gates, dlogits)};
      },
      [&] {
        return Replay(
            [=](const Relocate& at) { SigmoidBackward(at(dgates), at(gates), at(dlogits)); });
      });
  CHECK(dgates.size() == gates.size() && dlogits.size() == gates.size());
  CHECK(dgates.dtype == DType::kF32 && gates.dtype == DType::kF32);
  if (here.dry()) return;
  const float *d = dgates.as<float>(), *s = gates.as<float>();
  if (dlogits.dtype == DType::kF32) return BackwardOf(d, s, dlogits.as<float>(), gates.size());
  BackwardOf(d, s, dlogits.as<bfloat16>(), gates.size());
}

}  // namespace lorikeet
