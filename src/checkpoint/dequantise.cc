#include "checkpoint/dequantise.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/dequantise_iq.h"
#include "core/check.h"
#include "core/float16.h"

namespace lorikeet {
namespace {

// Blocks are unaligned in a file, so every multi-byte field is copied.
template <class T>
T Load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
float LoadHalf(const uint8_t* p) { return ToFloat(Load<float16>(p)); }

template <class T>
void Widen(const uint8_t* src, int64_t count, float* dst) {
  for (int64_t i = 0; i < count; ++i) dst[i] = ToFloat(Load<T>(src + i * sizeof(T)));
}

// The simple formats: 32 weights d q + m. A nibble byte holds weights i and i + 16.
constexpr int kBlock = 32;

void Q4_0(const uint8_t* p, float* y) {
  const float d = LoadHalf(p);
  const uint8_t* q = p + 2;
  for (int i = 0; i < kBlock / 2; ++i) {
    y[i] = d * static_cast<float>((q[i] & 15) - 8);
    y[i + 16] = d * static_cast<float>((q[i] >> 4) - 8);
  }
}

void Q4_1(const uint8_t* p, float* y) {
  const float d = LoadHalf(p), m = LoadHalf(p + 2);
  const uint8_t* q = p + 4;
  for (int i = 0; i < kBlock / 2; ++i) {
    y[i] = d * static_cast<float>(q[i] & 15) + m;
    y[i + 16] = d * static_cast<float>(q[i] >> 4) + m;
  }
}

// The fifth bits of all 32 weights are one word.
int FifthBit(uint32_t high, int i) { return static_cast<int>((high >> i) & 1U) << 4; }

void Q5_0(const uint8_t* p, float* y) {
  const float d = LoadHalf(p);
  const auto high = Load<uint32_t>(p + 2);
  const uint8_t* q = p + 6;
  for (int i = 0; i < kBlock / 2; ++i) {
    y[i] = d * static_cast<float>(((q[i] & 15) | FifthBit(high, i)) - 16);
    y[i + 16] = d * static_cast<float>(((q[i] >> 4) | FifthBit(high, i + 16)) - 16);
  }
}

void Q5_1(const uint8_t* p, float* y) {
  const float d = LoadHalf(p), m = LoadHalf(p + 2);
  const auto high = Load<uint32_t>(p + 4);
  const uint8_t* q = p + 8;
  for (int i = 0; i < kBlock / 2; ++i) {
    y[i] = d * static_cast<float>((q[i] & 15) | FifthBit(high, i)) + m;
    y[i + 16] = d * static_cast<float>((q[i] >> 4) | FifthBit(high, i + 16)) + m;
  }
}

void Q8_0(const uint8_t* p, float* y) {
  const float d = LoadHalf(p);
  for (int i = 0; i < kBlock; ++i) y[i] = d * static_cast<float>(static_cast<int8_t>(p[2 + i]));
}

// The K formats: 256 weights in 8 or 16 groups, whose scales are themselves quantised.

// scales[16] (4-bit scale, 4-bit minimum), quants[64] (2 bits), d, dmin.
void Q2_K(const uint8_t* p, float* y) {
  const uint8_t *scales = p, *quants = p + 16;
  const float d = LoadHalf(p + 80), dmin = LoadHalf(p + 82);
  for (int i = 0; i < 256; ++i) {
    const int q = (quants[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2)) & 3;
    const uint8_t scale = scales[i / 16];
    y[i] = d * static_cast<float>(scale & 15) * static_cast<float>(q) -
           dmin * static_cast<float>(scale >> 4);
  }
}

// The 16 six-bit scales of Q3_K: low nibbles in 8 bytes, high pairs of bits in 4 more.
int ScaleQ3(const uint8_t* scales, int group) {
  const int low = (scales[group % 8] >> (group / 8 * 4)) & 15;
  const int high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
  return (low | high << 4) - 32;
}

// high_bits[32], quants[64] (2 bits), scales[12], d. A high bit that is clear subtracts 4.
void Q3_K(const uint8_t* p, float* y) {
  const uint8_t *high_bits = p, *quants = p + 32, *scales = p + 96;
  const float d = LoadHalf(p + 108);
  for (int i = 0; i < 256; ++i) {
    const int low = (quants[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2)) & 3;
    const int high = (high_bits[i % 32] >> (i / 32)) & 1;
    y[i] = d * static_cast<float>(ScaleQ3(scales, i / 16)) * static_cast<float>(low - 4 + 4 * high);
  }
}

// Group scales and minimums of Q4_K and Q5_K: 8 pairs of 6 bits in 12 bytes. The first four are
// contiguous; the upper two bits of the others are in the spare bits of the first.
struct ScaleAndMin {
  int scale, min;
};
ScaleAndMin ScaleQ4(const uint8_t* s, int group) {
  if (group < 4) return {s[group] & 63, s[group + 4] & 63};
  return {(s[group + 4] & 15) | (s[group - 4] >> 6) << 4, (s[group + 4] >> 4) | (s[group] >> 6)
                                                                                    << 4};
}

// d, dmin, scales[12], quants[128]: 32 bytes hold groups 2k (low nibbles) and 2k + 1 (high).
void Q4_K(const uint8_t* p, float* y) {
  const float d = LoadHalf(p), dmin = LoadHalf(p + 2);
  const uint8_t *scales = p + 4, *quants = p + 16;
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMin s = ScaleQ4(scales, group);
    const float scale = d * static_cast<float>(s.scale), min = dmin * static_cast<float>(s.min);
    for (int i = 0; i < 32; ++i) {
      const int q = (quants[group / 2 * 32 + i] >> (group % 2 * 4)) & 15;
      y[group * 32 + i] = scale * static_cast<float>(q) - min;
    }
  }
}

// As Q4_K with the fifth bits, high_bits[32], before the quants: bit `group` of byte i.
void Q5_K(const uint8_t* p, float* y) {
  const float d = LoadHalf(p), dmin = LoadHalf(p + 2);
  const uint8_t *scales = p + 4, *high_bits = p + 16, *quants = p + 48;
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMin s = ScaleQ4(scales, group);
    const float scale = d * static_cast<float>(s.scale), min = dmin * static_cast<float>(s.min);
    for (int i = 0; i < 32; ++i) {
      const int low = (quants[group / 2 * 32 + i] >> (group % 2 * 4)) & 15;
      const int q = low | ((high_bits[i] >> group) & 1) << 4;
      y[group * 32 + i] = scale * static_cast<float>(q) - min;
    }
  }
}

