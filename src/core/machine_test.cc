#include "core/machine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// A fake /proc and /sys.
class FakeRoot {
 public:
  explicit FakeRoot(const std::string& name)
      : root_(::testing::TempDir() + "/machine_test_" + name) {
    fs::remove_all(root_);
    Write("/proc/meminfo",
          "MemTotal:       16000000 kB\nMemFree:         1000 kB\nMemAvailable:    8000000 "
          "kB\nSwapTotal:  2000 kB\n"
          "SwapFree:  1000 kB\n");
  }
  ~FakeRoot() { fs::remove_all(root_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;
  void Write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  const std::string& path() const { return root_; }

 private:
  std::string root_;
};

TEST(Machine, MemoryWithoutLimits) {
  const FakeRoot root("plain");
  const MemoryFacts memory = ReadMemory(root.path());
  EXPECT_EQ(memory.total, 16000000LL * 1024);
  EXPECT_EQ(memory.available, 8000000LL * 1024);
  EXPECT_EQ(memory.swap_total, 2000 * 1024);
  EXPECT_EQ(memory.swap_free, 1000 * 1024);
  EXPECT_FALSE(memory.cgroup_limit.has_value());
}

TEST(Machine, TheTightestCgroupOfVersionTwoCounts) {
  const FakeRoot root("v2");
  root.Write("/proc/self/cgroup", "0::/user/job\n");
  root.Write("/sys/fs/cgroup/user/job/memory.max", "max\n");
  root.Write("/sys/fs/cgroup/user/job/memory.current", "5\n");
  root.Write("/sys/fs/cgroup/user/memory.max", "1000000000\n");
  root.Write("/sys/fs/cgroup/user/memory.current", "700000000\n");
  root.Write("/sys/fs/cgroup/user/memory.stat",
             "anon 1\ninactive_file 200000000\nactive_file 100000000\nfile 9\n");
  root.Write("/sys/fs/cgroup/user/job/cpu.max", "150000 100000\n");
  root.Write("/sys/fs/cgroup/user/cpu.max", "max 100000\n");
  const MemoryFacts memory = ReadMemory(root.path());
  EXPECT_EQ(memory.cgroup_limit, 1000000000);
  EXPECT_EQ(memory.total, 1000000000);
  EXPECT_EQ(memory.available, 600000000);
  EXPECT_EQ(CountCpus(root.path()).quota, 1.5);
}

TEST(Machine, VersionOneAndAPathThatOnlyTheHostHas) {
  const FakeRoot root("v1");
  root.Write("/proc/self/cgroup",
             "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n");
  root.Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000000\n");
  root.Write("/sys/fs/cgroup/memory/memory.usage_in_bytes",
             "3000000000\n");  // over the limit: nothing left
  root.Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  root.Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const MemoryFacts memory = ReadMemory(root.path());
  EXPECT_EQ(memory.cgroup_limit, 2000000000);
  EXPECT_EQ(memory.available, 0);
  EXPECT_EQ(CountCpus(root.path()).quota, 3.0);
  root.Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_FALSE(ReadMemory(root.path()).cgroup_limit.has_value());
  EXPECT_FALSE(CountCpus(root.path()).quota.has_value());
}

TEST(Machine, DamagedFilesAreLikeAbsentOnes) {
  const FakeRoot root("damaged");
  root.Write("/proc/meminfo", "MemTotal: lots\nMemAvail");
  root.Write("/proc/self/cgroup", "0:\n::::\nx\n0::/../..\n");
  root.Write("/sys/fs/cgroup/cpu.max", "150000");
  EXPECT_EQ(ReadMemory(root.path()).total, 0);
  EXPECT_FALSE(CountCpus(root.path()).quota.has_value());
}

TEST(Machine, ThreadsFollowTheVariableThenTheQuota) {
  const char* set = std::getenv("OMP_NUM_THREADS");
  const std::string before = set == nullptr ? "" : set;
  unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(DefaultThreads({.logical = 64, .physical_cores = 32, .allowed = 8}), 8);
  EXPECT_EQ(DefaultThreads({.logical = 64, .physical_cores = 32, .allowed = 8, .quota = 2.5}), 3);
  EXPECT_EQ(DefaultThreads({.logical = 64, .physical_cores = 32, .allowed = 8, .quota = 0.1}), 1);
  setenv("OMP_NUM_THREADS", "5,2", 1);
  EXPECT_EQ(DefaultThreads({.logical = 64, .physical_cores = 32, .allowed = 8}), 5);
  setenv("OMP_NUM_THREADS", "many", 1);
  EXPECT_EQ(DefaultThreads({.logical = 64, .physical_cores = 32, .allowed = 8}), 8);
  set == nullptr ? unsetenv("OMP_NUM_THREADS") : setenv("OMP_NUM_THREADS", before.c_str(), 1);
}

TEST(Machine, ThisMachineMakesSense) {
  const CpuCounts counts = CountCpus();
  EXPECT_GE(counts.allowed, 1);
  EXPECT_GE(counts.logical, counts.allowed);
  const MemoryFacts memory = ReadMemory();
  EXPECT_GT(memory.available, 0);
  EXPECT_GE(memory.total, memory.available);
  EXPECT_FALSE(CpuModel().empty());
  EXPECT_GT(DiskFreeBytes("/tmp/not/yet/there"), 0);
}

// The kernel lists a feature only if it also saves its registers.
TEST(Machine, FeaturesAgreeWithTheKernel) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string flags;
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("flags", 0) == 0 || line.rfind("Features", 0) == 0) flags = line + " ";
  }
  if (flags.empty())
    GTEST_SKIP() << "/proc/cpuinfo has no flags; any Linux machine with x86-64 or AArch64 does";
  for (const auto& [name, present] : Cpu().List()) {
    const std::string kernel_name = name == "neon" ? "asimd" : name;
    EXPECT_EQ(flags.find(" " + kernel_name + " ") != std::string::npos, present) << name;
  }
}

TEST(Machine, ResidentMemoryGrowsWithUseAndThePeakIsAboveIt) {
  const int64_t before = ResidentBytes();
  constexpr size_t kBytes = 64 << 20;
  void* block = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBytes);
  EXPECT_GE(PeakResidentBytes(), ResidentBytes());
  EXPECT_GT(ResidentBytes(), before + (32 << 20));
  munmap(block, kBytes);
}

}  // namespace
}  // namespace lorikeet
