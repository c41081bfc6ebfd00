// Vectors of f32 as every kernel here uses them: loads and stores that convert the storage type,
// loops with a partial last vector, and e^x. Compiled once per Highway target.
#if defined(LORIKEET_KERNELS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORIKEET_KERNELS_SIMD_INL_H_
#undef LORIKEET_KERNELS_SIMD_INL_H_
#else
#define LORIKEET_KERNELS_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "core/float16.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using U32 = hn::RebindToUnsigned<F32>;
using I32 = hn::RebindToSigned<F32>;
using U16 = hn::Rebind<uint16_t, F32>;
using Vec = hn::Vec<F32>;

HWY_INLINE int64_t Lanes() { return static_cast<int64_t>(hn::Lanes(F32())); }
HWY_INLINE Vec Set(float x) { return hn::Set(F32(), x); }

HWY_INLINE Vec Load(const float* p) { return hn::LoadU(F32(), p); }
HWY_INLINE Vec Load(const bfloat16* p) {
  const auto bits = hn::LoadU(U16(), reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(F32(), hn::ShiftLeft<16>(hn::PromoteTo(U32(), bits)));
}
HWY_INLINE Vec Load(const float16* p) {
  const auto half = hn::PromoteTo(U32(), hn::LoadU(U16(), reinterpret_cast<const uint16_t*>(p)));
  const auto magnitude = hn::ShiftLeft<13>(hn::And(half, hn::Set(U32(), 0x7fffU)));
  const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(U32(), 0x8000U)));
  // The exponent is biased by 15 where f32 has 127; the product also makes subnormals right.
  const auto value = hn::BitCast(U32(), hn::Mul(hn::BitCast(F32(), magnitude), Set(0x1p112F)));
  const auto is_special = hn::Gt(hn::BitCast(I32(), magnitude), hn::Set(I32(), 0x0f7fffff));
  const auto special = hn::Or(magnitude, hn::Set(U32(), 0x7f800000U));  // infinity, NaN
  const auto picked = hn::IfThenElse(hn::RebindMask(U32(), is_special), special, value);
  return hn::BitCast(F32(), hn::Or(picked, sign));
}

// Bits of v rounded to bf16 (nearest even, NaN kept one), in the upper halves; the lower are junk.
HWY_INLINE hn::Vec<U32> Bfloat16Bits(Vec v) {
  const U32 du;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(du, 0x7fff)), odd);
  const auto nan = hn::Or(bits, hn::Set(du, 0x400000));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), nan, rounded);
}
// v as it will be read back from storage type C.
template <class C>
HWY_INLINE Vec Round(Vec v) {
  return v;
}
template <>
HWY_INLINE Vec Round<bfloat16>(Vec v) {
  return hn::BitCast(F32(), hn::And(Bfloat16Bits(v), hn::Set(U32(), 0xffff0000U)));
}

HWY_INLINE void StoreUpper(hn::Vec<U32> bits, bfloat16* p) {
  const auto upper = hn::TruncateTo(U16(), hn::ShiftRight<16>(bits));
  hn::StoreU(upper, U16(), reinterpret_cast<uint16_t*>(p));
}
HWY_INLINE void Store(Vec v, float* p) { hn::StoreU(v, F32(), p); }
HWY_INLINE void Store(Vec v, bfloat16* p) { StoreUpper(Bfloat16Bits(v), p); }
// The same for what Round<C> has rounded.
HWY_INLINE void StoreRounded(Vec v, float* p) { Store(v, p); }
HWY_INLINE void StoreRounded(Vec v, bfloat16* p) { StoreUpper(hn::BitCast(U32(), v), p); }

// A whole vector in memory, or the first n elements of one: loads fill up with `rest`, and nothing
// past the n-th is touched. Loop bodies take one or the other.
struct Whole {
  template <class T>
  HWY_INLINE Vec Load(const T* p, T /*rest*/ = T()) const {
    return HWY_NAMESPACE::Load(p);
  }
  template <class T>
  HWY_INLINE void Store(Vec v, T* p) const {
    HWY_NAMESPACE::Store(v, p);
  }
  template <class T>
  HWY_INLINE void StoreRounded(Vec v, T* p) const {
    HWY_NAMESPACE::StoreRounded(v, p);
  }
};
struct Part {
  int64_t n;
  template <class T>
  HWY_INLINE Vec Load(const T* p, T rest = T()) const {
    HWY_ALIGN T copy[HWY_MAX_BYTES / sizeof(float)];
    for (T& element : copy) element = rest;
    std::memcpy(copy, p, static_cast<size_t>(n) * sizeof(T));
    return HWY_NAMESPACE::Load(copy);
  }
  template <class T>
  HWY_INLINE void Store(Vec v, T* p) const {
    HWY_ALIGN T copy[HWY_MAX_BYTES / sizeof(float)];
    HWY_NAMESPACE::Store(v, copy);
    std::memcpy(p, copy, static_cast<size_t>(n) * sizeof(T));
  }
  template <class T>
  HWY_INLINE void StoreRounded(Vec v, T* p) const {
    Store(v, p);
  }
};