// low[128] (4 bits), high[64] (2 bits), scales[16] (8 bits, signed), d.
void Q6_K(const uint8_t* p, float* y) {
  const uint8_t *low = p, *high = p + 128, *scales = p + 192;
  const float d = LoadHalf(p + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, r = i % 128;
    const int l = (low[half * 64 + r % 64] >> (r / 64 * 4)) & 15;
    const int h = (high[half * 32 + r % 32] >> (r / 32 * 2)) & 3;
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    y[i] = scale * static_cast<float>((l | h << 4) - 32);
  }
}

struct BlockFormat {
  DType dtype;
  void (*block)(const uint8_t* p, float* y);
};
constexpr BlockFormat kFormats[] = {
    {DType::kQ4_0, Q4_0},
    {DType::kQ4_1, Q4_1},
    {DType::kQ5_0, Q5_0},
    {DType::kQ5_1, Q5_1},
    {DType::kQ8_0, Q8_0},
    {DType::kQ2_K, Q2_K},
    {DType::kQ3_K, Q3_K},
    {DType::kQ4_K, Q4_K},
    {DType::kQ5_K, Q5_K},
    {DType::kQ6_K, Q6_K},
    {DType::kIQ2_XXS, DequantiseIQ2_XXS},
    {DType::kIQ2_XS, DequantiseIQ2_XS},
    {DType::kIQ2_S, DequantiseIQ2_S},
    {DType::kIQ3_XXS, DequantiseIQ3_XXS},
    {DType::kIQ3_S, DequantiseIQ3_S},
    {DType::kIQ1_S, DequantiseIQ1_S},
    {DType::kIQ1_M, DequantiseIQ1_M},
    {DType::kIQ4_NL, DequantiseIQ4_NL},
    {DType::kIQ4_XS, DequantiseIQ4_XS},
    {DType::kMXFP4, DequantiseMXFP4},
    {DType::kTQ1_0, DequantiseTQ1_0},
    {DType::kTQ2_0, DequantiseTQ2_0},
};

}  // namespace

void DequantiseRow(DType dtype, const std::byte* src, int64_t count, float* dst) {
  const auto* p = reinterpret_cast<const uint8_t*>(src);
  if (dtype == DType::kF32) return Widen<float>(p, count, dst);
  if (dtype == DType::kBF16) return Widen<bfloat16>(p, count, dst);
  if (dtype == DType::kF16) return Widen<float16>(p, count, dst);
  const auto* const format =
      std::ranges::find(kFormats, dtype, [](const BlockFormat& f) { return f.dtype; });
  CHECK(format != std::end(kFormats));  // integers are not weights
  const int64_t elements = DTypeBlock(dtype), bytes = DTypeBytes(dtype, elements);
  CHECK(count % elements == 0);
  for (int64_t i = 0; i < count / elements; ++i) format->block(p + i * bytes, dst + i * elements);
}

}  // namespace lorikeet
