#include "kernels/activation.h"

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/gelu-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

struct SquaredRelu {
  static HWY_INLINE GatePart Of(Vec x) {
    const Vec relu = hn::IfThenZeroElse(hn::Lt(x, Set(0)), x);  // not Max, which loses NaN
    return {hn::Mul(relu, relu), hn::Add(relu, relu)};
  }
};

template <class Act, class C>
void ForwardOf(const Tensor& x, const Tensor& h, int64_t begin, int64_t n) {
  const C* from = x.as<C>() + begin;
  C* to = h.as<C>() + begin;
  ForVectors(n, [=](auto lanes, int64_t i)
                    HWY_ATTR { lanes.Store(Act::Of(lanes.Load(from + i)).value, to + i); });
}
template <class Act>
void ForwardAs(const Tensor& x, const Tensor& h, int64_t begin, int64_t n) {
  const auto range = h.dtype == DType::kF32 ? ForwardOf<Act, float> : ForwardOf<Act, bfloat16>;
  range(x, h, begin, n);
}

template <class Act, class C>
void BackwardOf(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h, int64_t begin,
                int64_t n) {
  const float* from = dh.as<float>() + begin;
  const C* at = x.as<C>() + begin;
  C* to = dx.as<C>() + begin;
  C* again = h ? h.as<C>() + begin : nullptr;
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const GatePart act = Act::Of(lanes.Load(at + i));
    if (again != nullptr) lanes.Store(act.value, again + i);
    lanes.Store(hn::Mul(lanes.Load(from + i), act.slope), to + i);
  });
}
template <class Act>
void BackwardAs(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h, int64_t begin,
                int64_t n) {
  const auto range = x.dtype == DType::kF32 ? BackwardOf<Act, float> : BackwardOf<Act, bfloat16>;
  range(dh, x, dx, h, begin, n);
}

void SquaredReluForwardRange(const Tensor& x, const Tensor& h, int64_t begin, int64_t n) {
  ForwardAs<SquaredRelu>(x, h, begin, n);
}
void SquaredReluBackwardRange(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h,
                              int64_t begin, int64_t n) {
  BackwardAs<SquaredRelu>(dh, x, dx, h, begin, n);
}
void GeluForwardRange(const Tensor& x, const Tensor& h, int64_t begin, int64_t n) {
  ForwardAs<Gelu>(x, h, begin, n);
}
void GeluBackwardRange(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h,
                       int64_t begin, int64_t n) {
  BackwardAs<Gelu>(dh, x, dx, h, begin, n);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(SquaredReluForwardRange);
HWY_EXPORT(SquaredReluBackwardRange);
HWY_EXPORT(GeluForwardRange);
HWY_EXPORT(GeluBackwardRange);

void CheckForward(const Tensor& x, const Tensor& h) {
  CHECK(SameShape(x, h) && IsCompute(h) && x.dtype == h.dtype);
}
void CheckBackward(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h) {
  CHECK(SameShape(dh, x) && SameShape(dh, dx) && (!h || SameShape(dh, h)));
  CHECK(dh.dtype == DType::kF32 && IsCompute(x) && x.dtype == dx.dtype);
}
}  // namespace

void SquaredReluForward(const Tensor& x, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"SquaredReluForward",
                          "squared relu",
                          {"{} x {}", {h.rows(), h.cols()}},
                          2 * h.size(),
                          BytesOf(x, h)};
      },
      [&] { return Replay([=](const Relocate& at) { SquaredReluForward(at(x), at(h)); }); });
  CheckForward(x, h);
  if (here.dry()) return;
  ParallelElements(h.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(SquaredReluForwardRange)(x, h, begin, n);
  });
}

void SquaredReluBackward(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"SquaredReluBackward",
                          "squared relu",
                          {"{} x {}", {dh.rows(), dh.cols()}},
                          4 * dh.size(),
                          BytesOf(dh, x, dx, h)};
      },
      [&] {
        return Replay(
            [=](const Relocate& at) { SquaredReluBackward(at(dh), at(x), at(dx), at(h)); });
      });
  CheckBackward(dh, x, dx, h);
  if (here.dry()) return;
  ParallelElements(dh.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(SquaredReluBackwardRange)(dh, x, dx, h, begin, n);
  });
}

void GeluForward(const Tensor& x, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{
            "GeluForward", "gelu", {"{} x {}", {h.rows(), h.cols()}}, 7 * h.size(), BytesOf(x, h)};
      },
      [&] { return Replay([=](const Relocate& at) { GeluForward(at(x), at(h)); }); });
  CheckForward(x, h);
  if (here.dry()) return;
  ParallelElements(h.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(GeluForwardRange)(x, h, begin, n);
  });
}

void GeluBackward(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"GeluBackward",
                          "gelu",
                          {"{} x {}", {dh.rows(), dh.cols()}},
                          14 * dh.size(),
                          BytesOf(dh, x, dx, h)};
      },
      [&] {
        return Replay([=](const Relocate& at) { GeluBackward(at(dh), at(x), at(dx), at(h)); });
      });
  CheckBackward(dh, x, dx, h);
  if (here.dry()) return;
  ParallelElements(dh.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(GeluBackwardRange)(dh, x, dx, h, begin, n);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
