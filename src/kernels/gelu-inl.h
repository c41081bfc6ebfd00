// The tanh form of GELU and its slope. Compiled once per Highway target, after gated-inl.h.
#if defined(LORIKEET_KERNELS_GELU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORIKEET_KERNELS_GELU_INL_H_
#undef LORIKEET_KERNELS_GELU_INL_H_
#else
#define LORIKEET_KERNELS_GELU_INL_H_
#endif

#include "kernels/gated-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {

// With u = sqrt(2/pi) (x + 0.044715 x^3): gelu = x sigmoid(2u), gelu' = sigmoid(2u) + gelu
// sigmoid(-2u) 2u'. Beyond 12 the sigmoids are 0 and 1, and u could overflow; NaN survives in x.
struct Gelu {
  static constexpr float kTwice = 1.59576912F;  // 2 sqrt(2/pi)
  static constexpr float kCubic = 0.044715F;

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

}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
