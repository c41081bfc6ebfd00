// The loop of supervised fine-tuning: batches, optimizer steps, evaluations, checkpoints. A client
// of the verbs (train/training_run.h) and of nothing below them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/metrics.h"
#include "core/progress.h"
#include "data/example.h"
#include "train/evaluate.h"
#include "train/schedule.h"
#include "train/training_run.h"

namespace lorikeet {

struct SftConfig {
  int64_t batch_size = 16;  // examples per optimizer step
  bool shuffle = true;
  double num_train_epochs = 1;
  int64_t max_steps = 0;  // > 0: wins over num_train_epochs
  uint64_t seed = 42;

  double learning_rate = 0;  // peak
  ScheduleKind schedule = ScheduleKind::kConstant;
  int64_t warmup_steps = 0;
  double warmup_ratio = 0;
  OptimParams optim;  // but for learning_rate and grad_divisor, which the loop sets

  int64_t eval_steps =
      0;  // evaluate every so many steps, besides the beginning and the end; 0: not
  std::vector<int64_t> eval_at;         // and at these steps
  int64_t early_stopping_patience = 0;  // evaluations without a better loss; 0: never stop early
  bool load_best_model_at_end = false;  // the result is the best evaluated state, not the last

  std::string output_dir;
  // False for a run that is only measured: no weights, and checkpoints only every save_steps and
  // when stopped.
  bool keep_result = true;
  std::string resume_from;  // a complete checkpoint; empty: a fresh run
  int64_t save_steps = 0;   // besides the end, the best and when stopped; 0: not
  int64_t save_total_limit = 2;
  int64_t logging_steps = 10;  // of trainer_state.json's log_history
  bool tensorboard = true;

  int64_t micro_batch_tokens = 0;  // that the run was made with; recorded
  double flops_per_token = 0;      // of a training step (plan/memory_plan.h)
  double peak_flops = 0;           // this machine's, per second; 0: utilisation is not reported
};

struct SftHooks {
  Progress* progress = nullptr;                                 // may be null
  std::function<void(const std::string& dir)> save_text_files;  // into checkpoints and the result
  std::function<bool()> stop_requested;                         // asked between steps
  std::function<Metrics(const TrainingRun&)> also_evaluated;    // more to write at evaluations
};

struct SftResult {
  int64_t steps = 0, total_steps = 0;
  bool interrupted = false;  // stop_requested said so: there is a checkpoint, and no result yet
  bool stopped_early = false;
  std::string checkpoint;                   // the last one written or resumed from; "" if none
  int64_t best_step = -1;                   // -1: nothing was evaluated
  bool holds_best = false;                  // output_dir holds the best state, not the last
  std::optional<Evaluation> before, after;  // of the held-out data, at the first and the last step
  // Of this process.
  double first_loss = 0, last_loss = 0;
  int64_t steps_here = 0, tokens = 0, trained_tokens = 0;
  double train_seconds = 0;  // in steps alone
  double TokensPerSecond() const {
    return train_seconds > 0 ? static_cast<double>(tokens) / train_seconds : 0;
  }
};

// Optimizer steps of the whole run, resumed or not.
int64_t TotalSteps(const SftConfig& config, int64_t num_examples);

// Trains to the end and leaves the result in output_dir: weights, text files, checkpoint-N,
// metrics.jsonl and runs/ for TensorBoard. `heldout` may be empty. Resumed runs go on bit for bit.
// Throws Error(kDiverged) naming the step and the layer for a loss or gradient that is not finite
// and for a diverging loss; the last checkpoint stays as it was.
SftResult TrainSft(TrainingRun& run, const std::vector<Example>& train,
                   const std::vector<Example>& heldout, const SftConfig& config,
                   const SftHooks& hooks);

}  // namespace lorikeet
