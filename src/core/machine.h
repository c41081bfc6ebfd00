// Facts about the machine, as this process may use it: a container's limits count, not what the
// host has.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lorikeet {

// What both the CPU can execute and the operating system lets it keep across a switch.
struct CpuFeatures {
  bool avx2 = false, fma = false;
  bool avx512f = false, avx512_bf16 = false, avx512_vnni = false;
  bool amx_tile = false, amx_bf16 = false;
  bool neon = false, sve = false, arm_bf16 = false;
  // bf16 products at a higher rate than f32 ones.
  bool NativeBf16() const { return avx512_bf16 || amx_bf16 || arm_bf16; }
  std::vector<std::pair<std::string, bool>> List() const;  // those of this architecture, by name
};
const CpuFeatures& Cpu();
std::string CpuModel();  // "AMD EPYC 9B14", or the architecture if the system does not say

struct CpuCounts {
  int logical = 0;                   // online in the machine
  int physical_cores = 0;            // logical ones without SMT siblings; 0 if unknown
  int allowed = 0;                   // by affinity (taskset, cpusets)
  std::optional<double> quota = {};  // CPUs' worth of time that cgroups grant
};
// `root` is put before /proc and /sys: tests give a made-up tree.
CpuCounts CountCpus(const std::string& root = "");
// OMP_NUM_THREADS if it is set, else min(allowed, quota rounded up). At least 1.
int DefaultThreads(const CpuCounts& counts);

struct MemoryFacts {  // bytes
  int64_t total = 0;
  int64_t available =
      0;  // without swapping: the tightest of the system and every cgroup above this process
  int64_t swap_total = 0, swap_free = 0;
  std::optional<int64_t> cgroup_limit = {};
};
MemoryFacts ReadMemory(const std::string& root = "");

int64_t PeakResidentBytes();  // of this process (VmHWM)
int64_t ResidentBytes();
// For an unprivileged user, on the file system that holds `path` or its nearest existing parent; -1
// if unknown.
int64_t DiskFreeBytes(const std::string& path);

}  // namespace lorikeet
