#include "kernels/swiglu.h"

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/swiglu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/gated-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

// silu'(x) = s + x s (1 - s) = s + silu(x) (1 - s)
struct Silu {
  static HWY_INLINE GatePart Of(Vec x) {
    const Sigmoids s = SigmoidsOf(x);
    const Vec silu = hn::Mul(x, s.at);
    return {silu, hn::MulAdd(silu, s.opposite, s.at)};
  }
};

template <class C>
void ForwardRange(const float* gate, const float* up, int64_t n, C* gate_c, C* up_c, C* h) {
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec g = Round<C>(lanes.Load(gate + i)), u = Round<C>(lanes.Load(up + i));
    lanes.Store(hn::Mul(Silu::Of(g).value, u), h + i);
    lanes.StoreRounded(g, gate_c + i);
    lanes.StoreRounded(u, up_c + i);
  });
}

template <class C>
void ForwardOf(const Tensor& gate, const Tensor& up, const Tensor& gate_c, const Tensor& up_c,
               const Tensor& h, int64_t begin, int64_t n) {
  ForwardRange(gate.as<float>() + begin, up.as<float>() + begin, n, gate_c.as<C>() + begin,
               up_c.as<C>() + begin, h.as<C>() + begin);
}
void Forward(const Tensor& gate, const Tensor& up, const Tensor& gate_c, const Tensor& up_c,
             const Tensor& h, int64_t begin, int64_t n) {
  const auto range = h.dtype == DType::kF32 ? ForwardOf<float> : ForwardOf<bfloat16>;
  range(gate, up, gate_c, up_c, h, begin, n);
}

void Recompute(const Columns& gate, const Columns& up, const Tensor& h, int64_t begin,
               int64_t end) {
  GatedForward<Silu>(gate, up, h, begin, end);
}

void Backward(const Tensor& dh, const Columns& gate, const Columns& up, const Columns& dgate,
              const Columns& dup, const Tensor& h, int64_t begin, int64_t end) {
  GatedBackward<Silu>(dh, gate, up, dgate, dup, h, begin, end);
}

template <class C>
void WeightedForwardRow(const C* gate, const C* up, float weight, int64_t n, C* h) {
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec plain = hn::Mul(Silu::Of(lanes.Load(gate + i)).value, lanes.Load(up + i));
    lanes.Store(hn::Mul(Set(weight), plain), h + i);
  });
}
template <class C>
void WeightedForwardOf(const Tensor& gate, const Tensor& up, const Tensor& weights, const Tensor& h,
                       int64_t begin, int64_t end) {
  const int64_t F = h.cols();
  for (int64_t t = begin; t < end; ++t) {
    WeightedForwardRow(gate.as<C>() + t * F, up.as<C>() + t * F, weights.as<float>()[t], F,
                       h.as<C>() + t * F);
  }
}
void WeightedForward(const Tensor& gate, const Tensor& up, const Tensor& weights, const Tensor& h,
                     int64_t begin, int64_t end) {
  const auto rows = h.dtype == DType::kF32 ? WeightedForwardOf<float> : WeightedForwardOf<bfloat16>;
  rows(gate, up, weights, h, begin, end);
}

template <class C>
float WeightedBackwardRow(const float* dh, const C* gate, const C* up, float weight, int64_t n,
                          C* dgate, C* dup, C* h) {
  return SumVectors(n, [=](auto lanes, int64_t i, Vec sum) HWY_ATTR {
    const Vec d = lanes.Load(dh + i), u = lanes.Load(up + i);
    const GatePart silu = Silu::Of(lanes.Load(gate + i));
    const Vec plain = hn::Mul(silu.value, u), wd = hn::Mul(Set(weight), d);
    lanes.Store(hn::Mul(Set(weight), plain), h + i);
    lanes.Store(hn::Mul(hn::Mul(wd, u), silu.slope), dgate + i);
    lanes.Store(hn::Mul(wd, silu.value), dup + i);
    return hn::MulAdd(d, plain, sum);
  });
}
template <class C>
void WeightedBackwardOf(const Tensor& dh, const Tensor& gate, const Tensor& up,
                        const Tensor& weights, const Tensor& dgate, const Tensor& dup,
                        const Tensor& h, const Tensor& dweights, int64_t begin, int64_t end) {
  const int64_t F = h.cols();
  for (int64_t t = begin; t < end; ++t) {
    const int64_t at = t * F;
    dweights.as<float>()[t] = WeightedBackwardRow(
        dh.as<float>() + at, gate.as<C>() + at, up.as<C>() + at, weights.as<float>()[t], F,
        dgate.as<C>() + at, dup.as<C>() + at, h.as<C>() + at);
  }
}
void WeightedBackward(const Tensor& dh, const Tensor& gate, const Tensor& up, const Tensor& weights,
                      const Tensor& dgate, const Tensor& dup, const Tensor& h,
                      const Tensor& dweights, int64_t begin, int64_t end) {
  const auto rows =
      h.dtype == DType::kF32 ? WeightedBackwardOf<float> : WeightedBackwardOf<bfloat16>;
  rows(dh, gate, up, weights, dgate, dup, h, dweights, begin, end);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(Recompute);
HWY_EXPORT(Backward);
HWY_EXPORT(WeightedForward);
HWY_EXPORT(WeightedBackward);

// fn(begin, n) over ranges of elements, each of whole rows: the op is elementwise.
template <class Fn>
void OverRows(const Tensor& x, const Fn& fn) {
  const int64_t cols = x.cols();
  ParallelRanges(x.rows(), RowGrain(cols),
                 [&](int64_t begin, int64_t end) { fn(begin * cols, (end - begin) * cols); });
}
}  // namespace

