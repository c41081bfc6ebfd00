// The pieces amx_matmul.cc is made of: packing of operands into tiles, the tile product itself,
// and the way from f32 tiles to c. Included there only.
//
// A tile is 16 rows of 64 bytes. A tile product adds to a result tile (16 x 16 f32) the product of
// a row tile (16 rows, 32 k each, as they lie in memory) and a column tile (16 pairs of k, the pair
// of each of 16 columns side by side).
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#define LORIKEET_AMX \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace lorikeet {
namespace {

constexpr int64_t kTile = 16;           // rows of a tile, and columns of a result tile
constexpr int64_t kStep = 32;           // k of one tile product
constexpr int64_t kPanel = 2 * kTile;   // rows and columns of a block: 2 x 2 result tiles
constexpr int64_t kTileElements = 512;  // bf16 in a tile

using Bits = uint16_t;  // of a bf16

inline int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
// The low n bits, n clamped to [0, 32].
inline uint32_t LowBits(int64_t n) { return n >= 32 ? ~0U : n <= 0 ? 0U : (1U << n) - 1U; }

// Configures this thread's eight tiles as full ones, and gives them back: a thread that holds
// tiles pays for them at every context switch.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// rows x depth elements (at most 16 x 32) become a tile at `to`, padded with zeros.
LORIKEET_AMX inline void CopyTile(const Bits* from, int64_t stride, int64_t rows, int64_t depth,
                                  Bits* to, int64_t to_stride) {
  const __mmask32 mask = LowBits(depth);
  for (int64_t r = 0; r < kTile; ++r) {
    const __m512i row =
        r < rows ? _mm512_maskz_loadu_epi16(mask, from + r * stride) : _mm512_setzero_si512();
    _mm512_storeu_si512(to + r * to_stride, row);
  }
}

// `depth` rows of k, `width` columns each (at most 32 x 32), become the two column tiles at `to`.
LORIKEET_AMX inline void InterleaveTiles(const Bits* from, int64_t stride, int64_t depth,
                                         int64_t width, Bits* to) {
  const __mmask32 mask = LowBits(width);
  const __m512i even = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40,
                                        8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i odd = _mm512_add_epi16(even, _mm512_set1_epi16(16));
  for (int64_t pair = 0; pair < kTile; ++pair) {
    const Bits* rows = from + 2 * pair * stride;
    const __m512i first =
        _mm512_maskz_loadu_epi16(2 * pair < depth ? mask : 0, 2 * pair < depth ? rows : from);
    const bool has_second = 2 * pair + 1 < depth;
    const __m512i second =
        _mm512_maskz_loadu_epi16(has_second ? mask : 0, has_second ? rows + stride : from);
    _mm512_store_si512(to + pair * kStep, _mm512_permutex2var_epi16(first, even, second));
    _mm512_store_si512(to + kTileElements + pair * kStep,
                       _mm512_permutex2var_epi16(first, odd, second));
  }
}

// The 16 bytes at `from` of rows j, 4 + j, 8 + j and 12 + j, one in each lane. The lanes are filled
// by loads, which leaves the shuffle port to the transposition.
LORIKEET_AMX inline __m512i GatherLanes(const char* from, int64_t stride) {
  __m512i lanes = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  for (int lane = 1; lane < 4; ++lane) {
    const auto* row = reinterpret_cast<const __m128i*>(from + 4 * lane * stride);
    lanes = _mm512_mask_broadcast_i32x4(lanes, static_cast<__mmask16>(0xF << (4 * lane)),
                                        _mm_loadu_si128(row));
  }
  return lanes;
}

// Transposes 16 x 16 values of 32 bits; strides in bytes. `to` may not overlap `from`.
LORIKEET_AMX inline void Transpose(const void* from, int64_t stride, void* to, int64_t to_stride) {
  const char* in = static_cast<const char*>(from);
  char* out = static_cast<char*>(to);
  for (int64_t four = 0; four < 4; ++four, in += 16, out += 4 * to_stride) {
    const __m512i row0 = GatherLanes(in, stride), row1 = GatherLanes(in + stride, stride);
    const __m512i row2 = GatherLanes(in + 2 * stride, stride);
    const __m512i row3 = GatherLanes(in + 3 * stride, stride);
    const __m512i low01 = _mm512_unpacklo_epi32(row0, row1);
    const __m512i low23 = _mm512_unpacklo_epi32(row2, row3);
    const __m512i high01 = _mm512_unpackhi_epi32(row0, row1);
    const __m512i high23 = _mm512_unpackhi_epi32(row2, row3);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi64(low01, low23));
    _mm512_storeu_si512(out + to_stride, _mm512_unpackhi_epi64(low01, low23));
    _mm512_storeu_si512(out + 2 * to_stride, _mm512_unpacklo_epi64(high01, high23));
    _mm512_storeu_si512(out + 3 * to_stride, _mm512_unpackhi_epi64(high01, high23));
  }
}

// Where a block of up to 32 x 32 sums waits: in c, or in scratch. Stride in floats.
struct Sums {
  float* data = nullptr;
  int64_t stride = 0;
};

// Row tiles: 16 or 32 rows of 32 k per step. Stride in elements.
struct RowTiles {
  const Bits* data;
  int64_t stride;
};

// Lines to fetch while a block is computed: rows [begin, end) of the row tiles needed next.
struct Prefetch {
  const Bits* data = nullptr;
  int64_t begin = 0, end = 0;
};

