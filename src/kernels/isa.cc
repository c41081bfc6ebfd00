#include "kernels/isa.h"

#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <dnnl.hpp>
#include <string_view>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lorikeet {
namespace {

#if defined(__x86_64__) && defined(__linux__)
// Leaf 7's words for AMX-BF16 and AMX-TILE; __builtin_cpu_supports of older compilers lacks them.
bool CpuHasAmx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAmx = 1U << 22 | 1U << 24;
  if ((d & kAmx) != kAmx) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileStates = 3U << 17;
  return (low & kTileStates) == kTileStates;
}

// Linux hands out the 8 KiB of tile state on request, for all threads of the process.
bool KernelGrantsTiles() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

Isa CpuIsa() {
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!avx512) return Isa::kPortable;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::kAvx512;
  return CpuHasAmx() ? Isa::kAmx : Isa::kAvx512Bf16;
}
#else
bool KernelGrantsTiles() { return false; }
Isa CpuIsa() { return Isa::kPortable; }
#endif

struct Level {
  std::string_view name;
  Isa isa;
  dnnl::cpu_isa dnnl;
};
constexpr std::array<Level, 4> kLevels = {
    {{"avx2", Isa::kPortable, dnnl::cpu_isa::avx2},
     {"avx512", Isa::kAvx512, dnnl::cpu_isa::avx512_core_vnni},
     {"avx512_bf16", Isa::kAvx512Bf16, dnnl::cpu_isa::avx512_core_bf16},
     {"amx", Isa::kAmx, dnnl::cpu_isa::avx512_core_amx}}};

// Before any question to Highway or oneDNN, whose answers to it stay: hence from a constructor.
Isa Limit() {
  const char* wanted = std::getenv("LORIKEET_MAX_ISA");
  if (wanted == nullptr || *wanted == '\0') return Isa::kAmx;
  const auto* level = std::find_if(kLevels.begin(), kLevels.end(),
                                   [&](const Level& each) { return each.name == wanted; });
  if (level == kLevels.end()) {
    std::fprintf(stderr,
                 "lorikeet: LORIKEET_MAX_ISA=%s is unknown and ignored; it takes avx2, avx512, "
                 "avx512_bf16 or amx\n",
                 wanted);
    return Isa::kAmx;
  }
  dnnl::set_max_cpu_isa(level->dnnl);
#if HWY_ARCH_X86
  if (level->isa == Isa::kPortable) hwy::DisableTargets(HWY_AVX2 - 1);  // better ones: lower bits
#endif
  return level->isa;
}
const Isa kLimit = Limit();

}  // namespace

Isa AvailableIsa() {
  static const Isa isa = [] {
    const Isa most = std::min(CpuIsa(), kLimit);
    return most == Isa::kAmx && !KernelGrantsTiles() ? Isa::kAvx512Bf16 : most;
  }();
  return isa;
}

}  // namespace lorikeet
