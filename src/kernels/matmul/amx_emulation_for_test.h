// An emulation of the AMX tile instructions, for tests on machines without them. Files included
// after it use it in the place of the intrinsics.
//
// Tiles have 16 rows of 64 bytes, the only configuration that is accepted. Sums are rounded as the
// instruction set's documentation says, so a product whose k is cut elsewhere than at multiples of
// 32 has other bits. Denormals, which the CPU counts as zero, are not treated.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "core/check.h"

namespace lorikeet::amx_emulation {

struct alignas(64) Tile {
  uint32_t words[16][16];  // pairs of bf16, or the bits of f32 sums
};

inline thread_local Tile tiles[8];
inline thread_local bool configured = false;

inline void Configure(const void* config) {
  const auto* bytes = static_cast<const uint8_t*>(config);
  CHECK(bytes[0] == 1 && bytes[1] == 0);  // palette, first row
  for (int t = 0; t < 8; ++t) {
    CHECK(bytes[16 + 2 * t] == 64 && bytes[17 + 2 * t] == 0 && bytes[48 + t] == 16);
  }
  configured = true;
}

inline Tile& At(int tile) {
  CHECK(configured);
  return tiles[tile];
}

inline void Load(int tile, const void* from, int64_t stride) {
  for (int64_t r = 0; r < 16; ++r) {
    std::memcpy(At(tile).words[r], static_cast<const char*>(from) + r * stride, 64);
  }
}

inline void Store(int tile, void* to, int64_t stride) {
  for (int64_t r = 0; r < 16; ++r) {
    std::memcpy(static_cast<char*>(to) + r * stride, At(tile).words[r], 64);
  }
}

// to += rows . columns: a sum over even k and one over odd k, which are then added to `to`.
__attribute__((target("avx512f"))) inline void Multiply(int to, int rows, int columns) {
  const __m512i odd_half = _mm512_set1_epi32(static_cast<int>(0xFFFF0000U));
  for (int m = 0; m < 16; ++m) {
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int k = 0; k < 16; ++k) {
      const __m512i row = _mm512_set1_epi32(static_cast<int>(At(rows).words[m][k]));
      const __m512i column = _mm512_load_si512(At(columns).words[k]);
      // With a mask of all lanes: g++ 12 warns of its own header's plain form when sanitizers are
      // on.
      even =
          _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, row, 16)),
                          _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, column, 16)), even);
      odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(row, odd_half)),
                            _mm512_castsi512_ps(_mm512_and_si512(column, odd_half)), odd);
    }
    float* sums = reinterpret_cast<float*>(At(to).words[m]);
    _mm512_store_ps(sums, _mm512_add_ps(_mm512_load_ps(sums), _mm512_add_ps(even, odd)));
  }
}

}  // namespace lorikeet::amx_emulation

#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
// NOLINTBEGIN(bugprone-reserved-identifier)
#define _tile_loadconfig(config) lorikeet::amx_emulation::Configure(config)
#define _tile_release() (lorikeet::amx_emulation::configured = false)
#define _tile_loadd(tile, from, stride) lorikeet::amx_emulation::Load(tile, from, stride)
#define _tile_stream_loadd(tile, from, stride) lorikeet::amx_emulation::Load(tile, from, stride)
#define _tile_stored(tile, to, stride) lorikeet::amx_emulation::Store(tile, to, stride)
#define _tile_zero(tile) (lorikeet::amx_emulation::At(tile) = {})
#define _tile_dpbf16ps(to, rows, columns) lorikeet::amx_emulation::Multiply(to, rows, columns)
// NOLINTEND(bugprone-reserved-identifier)