// The compilers do not know that tile loads read memory.
inline void MemoryBarrier() { asm volatile("" ::: "memory"); }

// to = from + rows . columns over `steps` steps, for kRows x kColumns result tiles; from is zero if
// it has no data. Column tiles lie in pairs, one pair a step.
template <int kRows, int kColumns>
LORIKEET_AMX inline void MultiplyTiles(const RowTiles& rows, const Bits* columns, int64_t steps,
                                       const Sums& from, const Sums& to, const Prefetch& prefetch) {
  MemoryBarrier();
  if (from.data == nullptr) {
    _tile_zero(0);
    if (kColumns > 1) _tile_zero(1);
    if (kRows > 1) _tile_zero(2);
    if (kRows > 1 && kColumns > 1) _tile_zero(3);
  } else {
    float* lower = from.data + kTile * from.stride;
    const int64_t stride = from.stride * 4;
    _tile_loadd(0, from.data, stride);
    if (kColumns > 1) _tile_loadd(1, from.data + kTile, stride);
    if (kRows > 1) _tile_loadd(2, lower, stride);
    if (kRows > 1 && kColumns > 1) _tile_loadd(3, lower + kTile, stride);
  }
  const Bits* upper = rows.data;
  const Bits* lower = rows.data + kTile * rows.stride;
  const int64_t row_bytes = rows.stride * 2;
  for (int64_t step = 0; step < steps; ++step) {
    _tile_loadd(6, columns, 64);
    _tile_loadd(4, upper, row_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if (kColumns > 1) {
      _tile_loadd(7, columns + kTileElements, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (kRows > 1) {
      _tile_loadd(5, lower, row_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if (kColumns > 1) _tile_dpbf16ps(3, 5, 7);
    }
    for (int64_t r = prefetch.begin; r < prefetch.end; ++r) {
      _mm_prefetch(reinterpret_cast<const char*>(prefetch.data + r * rows.stride + step * kStep),
                   _MM_HINT_T1);
    }
    columns += 2 * kTileElements;
    upper += kStep;
    lower += kStep;
  }
  float* below = to.data + kTile * to.stride;
  const int64_t stride = to.stride * 4;
  _tile_stored(0, to.data, stride);
  if (kColumns > 1) _tile_stored(1, to.data + kTile, stride);
  if (kRows > 1) _tile_stored(2, below, stride);
  if (kRows > 1 && kColumns > 1) _tile_stored(3, below + kTile, stride);
  MemoryBarrier();
}

// MultiplyTiles for a block of `height` x `width` sums, each at most 32.
LORIKEET_AMX inline void MultiplyBlock(int64_t height, int64_t width, const RowTiles& rows,
                                       const Bits* columns, int64_t steps, const Sums& from,
                                       const Sums& to, const Prefetch& prefetch) {
  if (height > kTile) {
    if (width > kTile) {
      MultiplyTiles<2, 2>(rows, columns, steps, from, to, prefetch);
    } else {
      MultiplyTiles<2, 1>(rows, columns, steps, from, to, prefetch);
    }
  } else if (width > kTile) {
    MultiplyTiles<1, 2>(rows, columns, steps, from, to, prefetch);
  } else {
    MultiplyTiles<1, 1>(rows, columns, steps, from, to, prefetch);
  }
}

// height x width values (at most 32 x 32, f32) of c into scratch or from it.
LORIKEET_AMX inline void ReadBlock(const float* c, int64_t stride, int64_t height, int64_t width,
                                   const Sums& to) {
  for (int64_t r = 0; r < height; ++r) {
    for (int64_t x = 0; x < width; x += kTile) {
      _mm512_storeu_ps(
          to.data + r * to.stride + x,
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(LowBits(width - x)), c + r * stride + x));
    }
  }
}

LORIKEET_AMX inline void WriteBlock(const Sums& from, int64_t height, int64_t width, float* c,
                                    int64_t stride) {
  for (int64_t r = 0; r < height; ++r) {
    for (int64_t x = 0; x < width; x += kTile) {
      _mm512_mask_storeu_ps(c + r * stride + x, static_cast<__mmask16>(LowBits(width - x)),
                            _mm512_loadu_ps(from.data + r * from.stride + x));
    }
  }
}

// The same, rounded to bf16.
LORIKEET_AMX inline void WriteBlock(const Sums& from, int64_t height, int64_t width, Bits* c,
                                    int64_t stride) {
  for (int64_t r = 0; r < height; ++r) {
    const float* row = from.data + r * from.stride;
    const __m512bh rounded =
        _mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + kTile), _mm512_loadu_ps(row));
    __m512i bits;
    static_assert(sizeof(bits) == sizeof(rounded));
    __builtin_memcpy(&bits, &rounded, sizeof(bits));
    _mm512_mask_storeu_epi16(c + r * stride, LowBits(width), bits);
  }
}

// A 32 x 32 block, transposed.
LORIKEET_AMX inline void TransposeBlock(const Sums& from, const Sums& to) {
  for (int64_t r = 0; r < kPanel; r += kTile) {
    for (int64_t x = 0; x < kPanel; x += kTile) {
      Transpose(from.data + r * from.stride + x, from.stride * 4, to.data + x * to.stride + r,
                to.stride * 4);
    }
  }
}

}  // namespace
}  // namespace lorikeet