// body(lanes, i) for i = 0, N, 2N, ... below n.
template <class Body>
HWY_INLINE void ForVectors(int64_t n, const Body& body) {
  const int64_t N = Lanes();
  int64_t i = 0;
  for (; i + N <= n; i += N) body(Whole(), i);
  if (HWY_UNLIKELY(i < n)) body(Part{n - i}, i);
}

template <class From, class To>
HWY_INLINE void ConvertRow(const From* from, int64_t n, To* to) {
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR { lanes.Store(lanes.Load(from + i), to + i); });
}

// The sum over the lanes of acc = term(lanes, i, acc) for i = 0, N, 2N, ..., in an order that
// depends on n only; four accumulators hide the latency of the additions.
template <class Term>
HWY_INLINE float SumVectors(int64_t n, const Term& term) {
  const int64_t N = Lanes();
  Vec a = Set(0), b = Set(0), c = Set(0), d = Set(0);
  int64_t i = 0;
  for (; i + 4 * N <= n; i += 4 * N) {
    a = term(Whole(), i, a);
    b = term(Whole(), i + N, b);
    c = term(Whole(), i + 2 * N, c);
    d = term(Whole(), i + 3 * N, d);
  }
  for (; i + N <= n; i += N) a = term(Whole(), i, a);
  if (HWY_UNLIKELY(i < n)) b = term(Part{n - i}, i, b);
  return hn::GetLane(hn::SumOfLanes(F32(), hn::Add(hn::Add(a, b), hn::Add(c, d))));
}

// e^x for x <= 0 (and a little above), within 1 ulp; 0 below the smallest normal, NaN for NaN.
// x = n ln 2 + r, |r| <= ln(2)/2, and a minimax polynomial for (e^r - 1 - r) / r^2.
HWY_INLINE Vec ExpNonPositive(Vec x) {
  const Vec magic = Set(0x1.8p23F);  // adding it leaves n, rounded, in the lowest bits
  const Vec shifted = hn::MulAdd(x, Set(1.44269504F), magic);
  const Vec n = hn::Sub(shifted, magic);
  Vec r = hn::NegMulAdd(n, Set(0.693145751953125F), x);  // the upper bits of ln 2: exact
  r = hn::NegMulAdd(n, Set(1.42860682e-6F), r);
  Vec p = hn::MulAdd(Set(0.00138145394F), r, Set(0.00836874545F));
  p = hn::MulAdd(p, r, Set(0.041668389F));
  p = hn::MulAdd(p, r, Set(0.166665211F));
  p = hn::MulAdd(p, r, Set(0.49999994F));
  p = hn::MulAdd(hn::Mul(r, r), p, r);
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(U32(), shifted));
  const Vec power = hn::BitCast(F32(), hn::Add(exponent, hn::Set(U32(), 127U << 23)));
  const Vec y = hn::MulAdd(p, power, power);
  return hn::IfThenZeroElse(hn::Lt(x, Set(-87.3F)), y);
}

struct Sigmoids {
  Vec at;        // sigmoid(x)
  Vec opposite;  // sigmoid(-x) = 1 - sigmoid(x), without the cancellation
};

// From e^-|x|, which cannot overflow, and one division.
HWY_INLINE Sigmoids SigmoidsOf(Vec x) {
  const Vec e = ExpNonPositive(hn::Neg(hn::Abs(x)));
  const Vec larger = hn::Div(Set(1), hn::Add(Set(1), e));
  const Vec smaller = hn::Mul(e, larger);
  const auto negative = hn::Lt(x, Set(0));
  return {hn::IfThenElse(negative, smaller, larger), hn::IfThenElse(negative, larger, smaller)};
}

}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
