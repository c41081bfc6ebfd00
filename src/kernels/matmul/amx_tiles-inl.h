// The parts of amx_matmul-inl.h: loading operands into tiles, the tile product, and storing f32
// tiles to c. Included there only.
//
// A tile is 16 rows of 64 bytes. A tile product adds to a result tile (16 x 16 f32) the product of
// a row tile (16 rows, 32 k each, as they lie in memory) and a column tile (16 pairs of k, the pair
// of each of 16 columns side by side).
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "kernels/matmul/avx512_words-inl.h"
#include "kernels/matmul/operand.h"

#define LORIKEET_AMX \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace lorikeet {
namespace {

constexpr int64_t kTile = 16;           // rows of a tile, and columns of a result tile
constexpr int64_t kStep = 32;           // k of one tile product
constexpr int64_t kPanel = 2 * kTile;   // rows and columns of a block: 2 x 2 result tiles
constexpr int64_t kTileElements = 512;  // bf16 in a tile

// Eight full tiles, in the layout the CPU loads.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// `depth` rows of k, `width` columns each (at most 32 x 16), become a column tile.
LORIKEET_AMX inline void InterleaveTile(const Bits* from, int64_t stride, int64_t depth,
                                        int64_t width, Bits* to) {
  if (depth >= kStep && width >= kTile) {
    for (int64_t k = 0; k < kStep; k += 2, from += 2 * stride, to += kStep) {
      const auto* first = reinterpret_cast<const __m256i*>(from);
      const auto* second = reinterpret_cast<const __m256i*>(from + stride);
      _mm512_store_si512(to,
                         InterleaveWords(_mm256_loadu_si256(first), _mm256_loadu_si256(second)));
    }
    return;
  }
  const __mmask16 mask = LowMask(width);
  for (int64_t k = 0; k < kStep; k += 2, to += kStep) {
    __m256i first = _mm256_setzero_si256(), second = first;
    if (k < depth) first = _mm256_maskz_loadu_epi16(mask, from + k * stride);
    if (k + 1 < depth) second = _mm256_maskz_loadu_epi16(mask, from + (k + 1) * stride);
    _mm512_store_si512(to, InterleaveWords(first, second));
  }
}

// Where a block of up to 32 x 32 sums waits: in c, or in scratch. Stride in floats.
struct Sums {
  float* data = nullptr;
  int64_t stride = 0;
  float* At(int64_t row, int64_t column) const { return data + row * stride + column; }
};

// Row tiles: 16 or 32 rows of 32 k per step. Stride in elements.
struct RowTiles {
  const Bits* data;
  int64_t stride;
};

// What to fetch into L2 while a block is computed: at every step, pieces [begin, end) of the 32
// pieces of 64 bytes that the next stripe's tiles come from. Distances in elements.
struct Prefetch {
  const Bits* data = nullptr;
  int64_t piece = 0, step = 0;
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
    const int64_t stride = from.stride * 4;
    _tile_loadd(0, from.data, stride);
    if (kColumns > 1) _tile_loadd(1, from.At(0, kTile), stride);
    if (kRows > 1) _tile_loadd(2, from.At(kTile, 0), stride);
    if (kRows > 1 && kColumns > 1) _tile_loadd(3, from.At(kTile, kTile), stride);
  }
  const Bits* upper = rows.data;
  const Bits* lower = rows.data + kTile * rows.stride;
  const int64_t row_bytes = rows.stride * 2;
  for (int64_t step = 0; step < steps; ++step) {
    // Column tiles stream by from L2; the hint keeps the row tiles in L1.
    _tile_stream_loadd(6, columns, 64);
    _tile_loadd(4, upper, row_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if (kColumns > 1) {
      _tile_stream_loadd(7, columns + kTileElements, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (kRows > 1) {
      _tile_loadd(5, lower, row_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if (kColumns > 1) _tile_dpbf16ps(3, 5, 7);
    }
    for (int64_t i = prefetch.begin; i < prefetch.end; ++i) {
      _mm_prefetch(
          reinterpret_cast<const char*>(prefetch.data + step * prefetch.step + i * prefetch.piece),
          _MM_HINT_T1);
    }
    columns += 2 * kTileElements;
    upper += kStep;
    lower += kStep;
  }
  const int64_t stride = to.stride * 4;
  _tile_stored(0, to.data, stride);
  if (kColumns > 1) _tile_stored(1, to.At(0, kTile), stride);
  if (kRows > 1) _tile_stored(2, to.At(kTile, 0), stride);
  if (kRows > 1 && kColumns > 1) _tile_stored(3, to.At(kTile, kTile), stride);
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

// height x width sums (at most 32 x 32), from c or to it.
LORIKEET_AMX inline void CopyBlock(const Sums& from, int64_t height, int64_t width,
                                   const Sums& to) {
  for (int64_t r = 0; r < height; ++r) {
    for (int64_t x = 0; x < width; x += kTile) {
      const __mmask16 mask = LowMask(width - x);
      _mm512_mask_storeu_ps(to.At(r, x), mask, _mm512_maskz_loadu_ps(mask, from.At(r, x)));
    }
  }
}

// The same, rounded to bf16.
LORIKEET_AMX inline void RoundBlock(const Sums& from, int64_t height, int64_t width, Bits* to,
                                    int64_t stride) {
  for (int64_t r = 0; r < height; ++r) {
    const float* row = from.At(r, 0);
    const __m512bh rounded =
        _mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + kTile), _mm512_loadu_ps(row));
    __m512i bits;
    static_assert(sizeof(bits) == sizeof(rounded));
    __builtin_memcpy(&bits, &rounded, sizeof(bits));
    _mm512_mask_storeu_epi16(to + r * stride, LowMask32(width), bits);
  }
}

// A 32 x 32 block, transposed.
LORIKEET_AMX inline void TransposeBlock(const Sums& from, const Sums& to) {
  for (int64_t r = 0; r < kPanel; r += kTile) {
    for (int64_t x = 0; x < kPanel; x += kTile) {
      TransposeWords(from.At(r, x), from.stride * 4, to.At(x, r), to.stride * 4);
    }
  }
}

}  // namespace
}  // namespace lorikeet
