// The report of `lorikeet doctor`, as a table and as JSON.
#pragma once
#include <string>

#include "cli/facts.h"
#include "core/machine.h"
#include "plan/machine_probe.h"

namespace lorikeet {

struct DoctorFacts {
  std::string cpu_model;
  CpuFeatures cpu;
  CpuCounts counts;
  int threads = 0;
  MemoryFacts memory;
  int64_t disk_free_bytes = 0;
  EngineProbe probe;
};

bool Healthy(const DoctorFacts& facts);  // true if every bit check passed
Facts DoctorReport(const DoctorFacts& facts);

}  // namespace lorikeet
