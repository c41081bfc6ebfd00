// The kernels of a training step, one by one, against the matmul peak and the read bandwidth:
// `lorikeet bench kernels`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench/bench_report.h"
#include "core/json.h"
#include "plan/kernel_bench.h"

namespace lorikeet {

struct KernelBenchQuery {
  std::string model;  // whose shapes they are, for the report
  ModelConfig config;
  TrainingShape shape;       // tokens_per_microbatch and sequence_length are set from the two below
  int64_t tokens = 2048;     // of a step, computed at once
  int64_t max_length = 512;  // of the sequences that they are cut into
  std::vector<std::string> only;  // words of which a case must have one in its part, name or kernel
  int rounds = 5;
};

struct KernelBenchResult {
  struct Row {
    KernelCase kernel;
    Spread seconds;  // of one call
    RooflinePoint point;
  };
  KernelBenchQuery query;
  Spread peak_gflops, read_gbs;
  std::vector<Row> rows;

  // What all calls of a step take, and would take at the ceilings; 0 unless every case was timed.
  double StepSeconds(Method method) const;
  double IdealStepSeconds(Method method) const;
};

// Throws Error(kInvalidArgument) when no case is left.
KernelBenchResult BenchKernels(const KernelBenchQuery& asked);

std::string KernelBenchText(const KernelBenchResult& result);
OrderedJson KernelBenchJson(const KernelBenchResult& result);

}  // namespace lorikeet
