// The part of core/machine.h that depends on the processor's architecture.
#include <sys/utsname.h>

#include <fstream>

#include "core/machine.h"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace lorikeet {
namespace {

#if defined(__x86_64__)
struct CpuidLeaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  CpuidLeaf(unsigned leaf, unsigned subleaf) {
    __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx);
  }
};
bool Bit(uint64_t word, int bit) { return (word >> bit & 1) != 0; }

// XCR0: which registers the operating system saves. Without that an instruction traps or loses its
// state.
uint64_t SavedState() {
  if (!Bit(CpuidLeaf(1, 0).ecx, 27)) return 0;  // OSXSAVE
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Bits: Intel's Software Developer's Manual, volume 2A, CPUID.
CpuFeatures Detect() {
  const uint64_t saved = SavedState();
  const CpuidLeaf leaf1(1, 0), leaf7(7, 0), leaf7_1(7, 1);
  const bool ymm = Bit(saved, 1) && Bit(saved, 2);
  const bool zmm = ymm && Bit(saved, 5) && Bit(saved, 6) && Bit(saved, 7);
  const bool tiles = Bit(saved, 17) && Bit(saved, 18);
  CpuFeatures cpu;
  cpu.avx2 = ymm && Bit(leaf7.ebx, 5);
  cpu.fma = ymm && Bit(leaf1.ecx, 12);
  cpu.avx512f = zmm && Bit(leaf7.ebx, 16);
  cpu.avx512_vnni = cpu.avx512f && Bit(leaf7.ecx, 11);
  cpu.avx512_bf16 = cpu.avx512f && Bit(leaf7_1.eax, 5);
  cpu.amx_tile = tiles && Bit(leaf7.edx, 24);
  cpu.amx_bf16 = cpu.amx_tile && Bit(leaf7.edx, 22);
  return cpu;
}
#elif defined(__aarch64__)
CpuFeatures Detect() {
  constexpr unsigned long kSve = 1UL << 22, kAsimd = 1UL << 1, kBf16 = 1UL << 14;  // <asm/hwcap.h>
  const unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
  CpuFeatures cpu;
  cpu.neon = (hwcap & kAsimd) != 0;
  cpu.sve = (hwcap & kSve) != 0;
  cpu.arm_bf16 = (hwcap2 & kBf16) != 0;
  return cpu;
}
#else
CpuFeatures Detect() { return {}; }
#endif

}  // namespace

std::vector<std::pair<std::string, bool>> CpuFeatures::List() const {
#if defined(__aarch64__)
  return {{"neon", neon}, {"sve", sve}, {"bf16", arm_bf16}};
#else
  return {{"avx2", avx2},
          {"fma", fma},
          {"avx512f", avx512f},
          {"avx512_vnni", avx512_vnni},
          {"avx512_bf16", avx512_bf16},
          {"amx_tile", amx_tile},
          {"amx_bf16", amx_bf16}};
#endif
}

const CpuFeatures& Cpu() {
  static const CpuFeatures features = Detect();
  return features;
}

std::string CpuModel() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos)
      return line.substr(colon + 2);
  }
  utsname name{};
  return uname(&name) == 0 ? name.machine : "unknown";
}

}  // namespace lorikeet
