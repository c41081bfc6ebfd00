// Facts about the machine, as far as this process may use it: the limits of its container count,
// not the host's resources.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lorikeet {

// Features that the CPU executes and whose registers the operating system saves.
struct CpuFeatures {
  bool avx2 = false, fma = false;
  bool avx512f = false, avx512_bf16 = false, avx512_vnni = false;
  bool amx_tile = false, amx_bf16 = false;
  bool neon = false, sve = false, arm_bf16 = false;
  // bf16 products at a higher rate than f32 ones.
  bool NativeBf16() const { return avx512_bf16 || amx_bf16 || arm_bf16; }
  std::vector<std::pair<std::string, bool>> List() const;  // features of this architecture, by name
};
const CpuFeatures& Cpu();
std::string CpuModel();  // "AMD EPYC 9B14", or the architecture if the system does not say

struct CpuCounts {
  int logical = 0;                   // logical CPUs online in the machine
  int physical_cores = 0;            // logical CPUs without SMT siblings; 0 if unknown
  int allowed = 0;                   // logical CPUs allowed by affinity (taskset, cpusets)
  std::optional<double> quota = {};  // CPU time that cgroups grant, in CPUs
};
// `root` is a prefix of /proc and /sys: tests give a fake tree.
CpuCounts CountCpus(const std::string& root = "");
// OMP_NUM_THREADS if it is set, else min(allowed, quota rounded up). At least 1.
int DefaultThreads(const CpuCounts& counts);

struct MemoryFacts {  // bytes
  int64_t total = 0;
  // Available without swapping: the minimum over the system and every cgroup above this process.
  int64_t available = 0;
  int64_t swap_total = 0, swap_free = 0;
  std::optional<int64_t> cgroup_limit = {};
};
MemoryFacts ReadMemory(const std::string& root = "");

int64_t PeakResidentBytes();  // peak resident memory of this process (VmHWM)
int64_t ResidentBytes();      // resident memory of this process
// Free bytes for an unprivileged user on the file system of `path` or of its nearest existing
// parent; -1 if unknown.
int64_t DiskFreeBytes(const std::string& path);

}  // namespace lorikeet
