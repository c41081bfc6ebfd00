#include "checkpoint/dequantise_iq.h"

#include <bit>
#include <cstring>

#include "checkpoint/iq_grids.h"
#include "core/float16.h"

namespace lorikeet {
namespace {

template <class T>
T Field(const uint8_t* p) {  // fields are unaligned
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
float HalfAt(const uint8_t* p) { return ToFloat(Field<float16>(p)); }

unsigned Nibble(const uint8_t* p, int i) { return (p[i / 2] >> (i % 2 * 4)) & 15U; }

constexpr float kLevels2[] = {0x08, 0x19, 0x2b, 0};
constexpr float kLevels3Xxs[] = {0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e};
constexpr float kLevels3S[] = {1, 3, 5, 7, 9, 11, 13, 15};

// The kCount weights of a row of a grid: scale times level, negative where `signs` has a bit.
template <int kCount>
void PutRow(unsigned row, const float* levels, float scale, unsigned signs, float* y) {
  constexpr int kBits = 16 / kCount;
  for (int i = 0; i < kCount; ++i) {
    const float value = scale * levels[(row >> (kBits * i)) & ((1U << kBits) - 1)];
    y[i] = ((signs >> i) & 1U) != 0 ? -value : value;
  }
}

// Signs of eight weights from seven bits: the number of negative ones is even.
unsigned EvenSigns(unsigned seven) {
  return seven | (static_cast<unsigned>(std::popcount(seven)) & 1U) << 7;
}

float Nl(unsigned index) {
  constexpr int8_t kValues[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};
  return kValues[index];
}

// The levels of IQ1: -1, 0 and 1, shifted by an eighth.
void PutTernary(unsigned row, float scale, float shift, float* y) {
  for (int i = 0; i < 8; ++i) {
    y[i] = scale * (static_cast<float>(static_cast<int>((row >> (2 * i)) & 3U) - 1) + shift);
  }
}

}  // namespace

// d, then 8 groups of 32 weights: 4 rows, and a word of 4 x 7 signs and a 4-bit scale.
void DequantiseIQ2_XXS(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  for (int group = 0; group < 8; ++group) {
    const uint8_t* rows = p + 2 + group * 8;
    const auto word = Field<uint32_t>(rows + 4);
    const float scale = d * (0.5F + static_cast<float>(word >> 28)) * 0.25F;
    for (int k = 0; k < 4; ++k) {
      PutRow<8>(kIq2XxsGrid[rows[k]], kLevels2, scale, EvenSigns((word >> (7 * k)) & 127U),
                y + group * 32 + k * 8);
    }
  }
}

// d, 32 words of a row (9 bits) and signs (7 bits), 16 scales of 4 bits.
void DequantiseIQ2_XS(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  for (int k = 0; k < 32; ++k) {
    const unsigned word = Field<uint16_t>(p + 2 + 2 * k);
    const float scale = d * (0.5F + static_cast<float>(Nibble(p + 66, k / 2))) * 0.25F;
    PutRow<8>(kIq2XsGrid[word & 511U], kLevels2, scale, EvenSigns(word >> 9), y + k * 8);
  }
}

// d, rows[32], signs[32], two more bits of every row in 8 bytes, 16 scales of 4 bits.
void DequantiseIQ2_S(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  const uint8_t *rows = p + 2, *signs = p + 34, *high = p + 66, *scales = p + 74;
  for (int k = 0; k < 32; ++k) {
    const unsigned row = rows[k] | ((high[k / 4] >> (k % 4 * 2)) & 3U) << 8;
    const float scale = d * (0.5F + static_cast<float>(Nibble(scales, k / 2))) * 0.25F;
    PutRow<8>(kIq2SGrid[row], kLevels2, scale, signs[k], y + k * 8);
  }
}

// d, rows[64] of 4 weights, 8 words of 4 x 7 signs and a 4-bit scale.
void DequantiseIQ3_XXS(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  for (int k = 0; k < 64; ++k) {
    const auto word = Field<uint32_t>(p + 66 + k / 8 * 4);
    const float scale = d * (0.5F + static_cast<float>(word >> 28)) * 0.5F;
    const unsigned signs = EvenSigns((word >> (k % 8 / 2 * 7)) & 127U) >> (k % 2 * 4);
    PutRow<4>(kIq3XxsGrid[p[2 + k]], kLevels3Xxs, scale, signs, y + k * 4);
  }
}

// d, rows[64] of 4 weights, a ninth bit of every row in 8 bytes, signs[32], 8 scales of 4 bits.
void DequantiseIQ3_S(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  const uint8_t *rows = p + 2, *high = p + 66, *signs = p + 74, *scales = p + 106;
  for (int k = 0; k < 64; ++k) {
    const unsigned row = rows[k] | ((high[k / 8] >> (k % 8)) & 1U) << 8;
    const float scale = d * static_cast<float>(1 + 2 * Nibble(scales, k / 8));
    PutRow<4>(kIq3SGrid[row], kLevels3S, scale, Nibble(signs, k), y + k * 4);
  }
}

// d, rows[32], 8 words: three more bits of 4 rows, a 3-bit scale, the sign of the shift.
void DequantiseIQ1_S(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  for (int k = 0; k < 32; ++k) {
    const unsigned word = Field<uint16_t>(p + 34 + k / 4 * 2);
    const float scale = d * static_cast<float>(2 * ((word >> 12) & 7U) + 1);
    const unsigned row = p[2 + k] | ((word >> (k % 4 * 3)) & 7U) << 8;
    PutTernary(kIq1SGrid[row], scale, (word & 0x8000U) != 0 ? -0.125F : 0.125F, y + k * 8);
  }
}

// rows[32], 32 nibbles of three more bits and the sign of the shift, 4 words with 4 scales of 3
// bits each; their upper nibbles are d.
void DequantiseIQ1_M(const uint8_t* p, float* y) {
  const uint8_t *high = p + 32, *words = p + 48;
  unsigned half = 0;
  for (int i = 0; i < 4; ++i) half |= (Field<uint16_t>(words + 2 * i) >> 12) << (4 * i);
  const auto bits = static_cast<uint16_t>(half);
  const float d = HalfAt(reinterpret_cast<const uint8_t*>(&bits));
  for (int k = 0; k < 32; ++k) {
    const unsigned word = Field<uint16_t>(words + k / 8 * 2), nibble = Nibble(high, k);
    const float scale = d * static_cast<float>(2 * ((word >> (k / 2 % 4 * 3)) & 7U) + 1);
    const unsigned row = p[k] | (nibble & 7U) << 8;
    PutTernary(kIq1SGrid[row], scale, (nibble & 8U) != 0 ? -0.125F : 0.125F, y + k * 8);
  }
}

// d, nibbles of weights i and i + 16.
void DequantiseIQ4_NL(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * Nl(p[2 + i] & 15U);
    y[i + 16] = d * Nl(p[2 + i] >> 4U);
  }
}

// d, 8 scales of 6 bits: two high bits in one word, low nibbles in 4 bytes; 8 groups as in IQ4_NL.
void DequantiseIQ4_XS(const uint8_t* p, float* y) {
  const float d = HalfAt(p);
  const unsigned high = Field<uint16_t>(p + 2);
  for (int group = 0; group < 8; ++group) {
    const unsigned six = Nibble(p + 4, group) | ((high >> (2 * group)) & 3U) << 4;
    const float scale = d * static_cast<float>(static_cast<int>(six) - 32);
    const uint8_t* q = p + 8 + group * 16;
    for (int i = 0; i < 16; ++i) {
      y[group * 32 + i] = scale * Nl(q[i] & 15U);
      y[group * 32 + i + 16] = scale * Nl(q[i] >> 4U);
    }
  }
}

// An exponent e, then 32 four-bit floats; the scale is 2^(e - 128), since the levels are doubled.
void DequantiseMXFP4(const uint8_t* p, float* y) {
  constexpr float kValues[] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const uint32_t e = p[0];
  const float d = std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * kValues[p[1 + i] & 15U];
    y[i + 16] = d * kValues[p[1 + i] >> 4U];
  }
}

