// The kernels of a training step, timed one by one at the step's own shapes: `lorikeet bench
// kernels`, and the cases of bench/kernels_bench.cc.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plan/step_cost.h"

namespace lorikeet {

// A call, and its number per step of LoRA and of full fine-tuning; one of them may be 0.
struct KernelCase {
  StepCall step;
  double lora_calls = 0, full_calls = 0;
};

// The calls of a LoRA step and of a full step over `tokens` tokens, without duplicates, by part.
// shape.method is ignored. Throws Error for a target that matches nothing.
std::vector<KernelCase> KernelCases(const ModelConfig& config, const TrainingShape& shape,
                                    int64_t tokens);

// The shapes of SmolLM2-135M (HuggingFaceTB/SmolLM2-135M, config.json), the default model.
ModelConfig SmolLm2Shapes();

struct KernelTimes {
  std::vector<std::vector<double>> seconds;   // seconds per call: by case, by round
  std::vector<double> peak_gflops, read_gbs;  // by round
};

// Every round measures the ceilings and then each case, so that all of them see the same state of
// the machine. A case gets fresh operands and is called until 5 ms have passed, after a call that
// is not counted: operands that fit into the caches are there. compute: the dtype of the peak.
KernelTimes TimeKernels(const std::vector<KernelCase>& cases, DType compute, int rounds);

}  // namespace lorikeet
