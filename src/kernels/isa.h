// The instruction sets that the kernels may use: those of the CPU, limited by LORIKEET_MAX_ISA
// (avx2, avx512, avx512_bf16 or amx), to test or time a smaller machine on a larger one. The limit
// applies to our products, Highway's kernels and oneDNN alike.
#pragma once
#include <cstdint>

namespace lorikeet {

enum class Isa : uint8_t {
  kPortable,    // whatever Highway finds: AVX2, NEON, ...
  kAvx512,      // F, BW, DQ, VL
  kAvx512Bf16,  // and products of bf16 pairs
  kAmx,         // and bf16 tiles, granted by the operating system
};

// Determined once, by the first call.
Isa AvailableIsa();
inline bool IsaHas(Isa needed) { return AvailableIsa() >= needed; }

}  // namespace lorikeet