namespace {
// Base-3 digit `digit` of a byte that holds five as a fraction, less 1.
float Trit(unsigned byte, int digit) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  const unsigned fraction = (byte * kPowers[digit]) & 255U;
  return static_cast<float>(static_cast<int>((fraction * 3) >> 8U) - 1);
}
}  // namespace

// Five digits in each of 32 and of 16 bytes, four in each of 4 bytes, d.
void DequantiseTQ1_0(const uint8_t* p, float* y) {
  const float d = HalfAt(p + 52);
  for (int k = 0; k < 160; ++k) y[k] = d * Trit(p[k % 32], k / 32);
  for (int k = 0; k < 80; ++k) y[160 + k] = d * Trit(p[32 + k % 16], k / 16);
  for (int k = 0; k < 16; ++k) y[240 + k] = d * Trit(p[48 + k % 4], k / 4);
}

// Two halves of 32 bytes, each with weights i, i + 32, i + 64 and i + 96; d.
void DequantiseTQ2_0(const uint8_t* p, float* y) {
  const float d = HalfAt(p + 64);
  for (int k = 0; k < 256; ++k) {
    const int q = (p[k / 128 * 32 + k % 32] >> (k / 32 % 4 * 2)) & 3;
    y[k] = d * static_cast<float>(q - 1);
  }
}

}  // namespace lorikeet
