// lorikeet doctor: features and measured speed of this machine, and checks of the bit rules on it.
#include <cstdio>

#include "cli/commands.h"
#include "cli/doctor_report.h"
#include "core/parallel.h"
#include "options/args.h"
#include "recipes/common_options.h"

namespace lorikeet {
namespace {

struct DoctorOptions {
  bool json;
  bool quick;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(json, "json", false, "Print one JSON object instead of a table.", {.group = "Doctor"});
    v(quick, "quick", false, "Measure for about a second in all; the peaks are then less exact.");
    common.ForEach(v);
  }
};

DoctorFacts CollectFacts(bool quick) {
  return {.cpu_model = CpuModel(),
          .cpu = Cpu(),
          .counts = CountCpus(),
          .threads = NumThreads(),
          .memory = ReadMemory(),
          .disk_free_bytes = DiskFreeBytes("."),
          .probe = ProbeEngine(quick)};
}

}  // namespace

int RunDoctor(int argc, char** argv) {
  DoctorOptions options;
  const CommandHelp help = {
      .name = "doctor",
      .summary =
          "Prints what this machine offers (CPU features, threads, memory as limits leave it), "
          "measures the "
          "matmul peak and the memory bandwidth that progress lines and estimates refer to, and "
          "checks on the "
          "spot that products have the same bits whatever the number of rows and threads.",
      .epilog =
          "Exit status 1 if a bit check fails.\n"
          "Examples:\n"
          "  lorikeet doctor\n"
          "  lorikeet doctor --threads 4 --json > machine.json\n"};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const DoctorFacts facts = CollectFacts(options.quick);
  const Facts report = DoctorReport(facts);
  std::fputs((options.json ? report.json.dump(2) + "\n" : report.text).c_str(), stdout);
  return Healthy(facts) ? 0 : 1;
}

}  // namespace lorikeet
