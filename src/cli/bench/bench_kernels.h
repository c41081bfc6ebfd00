// `lorikeet bench kernels`: the kernels of a training step, one by one, against the matmul peak and
// the read bandwidth.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench/bench_report.h"
#include "core/json.h"
#include "plan/kernel_bench.h"

namespace lorikeet {

struct KernelBenchQuery {
  std::string model;  // name of the model, for the report
  ModelConfig config;
  TrainingShape shape;       // tokens_per_microbatch and sequence_length are set from the two below
  int64_t tokens = 2048;     // tokens per step, computed at once
  int64_t max_length = 512;  // tokens per sequence
  // Selected cases: one of these words is in the case's part, name or kernel.
  std::vector<std::string> only;
  int rounds = 5;
};

struct KernelBenchResult {
  struct Row {
    KernelCase kernel;
    Spread seconds;  // seconds per call
    RooflinePoint point;
  };
  KernelBenchQuery query;
  Spread peak_gflops, read_gbs;
  std::vector<Row> rows;

  // Seconds of all calls of a step, measured and at the ceilings; 0 unless every case was timed.
  double StepSeconds(Method method) const;
  double IdealStepSeconds(Method method) const;
};

// Throws Error(kInvalidArgument) if no case is selected.
KernelBenchResult BenchKernels(const KernelBenchQuery& asked);

std::string KernelBenchText(const KernelBenchResult& result);
OrderedJson KernelBenchJson(const KernelBenchResult& result);

}  // namespace lorikeet
