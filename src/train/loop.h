// A `TrainLoop` is the frame of a training run: steps, evaluations and checkpoints when they are
// due, metrics, progress, resuming, stopping and guards. A recipe defines what a step and an
// evaluation do: supervised fine-tuning (train/sft.cc), reinforcement learning (rl/rl_loop.cc).
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
  int64_t max_steps = 0;         // 0: as the recipe defines
  int64_t eval_steps = 0;        // steps between evaluations; 0: only at the beginning and the end
  std::vector<int64_t> eval_at;  // further steps at which to evaluate
  std::string output_dir;
  // false: for a run that is only measured: no weights, and checkpoints only every save_steps and
  // when stopped.
  bool keep_result = true;
  std::string resume_from;  // a complete checkpoint; empty: a fresh run
  int64_t save_steps = 0;   // steps between checkpoints; 0: only the end, the best and when stopped
  int64_t save_total_limit = 2;
  bool tensorboard = true;
};

struct LoopHooks {
  Progress* progress = nullptr;                                 // may be null
  std::function<void(const std::string& dir)> save_text_files;  // into checkpoints and the result
  std::function<bool()> stop_requested;                         // called between steps
  // Called with each line of metrics.jsonl: of a step, or of an evaluation after it.
  std::function<void(int64_t step, int64_t total_steps, const Metrics& metrics)> on_metrics;
};

struct StepOutput {
  Metrics metrics;
  ProgressSample progress;  // without step and total
  std::string note;         // follows the progress; may be empty
  // A stop was requested before the step had changed anything; it is made when the run is resumed.
  bool stopped = false;
};

enum class Evaluated : uint8_t {
  kDone,
  kBest,     // the best so far: worth a checkpoint
  kStopped,  // a stop was requested before its end; it is repeated when the run is resumed
};

struct RecipeStatus {
  bool done = false;       // the run ends before its last step
  bool diverging = false;  // the run may be diverging: older checkpoints are not deleted
  int64_t best_step = -1;  // step whose checkpoint is never deleted; -1: none
};

// All but `settings`, `step`, `state`, `restore` and `trainer_state` may be left out.
struct LoopRecipe {
  int64_t total_steps = 0;
  int64_t state_format = 0;  // version of run_state.json; increases when its content changes
  Json settings;             // those that decide the numbers; equal in a resumed run
  std::string advice;        // for errors of divergence
  std::function<StepOutput()> step;  // makes step TrainLoop::step() + 1
  std::function<Evaluated()> evaluate;
  std::function<Json()> state;  // keys of run_state.json besides those of the loop
  // Called after the weights are loaded. Returns the number of optimizer steps made. Throws
  // Json::exception for a state that `state` cannot have made.
  std::function<int64_t(const Json& state)> restore;
  std::function<Json()> trainer_state;  // trainer_state.json
  std::function<RecipeStatus()> status;
  // The reason, when all steps left every parameter as it was.
  std::function<std::string()> why_nothing_learned;
  std::function<void()> finish;  // before the result is written; may load other weights
};

struct LoopResult {
  int64_t steps = 0;
  bool interrupted = false;     // stopped by stop_requested: a checkpoint, and no result yet
  std::string checkpoint;       // the last one written or resumed from; "" if none
  std::string nothing_learned;  // the reason, of a finished run that changed nothing; else ""
};

class TrainLoop {
 public:
  // All must outlive the loop.
  TrainLoop(TrainingRun& run, const LoopOptions& options, const LoopHooks& hooks);

  // Runs to the end, or until a stop is requested. Writes the result to output_dir: weights, text
  // files, checkpoint-N, metrics.jsonl and runs/ for TensorBoard. Resumed runs continue bit for
  // bit.
  LoopResult Run(const LoopRecipe& recipe);

  // For use by the recipe while it runs.
  int64_t step() const { return step_; }  // number of steps done
  GuardedRun& guarded() { return guarded_; }
  bool StopRequested() const { return hooks_.stop_requested && hooks_.stop_requested(); }
  void Note(const std::string& text) const;
  void Write(const Metrics& metrics);

 private:
  void Begin();
  void Resume();
  void LoadWholeState();
  void Step();
  bool Evaluate();  // false when stopped
  void SaveCheckpoint();
  void Finish();
  std::string ParametersSum() const;
  bool HasLearned() const;
  bool AtEnd() const { return step_ >= recipe_->total_steps; }
  bool Every(int64_t steps) const { return steps > 0 && step_ % steps == 0; }
  bool EvaluationDue() const;
  bool CheckpointDue() const;
  void RotateCheckpoints() const;  // unless the run diverges
  RecipeStatus Status() const { return recipe_->status ? recipe_->status() : RecipeStatus(); }

  TrainingRun& run_;
  const LoopOptions& options_;
  const LoopHooks& hooks_;
  const LoopRecipe* recipe_ = nullptr;
  GuardedRun guarded_;
  std::optional<MetricsWriter> metrics_;
  int64_t step_ = 0;                               // number of steps done
  int64_t evaluated_step_ = -1, saved_step_ = -1;  // the last of each
  bool best_is_new_ = false;                       // and not yet in a checkpoint
  int64_t metrics_lines_ = -1;      // lines of metrics.jsonl at the checkpoint; -1: not known
  std::string initial_parameters_;  // checksum of the parameters before step 1; "": not known
  LoopResult result_;
};

}  // namespace lorikeet
