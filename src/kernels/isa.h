// Which instruction sets the kernels may use: what the CPU offers, or less if LORIKEET_MAX_ISA says
// so (avx2, avx512, avx512_bf16 or amx), to test or time a smaller machine on a larger one. The
// limit holds for our products, Highway's kernels and oneDNN alike.
#pragma once
#include <cstdint>

namespace lorikeet {

enum class Isa : uint8_t {
  kPortable,    // whatever Highway finds: AVX2, NEON, ...
  kAvx512,      // F, BW, DQ, VL
  kAvx512Bf16,  // and products of bf16 pairs
  kAmx,         // and bf16 tiles, granted by the operating system
};

// Asked once; the answer stays.
Isa AvailableIsa();
inline bool IsaHas(Isa needed) { return AvailableIsa() >= needed; }

}  // namespace lorikeet
