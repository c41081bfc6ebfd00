#include "kernels/geglu.h"

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/geglu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/gated-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

constexpr float kTwice = 1.59576912F;  // 2 sqrt(2/pi)
constexpr float kCubic = 0.044715F;

// With u = sqrt(2/pi) (x + 0.044715 x^3): gelu = x sigmoid(2u), gelu' = sigmoid(2u) + gelu
// sigmoid(-2u) 2u'. Beyond 12 the sigmoids are 0 and 1, and u could overflow; NaN survives in x.
struct Gelu {
  static HWY_INLINE GatePart Of(Vec x) {
    const Vec near = hn::Min(hn::Max(x, Set(-12)), Set(12)), square = hn::Mul(near, near);
    const Vec twice_u =
        hn::Mul(hn::Mul(Set(kTwice), near), hn::MulAdd(Set(kCubic), square, Set(1)));
    const Vec slope_u = hn::Mul(Set(kTwice), hn::MulAdd(Set(3 * kCubic), square, Set(1)));
    const Sigmoids s = SigmoidsOf(twice_u);
    const Vec value = hn::Mul(x, s.at);
    return {value, hn::MulAdd(hn::Mul(value, s.opposite), slope_u, s.at)};
  }
};

void Forward(const Tensor& gate, const Tensor& up, const Tensor& h, int64_t begin, int64_t n) {
  GatedForward<Gelu>(gate, up, h, begin, n);
}
void Backward(const Tensor& dh, const Tensor& gate, const Tensor& up, const Tensor& dgate,
              const Tensor& dup, const Tensor& h, int64_t begin, int64_t n) {
  GatedBackward<Gelu>(dh, gate, up, dgate, dup, h, begin, n);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(Backward);
}  // namespace

void GegluForward(const Tensor& gate, const Tensor& up, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"GegluForward",
                          "geglu",
                          {"{} x {}", {h.rows(), h.cols()}},
                          8 * h.size(),
                          BytesOf(gate, up, h)};
      },
      [&] { return Replay([=](const Relocate& at) { GegluForward(at(gate), at(up), at(h)); }); });
  CHECK(SameShape(gate, up) && SameShape(gate, h) && IsCompute(h));
  CHECK(gate.dtype == h.dtype && up.dtype == h.dtype);
  if (here.dry()) return;
  ParallelElements(h.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(Forward)(gate, up, h, begin, n);
  });
}

void GegluBackward(const Tensor& dh, const Tensor& gate, const Tensor& up, const Tensor& dgate,
                   const Tensor& dup, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"GegluBackward",
                          "geglu",
                          {"{} x {}", {dh.rows(), dh.cols()}},
                          16 * dh.size(),
                          BytesOf(dh, gate, up, dgate, dup, h)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          GegluBackward(at(dh), at(gate), at(up), at(dgate), at(dup), at(h));
        });
      });
  CHECK(SameShape(dh, gate) && SameShape(dh, up) && SameShape(dh, dgate));
  CHECK(SameShape(dh, dup) && (!h || SameShape(dh, h)) && IsCompute(gate));
  if (here.dry()) return;
  ParallelElements(dh.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(Backward)(dh, gate, up, dgate, dup, h, begin, n);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
