#include "core/machine.h"

#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// Files of /proc and /sys have no size, so they are read as streams. "" if the file does not exist.
std::string ReadPseudoFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && stop != text.data()) return value;
  return std::nullopt;
}

// The number after `key` and blanks or a colon, in a text of such lines.
std::optional<int64_t> NumberOf(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t begin = line.find_first_not_of(": \t", key.size());
    if (begin == key.size() || begin == std::string::npos) continue;  // a longer key
    return ParseInteger(std::string_view(line).substr(begin));
  }
  return std::nullopt;
}

int64_t KibibytesOf(const std::string& text, const std::string& key) {
  return NumberOf(text, key).value_or(0) * 1024;
}

// The folders of this process's cgroup and its parents that hold `controller`'s files (version 2:
// controller ""). Inside a container the path of /proc/self/cgroup may be the host's: then only the
// mount's root is there.
std::vector<std::string> CgroupFolders(const std::string& root, const std::string& controller) {
  std::istringstream lines(ReadPseudoFile(root + "/proc/self/cgroup"));
  std::vector<std::string> folders;
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controller.empty() ? names != ",,"
                           : names.find("," + controller + ",") == std::string::npos)
      continue;
    const std::string mount =
        root + "/sys/fs/cgroup" + (controller.empty() ? "" : "/" + controller);
    for (fs::path path = line.substr(second + 1); path.has_relative_path();
         path = path.parent_path()) {
      folders.push_back(mount + path.string());
    }
    folders.push_back(mount);
  }
  return folders;
}

// Page cache counts as usage but is given back on demand.
int64_t ReclaimableBytes(const std::string& folder) {
  const std::string stat = ReadPseudoFile(folder + "/memory.stat");
  return NumberOf(stat, "inactive_file").value_or(0) + NumberOf(stat, "active_file").value_or(0);
}

struct Limit {
  int64_t limit, available;
};

// Memory limit of one cgroup folder, if it sets one. "max" (version 2) and a huge number (version
// 1) mean no limit.
std::optional<Limit> MemoryLimit(const std::string& folder, const char* limit_file,
                                 const char* usage_file) {
  constexpr int64_t kNoLimit = int64_t{1} << 60;
  const auto limit = ParseInteger(ReadPseudoFile(folder + "/" + limit_file));
  const auto usage = ParseInteger(ReadPseudoFile(folder + "/" + usage_file));
  if (!limit || !usage || *limit < 0 || *limit >= kNoLimit) return std::nullopt;
  const int64_t held = std::max<int64_t>(*usage - ReclaimableBytes(folder), 0);
  return Limit{*limit, std::max<int64_t>(*limit - held, 0)};
}

std::optional<double> QuotaOf(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return static_cast<double>(quota) / static_cast<double>(period);
}

std::optional<double> CpuQuota(const std::string& root) {
  std::vector<std::optional<double>> quotas;
  for (const std::string& folder : CgroupFolders(root, "")) {
    // "200000 100000" or "max 100000"
    const std::string text = ReadPseudoFile(folder + "/cpu.max");
    const size_t space = std::min(text.find(' '), text.size());
    const auto quota = ParseInteger(text);
    const auto period =
        ParseInteger(std::string_view(text).substr(std::min(space + 1, text.size())));
    if (quota && period) quotas.push_back(QuotaOf(*quota, *period));
  }
  for (const std::string& folder : CgroupFolders(root, "cpu")) {
    const auto quota = ParseInteger(ReadPseudoFile(folder + "/cpu.cfs_quota_us"));
    const auto period = ParseInteger(ReadPseudoFile(folder + "/cpu.cfs_period_us"));
    if (quota && period) quotas.push_back(QuotaOf(*quota, *period));
  }
  std::optional<double> tightest;
  for (const auto& quota : quotas) {
    if (quota && (!tightest || *quota < *tightest)) tightest = quota;
  }
  return tightest;
}

int AllowedCpus() {
  // cpu_set_t ends at 1024 CPUs; ask with growing sets until the kernel's mask fits.
  for (int cpus = CPU_SETSIZE; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(cpus));
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(cpus));
    const int result = sched_getaffinity(0, bytes, set);
    const int count = result == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

int PhysicalCores(const std::string& root) {
  std::set<std::string> cores;  // each core once, by the list of its siblings
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root + "/sys/devices/system/cpu", error)) {
    const std::string siblings =
        ReadPseudoFile(entry.path().string() + "/topology/thread_siblings_list");
    if (!siblings.empty())
      cores.insert(ReadPseudoFile(entry.path().string() + "/topology/physical_package_id") +
                   siblings);
  }
  return static_cast<int>(cores.size());
}

}  // namespace

CpuCounts CountCpus(const std::string& root) {
  CpuCounts counts;
  counts.logical = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  counts.physical_cores = PhysicalCores(root);
  counts.allowed = AllowedCpus();
  counts.quota = CpuQuota(root);
  return counts;
}

int DefaultThreads(const CpuCounts& counts) {
  // May be a list, one per nesting level.
  if (const char* wanted = std::getenv("OMP_NUM_THREADS")) {
    const auto threads = ParseInteger(wanted);
    if (threads && *threads > 0 && *threads <= 4096) return static_cast<int>(*threads);
  }
  int threads = counts.allowed;
  if (counts.quota)
    threads = std::min(threads, static_cast<int>(std::ceil(std::min(*counts.quota, 1e6))));
  return std::max(threads, 1);
}

MemoryFacts ReadMemory(const std::string& root) {
  const std::string meminfo = ReadPseudoFile(root + "/proc/meminfo");
  MemoryFacts memory;
  memory.total = KibibytesOf(meminfo, "MemTotal");
  memory.available = KibibytesOf(meminfo, "MemAvailable");
  memory.swap_total = KibibytesOf(meminfo, "SwapTotal");
  memory.swap_free = KibibytesOf(meminfo, "SwapFree");
  const auto tighten = [&](const std::optional<Limit>& limit) {
    if (!limit) return;
    memory.available = std::min(memory.available, limit->available);
    memory.cgroup_limit =
        std::min(memory.cgroup_limit.value_or(std::numeric_limits<int64_t>::max()), limit->limit);
  };
  for (const std::string& folder : CgroupFolders(root, "")) {
    tighten(MemoryLimit(folder, "memory.max", "memory.current"));
  }
  for (const std::string& folder : CgroupFolders(root, "memory")) {
    tighten(MemoryLimit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes"));
  }
  if (memory.cgroup_limit) memory.total = std::min(memory.total, *memory.cgroup_limit);
  return memory;
}

int64_t PeakResidentBytes() { return KibibytesOf(ReadPseudoFile("/proc/self/status"), "VmHWM"); }

int64_t ResidentBytes() { return KibibytesOf(ReadPseudoFile("/proc/self/status"), "VmRSS"); }

int64_t DiskFreeBytes(const std::string& path) {
  std::error_code error;
  fs::path at = fs::absolute(path, error);
  while (!fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  struct statvfs info {};
  if (statvfs(at.c_str(), &info) != 0) return -1;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

}  // namespace lorikeet
