// Gated activations, h = act(gate) * up, and their gradient, for any act: a struct with
// `static GatePart Of(Vec)`. Compiled once per Highway target, after simd-inl.h.
#if defined(LORIKEET_KERNELS_GATED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORIKEET_KERNELS_GATED_INL_H_
#undef LORIKEET_KERNELS_GATED_INL_H_
#else
#define LORIKEET_KERNELS_GATED_INL_H_
#endif

#include "core/tensor.h"
#include "kernels/columns.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {

struct GatePart {
  Vec value, slope;  // act(x), act'(x)
};

template <class Act, class C>
void GatedForwardRun(const C* gate, const C* up, int64_t n, C* h) {
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    lanes.Store(hn::Mul(Act::Of(lanes.Load(gate + i)).value, lanes.Load(up + i)), h + i);
  });
}

template <class Act, class C>
void GatedForwardOf(const Columns& gate, const Columns& up, const Tensor& h, int64_t begin,
                    int64_t end) {
  const int64_t F = h.cols();
  ForRuns(begin, end, F, gate.whole() && up.whole(), [&](int64_t t, int64_t n) {
    GatedForwardRun<Act>(gate.Row<C>(t), up.Row<C>(t), n, h.as<C>() + t * F);
  });
}

// Rows [begin, end); all three in the compute dtype.
template <class Act>
void GatedForward(const Columns& gate, const Columns& up, const Tensor& h, int64_t begin,
                  int64_t end) {
  const auto rows =
      h.dtype == DType::kF32 ? GatedForwardOf<Act, float> : GatedForwardOf<Act, bfloat16>;
  rows(gate, up, h, begin, end);
}

template <class Act, class C>
void GatedBackwardRun(const float* dh, const C* gate, const C* up, int64_t n, C* dgate, C* dup,
                      C* h) {
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec d = lanes.Load(dh + i), u = lanes.Load(up + i);
    const GatePart act = Act::Of(lanes.Load(gate + i));
    if (h != nullptr) lanes.Store(hn::Mul(act.value, u), h + i);
    lanes.Store(hn::Mul(hn::Mul(d, u), act.slope), dgate + i);
    lanes.Store(hn::Mul(d, act.value), dup + i);
  });
}

template <class Act, class C>
void GatedBackwardOf(const Tensor& dh, const Columns& gate, const Columns& up, const Columns& dgate,
                     const Columns& dup, const Tensor& h, int64_t begin, int64_t end) {
  const int64_t F = dh.cols();
  const bool whole = gate.whole() && up.whole() && dgate.whole() && dup.whole();
  ForRuns(begin, end, F, whole, [&](int64_t t, int64_t n) {
    GatedBackwardRun<Act>(dh.as<float>() + t * F, gate.Row<C>(t), up.Row<C>(t), n, dgate.Row<C>(t),
                          dup.Row<C>(t), h ? h.as<C>() + t * F : nullptr);
  });
}

// dgate and dup; h too, where it is not empty.
template <class Act>
void GatedBackward(const Tensor& dh, const Columns& gate, const Columns& up, const Columns& dgate,
                   const Columns& dup, const Tensor& h, int64_t begin, int64_t end) {
  const auto rows =
      gate.dtype() == DType::kF32 ? GatedBackwardOf<Act, float> : GatedBackwardOf<Act, bfloat16>;
  rows(dh, gate, up, dgate, dup, h, begin, end);
}

}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
