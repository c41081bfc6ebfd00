// bfloat16 and IEEE half as storage types: conversions only, round to nearest even.
#pragma once
#include <bit>
#include <cstdint>

namespace lorikeet {

struct bfloat16 {
  uint16_t bits = 0;
};
struct float16 {
  uint16_t bits = 0;
};

inline float ToFloat(float x) { return x; }
inline float ToFloat(bfloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
inline bfloat16 ToBfloat16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffU) > 0x7f800000U) {  // NaN: stays NaN for any payload
    return {static_cast<uint16_t>((bits >> 16) | 0x40U)};
  }
  return {static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}
float ToFloat(float16 x);
float16 ToFloat16(float x);

template <class T>
T FromFloat(float x);
template <>
inline float FromFloat<float>(float x) {
  return x;
}
template <>
inline bfloat16 FromFloat<bfloat16>(float x) {
  return ToBfloat16(x);
}
template <>
inline float16 FromFloat<float16>(float x) {
  return ToFloat16(x);
}

}  // namespace lorikeet
