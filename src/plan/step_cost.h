// What a training step must compute and move, part by part, and how near a measured time comes to
// what the machine allows: the roofline of S. Williams, A. Waterman and D. Patterson, 2009.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/trace.h"
#include "plan/memory_plan.h"

namespace lorikeet {

// A kernel at one shape.
struct SizedKernel {
  std::string kernel;  // "MatMul NT", "RmsNormForward"
  std::string shape;   // "2048 x 576"
  double flops = 0, bytes = 0;
  Replay replay;  // runs it; may be empty
};

// One kernel call of a step and how often the step makes it.
struct StepCall {
  std::string part;                  // of the profile (core/profile.h): "base products", "norms"
  std::string what;                  // of a product: "y", "dx", "x A^T", ...
  std::vector<std::string> modules;  // of a product: {"gate_proj", "up_proj"}
  SizedKernel call;
  double count = 0;

  std::string Name() const;  // "gate_proj, up_proj y", "RmsNormForward"
};
// Alike but for modules and count.
bool SameCall(const StepCall& a, const StepCall& b);

// The calls of forward, backward and AdamW over `tokens` tokens in sequences of
// shape.sequence_length, the last one shorter, every token trained, in micro-batches of at most
// shape.tokens_per_microbatch, as a dry run makes them in the order of their first. Equal calls
// stand together. Nothing is recomputed, and experts have equally many rows. What no part of the
// profile times (biases, tables of rope, zeroing) is left out. Throws Error for a target that
// matches nothing.
std::vector<StepCall> StepCalls(const ModelConfig& config, const TrainingShape& shape,
                                int64_t tokens);

struct PartCost {
  std::string part;
  double calls = 0, flops = 0, bytes = 0;  // of a step
};
// The sums of StepCalls, in the order of a step.
std::vector<PartCost> StepCost(const ModelConfig& config, const TrainingShape& shape,
                               int64_t tokens);

struct Ceilings {
  double matmul_gflops = 0;  // MeasureMatMulPeak
  double read_gbs = 0;       // MeasureReadBandwidth

  double Ridge() const { return matmul_gflops / read_gbs; }  // FLOPs per byte
};

// A measured time under its roof.
struct RooflinePoint {
  double gflops = 0, gbs = 0;   // reached
  bool compute_bound = false;   // intensity above the ridge: the matmul peak binds, else memory
  double ideal_seconds = 0;     // at the ceiling that binds
  double share_of_ceiling = 0;  // ideal / measured
};
RooflinePoint UnderRoofline(double flops, double bytes, double seconds, const Ceilings& ceilings);

}  // namespace lorikeet
