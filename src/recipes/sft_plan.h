// The plan of a training run, printed before it begins: trained parts, memory by part, work per
// token, time.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/machine.h"
#include "data/dataset.h"
#include "plan/memory_plan.h"
#include "recipes/recompute.h"
#include "recipes/run.h"

namespace lorikeet {

struct SftPlan {
  // Model
  std::string model_path, model_type;
  DType stored = DType::kF32;
  int64_t parameters = 0;  // parameters of the base
  // What is trained
  Run run;
  TrainingShape shape;
  int64_t trainable = 0, adapted_modules = 0;
  std::vector<std::string> expert_notes;  // recipes/expert_notes.h
  // Data
  DataStats data;
  int64_t heldout_examples = 0, heldout_tokens = 0, heldout_trained_tokens = 0;
  int64_t heldout_bytes = 0;              // bytes of held-out text; 0: not counted
  std::vector<std::string> first_tokens;  // the first 8 of the first example: "1 '<|im_start|>'"
  // Steps
  int64_t steps = 0, steps_done = 0;
  std::string learning_rate_reason;
  // Cost
  std::string recompute_reason;  // reason of shape.recompute
  std::vector<MemoryPart> memory;
  MemoryAtHand memory_at_hand;
  FlopsPerToken flops;
  double peak_flops = 0;  // per second, measured; 0: not measured
  double TokensPerStep() const;
  // Seconds for the remaining steps at kAssumedUtilisation of the peak; 0 if the peak is not known.
  double EstimatedSeconds() const;
  static constexpr double kAssumedUtilisation = 0.5;
  static constexpr double kLargeAdapter = 0.3;  // share of the base's bytes above which it is noted
};

std::string PlanText(const SftPlan& plan);
OrderedJson PlanJson(const SftPlan& plan);

struct MicroBatchQuery {
  int64_t longest = 0;                                    // tokens of the longest example
  int64_t batch_tokens = 0;                               // maximum number of tokens per step
  int64_t wanted = 0;                                     // the user's choice; 0: left open
  std::optional<Recompute> recompute = Recompute::kNone;  // nothing: auto
  MemoryAtHand memory;
};
struct MicroBatchChoice {
  int64_t tokens = 0;
  RecomputeChoice recompute;
};
// Chooses the largest standard size that fits, at least the longest example and at most a whole
// batch. A wanted size is used unchanged, but not below the longest example. If recompute is left
// open, activations are recomputed only if keeping them does not fit at any size. Throws
// Error(kOutOfMemory) with advice if nothing fits.
MicroBatchChoice ChooseMicroBatch(const ModelConfig& config, TrainingShape shape, DType stored,
                                  const MicroBatchQuery& query);

}  // namespace lorikeet