void SwigluForward(const Tensor& gate, const Tensor& up, const Tensor& gate_c, const Tensor& up_c,
                   const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"SwigluForward",
                          "swiglu",
                          {"{} x {}", {h.rows(), h.cols()}},
                          4 * h.size(),
                          BytesOf(gate, up, gate_c, up_c, h)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          SwigluForward(at(gate), at(up), at(gate_c), at(up_c), at(h));
        });
      });
  CHECK(SameShape(gate, up) && SameShape(gate, gate_c) && SameShape(gate, up_c));
  CHECK(SameShape(gate, h) && IsCompute(h));
  if (here.dry()) return;
  OverRows(h, [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(Forward)(gate, up, gate_c, up_c, h, begin, n);
  });
}

void SwigluRecompute(const Columns& gate_c, const Columns& up_c, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"SwigluRecompute",
                          "swiglu",
                          {"{} x {}", {h.rows(), h.cols()}},
                          4 * h.size(),
                          BytesOf(gate_c, up_c, h)};
      },
      [&] {
        return Replay([=](const Relocate& at) { SwigluRecompute(at(gate_c), at(up_c), at(h)); });
      });
  CHECK(SameShape(gate_c, up_c) && SameShape(gate_c, h) && IsCompute(h));
  CHECK(gate_c.dtype() == h.dtype && up_c.dtype() == h.dtype);
  if (here.dry()) return;
  ParallelRanges(h.rows(), RowGrain(h.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Recompute)(gate_c, up_c, h, begin, end);
  });
}

void SwigluBackward(const Tensor& dh, const Columns& gate_c, const Columns& up_c,
                    const Columns& dgate, const Columns& dup, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"SwigluBackward",
                          "swiglu",
                          {"{} x {}", {dh.rows(), dh.cols()}},
                          11 * dh.size(),
                          BytesOf(dh, gate_c, up_c, dgate, dup, h)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          SwigluBackward(at(dh), at(gate_c), at(up_c), at(dgate), at(dup), at(h));
        });
      });
  CHECK(SameShape(dh, gate_c) && SameShape(dh, up_c) && SameShape(dh, dgate));
  CHECK(SameShape(dh, dup) && (!h || SameShape(dh, h)) && IsCompute(gate_c.matrix));
  if (here.dry()) return;
  ParallelRanges(dh.rows(), RowGrain(dh.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Backward)(dh, gate_c, up_c, dgate, dup, h, begin, end);
  });
}

void WeightedSwigluForward(const Tensor& gate_c, const Tensor& up_c, const Tensor& weights,
                           const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"WeightedSwigluForward",
                          "swiglu",
                          {"{} x {}", {h.rows(), h.cols()}},
                          5 * h.size(),
                          BytesOf(gate_c, up_c, weights, h)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          WeightedSwigluForward(at(gate_c), at(up_c), at(weights), at(h));
        });
      });
  CHECK(SameShape(gate_c, up_c) && SameShape(gate_c, h) && IsCompute(h));
  CHECK(weights.size() == h.rows());
  if (here.dry()) return;
  ParallelRanges(h.rows(), RowGrain(h.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(WeightedForward)(gate_c, up_c, weights, h, begin, end);
  });
}

void WeightedSwigluBackward(const Tensor& dh, const Tensor& gate_c, const Tensor& up_c,
                            const Tensor& weights, const Tensor& dgate, const Tensor& dup,
                            const Tensor& h, const Tensor& dweights) {
  const Kernel here(
      [&] {
        return KernelCall{"WeightedSwigluBackward",
                          "swiglu",
                          {"{} x {}", {h.rows(), h.cols()}},
                          15 * h.size(),
                          BytesOf(dh, gate_c, up_c, weights, dgate, dup, h, dweights)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          WeightedSwigluBackward(at(dh), at(gate_c), at(up_c), at(weights), at(dgate), at(dup),
                                 at(h), at(dweights));
        });
      });
  CHECK(SameShape(dh, gate_c) && SameShape(dh, up_c) && SameShape(dh, dgate));
  CHECK(SameShape(dh, dup) && SameShape(dh, h) && IsCompute(h));
  CHECK(weights.size() == h.rows() && dweights.size() == h.rows());
  if (here.dry()) return;
  ParallelRanges(h.rows(), RowGrain(h.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(WeightedBackward)
    (dh, gate_c, up_c, weights, dgate, dup, h, dweights, begin, end);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
