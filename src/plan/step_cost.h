// The cost of a training step by part, in FLOPs and bytes, and the comparison of measured times
// with the roofline of the machine (S. Williams, A. Waterman and D. Patterson, 2009).
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

// One kernel call of a step, and its number per step.
struct StepCall {
  std::string part;  // part of the profile (core/profile.h): "base products", "norms"
  std::string what;  // result of a product: "y", "dx", "x A^T", ...
  std::vector<std::string> modules;  // modules of a product: {"gate_proj", "up_proj"}
  SizedKernel call;
  double count = 0;

  std::string Name() const;  // "gate_proj, up_proj y", "RmsNormForward"
};
// True if both are equal except for modules and count.
bool SameCall(const StepCall& a, const StepCall& b);

// The calls of forward, backward and AdamW over `tokens` tokens, recorded in a dry run, in order of
// first occurrence. Sequences have shape.sequence_length tokens, the last one fewer; every token is
// trained, in micro-batches of at most shape.tokens_per_microbatch. Equal calls are merged. Nothing
// is recomputed, and experts have equal numbers of rows. Calls that no part of the profile times
// (biases, tables of rope, zeroing) are left out. Throws Error for a target that matches nothing.
std::vector<StepCall> StepCalls(const ModelConfig& config, const TrainingShape& shape,
                                int64_t tokens);

struct PartCost {
  std::string part;
  double calls = 0, flops = 0, bytes = 0;  // per step
};
// The sums of StepCalls, in the order of a step.
std::vector<PartCost> StepCost(const ModelConfig& config, const TrainingShape& shape,
                               int64_t tokens);

struct Ceilings {
  double matmul_gflops = 0;  // MeasureMatMulPeak
  double read_gbs = 0;       // MeasureReadBandwidth

  double Ridge() const { return matmul_gflops / read_gbs; }  // FLOPs per byte
};

// A measured time compared with the roofline.
struct RooflinePoint {
  double gflops = 0, gbs = 0;   // measured rates
  bool compute_bound = false;   // intensity above the ridge: the matmul peak is the ceiling
  double ideal_seconds = 0;     // at the ceiling that bounds it
  double share_of_ceiling = 0;  // ideal / measured
};
RooflinePoint UnderRoofline(double flops, double bytes, double seconds, const Ceilings& ceilings);

}  // namespace lorikeet
