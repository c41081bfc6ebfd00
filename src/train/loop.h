// A `TrainLoop` is the frame of a training run: steps, evaluations and checkpoints when they are
// due, metrics, progress, resuming, stopping and guards. What a step or an evaluation does is the
// recipe's: supervised fine-tuning (train/sft.cc), reinforcement learning (rl/rl_loop.cc).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/metrics.h"
#include "core/progress.h"
#include "train/guarded_run.h"
#include "train/training_run.h"

namespace lorikeet {

struct LoopOptions {
  int64_t max_steps = 0;  // what 0 means is the recipe's
  // Evaluate every so many steps, besides the beginning and the end; 0: not.
  int64_t eval_steps = 0;
  std::vector<int64_t> eval_at;  // and at these steps
  std::string output_dir;
  // False for a run that is only measured: no weights, and checkpoints only every save_steps and
  // when stopped.
  bool keep_result = true;
  std::string resume_from;  // a complete checkpoint; empty: a fresh run
  int64_t save_steps = 0;   // besides the end, the best and when stopped; 0: not
  int64_t save_total_limit = 2;
  bool tensorboard = true;
};

struct LoopHooks {
  Progress* progress = nullptr;                                 // may be null
  std::function<void(const std::string& dir)> save_text_files;  // into checkpoints and the result
  std::function<bool()> stop_requested;                         // asked between steps
};

struct StepOutput {
  Metrics metrics;
  ProgressSample progress;  // without step and total
  std::string note;         // follows the progress; may be empty
};

enum class Evaluated : uint8_t {
  kDone,
  kBest,     // the best so far: worth a checkpoint
  kStopped,  // a stop was requested before its end; it is made when the run is resumed
};

struct RecipeStatus {
  bool done = false;       // the run ends before its last step
  bool diverging = false;  // perhaps: older checkpoints are not deleted
  int64_t best_step = -1;  // whose checkpoint is never deleted; -1: none
};

// All but `settings`, `step`, `state`, `restore` and `trainer_state` may be left out.
struct LoopRecipe {
  int64_t total_steps = 0;
  int64_t state_format = 0;          // of run_state.json; raised with every change of what it holds
  Json settings;                     // decide the numbers; a resumed run must have the same
  std::string advice;                // of errors of divergence
  std::function<StepOutput()> step;  // makes step TrainLoop::step() + 1
  std::function<Evaluated()> evaluate;
  std::function<Json()> state;  // keys of run_state.json besides those of the loop
  // Called after the weights are loaded. Returns the number of optimizer steps made. Throws
  // Json::exception for a state that is not `state`'s.
  std::function<int64_t(const Json& state)> restore;
  std::function<Json()> trainer_state;  // trainer_state.json
  std::function<RecipeStatus()> status;
  std::function<void()> finish;  // before the result is written; may load other weights
};

struct LoopResult {
  int64_t steps = 0;
  bool interrupted = false;  // by stop_requested: there is a checkpoint, and no result yet
  std::string checkpoint;    // the last one written or resumed from; "" if none
};

class TrainLoop {
 public:
  // All must outlive the loop.
  TrainLoop(TrainingRun& run, const LoopOptions& options, const LoopHooks& hooks);

  // To the end, or until a stop is requested. Leaves the result in output_dir: weights, text files,
  // checkpoint-N, metrics.jsonl and runs/ for TensorBoard. Resumed runs continue bit for bit.
  LoopResult Run(const LoopRecipe& recipe);

  // For the recipe, while it runs.
  int64_t step() const { return step_; }  // done
  GuardedRun& guarded() { return guarded_; }
  bool StopRequested() const { return hooks_.stop_requested && hooks_.stop_requested(); }
  void Note(const std::string& text) const;
  void Write(const Metrics& metrics) { metrics_->Write(step_, metrics); }

 private:
  void Begin();
  void Resume();
  void Step();
  bool Evaluate();  // false when stopped
  void SaveCheckpoint();
  void Finish();
  bool AtEnd() const { return step_ >= recipe_->total_steps; }
  bool Every(int64_t steps) const { return steps > 0 && step_ % steps == 0; }
  bool EvaluationDue() const;
  bool CheckpointDue() const;
  RecipeStatus Status() const { return recipe_->status ? recipe_->status() : RecipeStatus(); }

  TrainingRun& run_;
  const LoopOptions& options_;
  const LoopHooks& hooks_;
  const LoopRecipe* recipe_ = nullptr;
  GuardedRun guarded_;
  std::optional<MetricsWriter> metrics_;
  int64_t step_ = 0;                               // done
  int64_t evaluated_step_ = -1, saved_step_ = -1;  // the last of each
  bool best_is_new_ = false;                       // and not yet in a checkpoint
  LoopResult result_;
};

}  // namespace lorikeet
