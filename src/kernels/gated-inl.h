// Gated activations, h = act(gate) * up, and their gradient, for any act: a struct with
// `static GatePart Of(Vec)`. Compiled once per Highway target, after simd-inl.h.
#if defined(LORIKEET_KERNELS_GATED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORIKEET_KERNELS_GATED_INL_H_
#undef LORIKEET_KERNELS_GATED_INL_H_
#else
#define LORIKEET_KERNELS_GATED_INL_H_
#endif

#include "core/tensor.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {

struct GatePart {
  Vec value, slope;  // act(x), act'(x)
};

template <class Act, class C>
void GatedForwardOf(const Tensor& gate, const Tensor& up, const Tensor& h, int64_t begin,
                    int64_t n) {
  const C* g = gate.as<C>() + begin;
  const C* u = up.as<C>() + begin;
  C* to = h.as<C>() + begin;
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    lanes.Store(hn::Mul(Act::Of(lanes.Load(g + i)).value, lanes.Load(u + i)), to + i);
  });
}

// Elements [begin, begin + n); all three in the compute dtype.
template <class Act>
void GatedForward(const Tensor& gate, const Tensor& up, const Tensor& h, int64_t begin, int64_t n) {
  const auto range =
      h.dtype == DType::kF32 ? GatedForwardOf<Act, float> : GatedForwardOf<Act, bfloat16>;
  range(gate, up, h, begin, n);
}

template <class Act, class C>
void GatedBackwardOf(const Tensor& dh, const Tensor& gate, const Tensor& up, const Tensor& dgate,
                     const Tensor& dup, const Tensor& h, int64_t begin, int64_t n) {
  const float* from = dh.as<float>() + begin;
  const C* gates = gate.as<C>() + begin;
  const C* ups = up.as<C>() + begin;
  C* to_gate = dgate.as<C>() + begin;
  C* to_up = dup.as<C>() + begin;
  C* to = h ? h.as<C>() + begin : nullptr;
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec d = lanes.Load(from + i), u = lanes.Load(ups + i);
    const GatePart act = Act::Of(lanes.Load(gates + i));
    if (to != nullptr) lanes.Store(hn::Mul(act.value, u), to + i);
    lanes.Store(hn::Mul(hn::Mul(d, u), act.slope), to_gate + i);
    lanes.Store(hn::Mul(d, act.value), to_up + i);
  });
}

// dgate and dup; h too, where it is not empty.
template <class Act>
void GatedBackward(const Tensor& dh, const Tensor& gate, const Tensor& up, const Tensor& dgate,
                   const Tensor& dup, const Tensor& h, int64_t begin, int64_t n) {
  const auto range =
      gate.dtype == DType::kF32 ? GatedBackwardOf<Act, float> : GatedBackwardOf<Act, bfloat16>;
  range(dh, gate, up, dgate, dup, h, begin, n);
}

}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
