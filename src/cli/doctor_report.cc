#include "cli/doctor_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/version.h"
#include "core/format.h"
#include "data/arrow_rows.h"

namespace lorikeet {
namespace {

constexpr int64_t kLittleMemory = int64_t{2} << 30;

std::string FeatureText(const CpuFeatures& cpu) {
  std::vector<std::string> present, absent;
  for (const auto& [name, is_present] : cpu.List()) (is_present ? present : absent).push_back(name);
  std::string text =
      present.empty() ? "none of those looked for" : fmt::format("{}", fmt::join(present, " "));
  if (!absent.empty()) text += fmt::format("  (not: {})", fmt::join(absent, " "));
  return text;
}

OrderedJson FeaturesJson(const CpuFeatures& cpu) {
  OrderedJson features = OrderedJson::object();
  for (const auto& [name, present] : cpu.List()) features[name] = present;
  return features;
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

void ReportChecks(const EngineProbe& probe, Facts& v) {
  OrderedJson list = OrderedJson::array();
  v.text +=
      "\nBit checks: what exact resuming and the agreement of sampling with training rest on\n";
  for (const EngineProbe::Check& check : probe.bit_checks) {
    list.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
    v.text += fmt::format("  {:<5} {}{}{}\n", check.ok ? "ok" : "FAIL", check.name,
                          check.detail.empty() ? "" : ": ", check.detail);
  }
  v("bit_checks", list);
}

}  // namespace

bool Healthy(const DoctorFacts& facts) {
  const auto& checks = facts.probe.bit_checks;
  return std::all_of(checks.begin(), checks.end(),
                     [](const EngineProbe::Check& check) { return check.ok; });
}

Facts DoctorReport(const DoctorFacts& facts) {
  const EngineProbe& probe = facts.probe;
  const bool native_bf16 = facts.cpu.NativeBf16();
  Facts v;
  v("version", kVersion, "lorikeet");
  v("library_versions", probe.library_versions, "Libraries");
  const std::string arrow = ArrowVersion();
  v("arrow", arrow, "Parquet",
    arrow == "none" ? "needs a build with Arrow (docs/building.md)" : arrow);
  v("cpu_model", facts.cpu_model, "CPU");
  v("cpu_features", FeaturesJson(facts.cpu), "Features", FeatureText(facts.cpu));
  v("native_bf16", native_bf16, "bf16", native_bf16 ? "native" : "not native");
  v.Row("CPUs", CountText(facts.counts));
  v("logical_cpus", facts.counts.logical);
  v("physical_cores", facts.counts.physical_cores);
  v("allowed_cpus", facts.counts.allowed);
  v("cpu_quota", facts.counts.quota);
  v("threads", facts.threads, "Threads");
  v.Row("Memory", MemoryText(facts.memory));
  v("memory_total_bytes", facts.memory.total);
  v("memory_available_bytes", facts.memory.available);
  v("memory_limit_bytes", facts.memory.cgroup_limit);
  v.Row("Swap", SwapText(facts.memory));
  v("swap_total_bytes", facts.memory.swap_total);
  v("swap_free_bytes", facts.memory.swap_free);
  v("disk_free_bytes", facts.disk_free_bytes);
  if (facts.disk_free_bytes >= 0)
    v.Row("Disk", HumanBytes(facts.disk_free_bytes) + " free in this folder");
  v.Row("Matmul peak", PeakText(probe));
  v("matmul_peak_gflops_f32", probe.peak_gflops_f32);
  v("matmul_peak_gflops_bf16", probe.peak_gflops_bf16);
  v("read_bandwidth_gbs", probe.read_bandwidth_gbs, "Bandwidth",
    fmt::format("{:.1f} GB/s reading memory", probe.read_bandwidth_gbs));
  ReportChecks(probe, v);
  v("healthy", Healthy(facts));
  const std::string advice = Advice(facts);
  if (!advice.empty()) v.text += "\n" + advice;
  v.text += Healthy(facts) ? "\nAll checks passed.\n"
                           : "\nA check failed: training works, but equal bits are not promised on "
                             "this machine. Please "
                             "report this output.\n";
  return v;
}

}  // namespace lorikeet
