// Supervised fine-tuning: the recipe of a `TrainLoop` (train/loop.h) whose steps learn from batches
// of examples. It uses the verbs (train/training_run.h) and nothing below them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/metrics.h"
#include "data/example.h"
#include "train/evaluate.h"
#include "train/loop.h"
#include "train/schedule.h"
#include "train/training_run.h"

namespace lorikeet {

struct SftConfig {
  LoopOptions loop;
  int64_t batch_size = 16;  // examples per optimizer step
  bool shuffle = true;
  double num_train_epochs = 1;  // used if loop.max_steps is 0
  uint64_t seed = 42;

  double learning_rate = 0;  // peak
  ScheduleKind schedule = ScheduleKind::kConstant;
  int64_t warmup_steps = 0;
  double warmup_ratio = 0;
  OptimParams optim;  // without learning_rate and grad_divisor, which the loop sets

  int64_t early_stopping_patience = 0;  // evaluations without a better loss; 0: never stop early
  bool load_best_model_at_end = false;  // the result is the best evaluated state, not the last

  int64_t logging_steps = 10;  // steps per entry of log_history in trainer_state.json

  Json settings;  // those that decide the numbers, for checkpoints (recipes/run_settings.h)
  double flops_per_token = 0;  // FLOPs per token of a training step (plan/memory_plan.h)
  double peak_flops = 0;       // FLOPs per second of this machine; 0: utilisation is not reported
};

struct SftHooks {
  LoopHooks loop;
  std::function<Metrics(const TrainingRun&)> also_evaluated;  // further metrics at evaluations
};

struct SftResult {
  int64_t steps = 0, total_steps = 0;
  bool interrupted = false;  // stopped by stop_requested: there is a checkpoint, and no result yet
  bool stopped_early = false;
  std::string checkpoint;                   // the last one written or resumed from; "" if none
  std::string nothing_learned;              // as LoopResult's
  int64_t best_step = -1;                   // -1: nothing was evaluated
  bool holds_best = false;                  // output_dir holds the best state, not the last
  std::optional<Evaluation> before, after;  // on held-out data, at the first and last step
  // Counted in this process only, without the steps before resuming.
  double first_loss = 0, last_loss = 0;
  int64_t steps_here = 0, tokens = 0, trained_tokens = 0;
  double train_seconds = 0;  // time in steps, without evaluations
  double TokensPerSecond() const {
    return train_seconds > 0 ? static_cast<double>(tokens) / train_seconds : 0;
  }
};

// Optimizer steps of the whole run, resumed or not.
int64_t TotalSteps(const SftConfig& config, int64_t num_examples);

// Trains to the end, with the result of TrainLoop::Run. `heldout` may be empty. Throws
// Error(kDiverged) naming the step and the layer for a loss or gradient that is not finite and for
// a diverging loss; the last checkpoint stays as it was.
SftResult TrainSft(TrainingRun& run, const std::vector<Example>& train,
                   const std::vector<Example>& heldout, const SftConfig& config,
                   const SftHooks& hooks);

}  // namespace lorikeet
