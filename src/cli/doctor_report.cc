#include "cli/doctor_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/version.h"
#include "core/format.h"

namespace lorikeet {
namespace {

constexpr int64_t kLittleMemory = int64_t{2} << 30;

std::string TableRow(const std::string& name, const std::string& value) {
  return fmt::format("{:<12} {}\n", name, value);
}

std::string FeatureText(const CpuFeatures& cpu) {
  std::vector<std::string> present, absent;
  for (const auto& [name, is_present] : cpu.List()) (is_present ? present : absent).push_back(name);
  std::string text =
      present.empty() ? "none of those looked for" : fmt::format("{}", fmt::join(present, " "));
  if (!absent.empty()) text += fmt::format("  (not: {})", fmt::join(absent, " "));
  return text;
}

std::string CountText(const CpuCounts& counts) {
  std::string text = fmt::format("{} logical", counts.logical);
  if (counts.physical_cores > 0) text += fmt::format(", {} physical cores", counts.physical_cores);
  text += fmt::format(", {} allowed to this process", counts.allowed);
  if (counts.quota) text += fmt::format(", container quota {:.2f}", *counts.quota);
  return text;
}

std::string MemoryText(const MemoryFacts& memory) {
  std::string text = fmt::format("{} in all, {} available", HumanBytes(memory.total),
                                 HumanBytes(memory.available));
  if (memory.cgroup_limit)
    text += fmt::format(" (container limit {})", HumanBytes(*memory.cgroup_limit));
  return text;
}

std::string SwapText(const MemoryFacts& memory) {
  if (memory.swap_total == 0) return "none";
  return fmt::format("{} in all, {} free", HumanBytes(memory.swap_total),
                     HumanBytes(memory.swap_free));
}

std::string PeakText(const EngineProbe& probe) {
  std::string text = fmt::format("f32 {:.0f} GFLOP/s", probe.peak_gflops_f32);
  if (probe.peak_gflops_bf16 > 0) {
    text += fmt::format(", bf16 {:.0f} GFLOP/s ({:.1f}x)", probe.peak_gflops_bf16,
                        probe.peak_gflops_bf16 / std::max(probe.peak_gflops_f32, 1e-9));
  }
  return text;
}

std::string Advice(const DoctorFacts& facts) {
  std::string advice;
  if (!facts.cpu.NativeBf16()) {
    advice +=
        "note: this CPU has no native bf16 products; training computes in f32, at about half the "
        "speed of one "
        "that has\n";
  }
  if (facts.threads > facts.counts.allowed) {
    advice += fmt::format("note: {} threads share {} CPUs; --threads {} is likely faster\n",
                          facts.threads, facts.counts.allowed, facts.counts.allowed);
  }
  if (facts.memory.available < kLittleMemory) {
    advice += "note: little memory is available; lorikeet estimate tells what a run needs\n";
  }
  return advice;
}

std::string ChecksText(const EngineProbe& probe) {
  std::string text =
      "Bit checks: what exact resuming and the agreement of sampling with training rest on\n";
  for (const EngineProbe::Check& check : probe.bit_checks) {
    text += fmt::format("  {:<5} {}{}{}\n", check.ok ? "ok" : "FAIL", check.name,
                        check.detail.empty() ? "" : ": ", check.detail);
  }
  return text;
}

}  // namespace

bool Healthy(const DoctorFacts& facts) {
  const auto& checks = facts.probe.bit_checks;
  return std::all_of(checks.begin(), checks.end(),
                     [](const EngineProbe::Check& check) { return check.ok; });
}

std::string DoctorText(const DoctorFacts& facts) {
  std::string text =
      TableRow("lorikeet", kVersion) + TableRow("Libraries", facts.probe.library_versions);
  text += TableRow("CPU", facts.cpu_model) + TableRow("Features", FeatureText(facts.cpu));
  text += TableRow("bf16", facts.cpu.NativeBf16() ? "native" : "not native");
  text += TableRow("CPUs", CountText(facts.counts)) +
          TableRow("Threads", fmt::format("{}", facts.threads));
  text += TableRow("Memory", MemoryText(facts.memory)) + TableRow("Swap", SwapText(facts.memory));
  if (facts.disk_free_bytes >= 0)
    text += TableRow("Disk", HumanBytes(facts.disk_free_bytes) + " free in this folder");
  text += TableRow("Matmul peak", PeakText(facts.probe));
  text += TableRow("Bandwidth",
                   fmt::format("{:.1f} GB/s reading memory", facts.probe.read_bandwidth_gbs));
  text += "\n" + ChecksText(facts.probe);
  const std::string advice = Advice(facts);
  if (!advice.empty()) text += "\n" + advice;
  text += Healthy(facts) ? "\nAll checks passed.\n"
                         : "\nA check failed: training works, but equal bits are not promised on "
                           "this machine. Please "
                           "report this output.\n";
  return text;
}

OrderedJson DoctorJson(const DoctorFacts& facts) {
  OrderedJson features = OrderedJson::object(), checks = OrderedJson::array();
  for (const auto& [name, present] : facts.cpu.List()) features[name] = present;
  for (const EngineProbe::Check& check : facts.probe.bit_checks) {
    checks.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
  }
  const CpuCounts& counts = facts.counts;
  const MemoryFacts& memory = facts.memory;
  return {{"version", kVersion},
          {"library_versions", facts.probe.library_versions},
          {"cpu_model", facts.cpu_model},
          {"cpu_features", features},
          {"native_bf16", facts.cpu.NativeBf16()},
          {"logical_cpus", counts.logical},
          {"physical_cores", counts.physical_cores},
          {"allowed_cpus", counts.allowed},
          {"cpu_quota", counts.quota ? OrderedJson(*counts.quota) : OrderedJson(nullptr)},
          {"threads", facts.threads},
          {"memory_total_bytes", memory.total},
          {"memory_available_bytes", memory.available},
          {"memory_limit_bytes",
           memory.cgroup_limit ? OrderedJson(*memory.cgroup_limit) : OrderedJson(nullptr)},
          {"swap_total_bytes", memory.swap_total},
          {"swap_free_bytes", memory.swap_free},
          {"disk_free_bytes", facts.disk_free_bytes},
          {"matmul_peak_gflops_f32", facts.probe.peak_gflops_f32},
          {"matmul_peak_gflops_bf16", facts.probe.peak_gflops_bf16},
          {"read_bandwidth_gbs", facts.probe.read_bandwidth_gbs},
          {"bit_checks", checks},
          {"healthy", Healthy(facts)}};
}

}  // namespace lorikeet
