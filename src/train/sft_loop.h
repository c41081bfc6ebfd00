// The state of a running loop. Only train/sft*.cc and their tests include this.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/metrics.h"
#include "data/epoch.h"
#include "train/divergence.h"
#include "train/early_stopping.h"
#include "train/sft.h"

namespace lorikeet {

class SftLoop {
 public:
  SftLoop(TrainingRun& run, const std::vector<Example>& train, const std::vector<Example>& heldout,
          const SftConfig& config, const SftHooks& hooks);
  SftResult Run();

 private:
  // sft.cc: the order of things.
  void Begin();
  void Step();
  void FinishRun();
  bool EvaluationDue() const;
  bool CheckpointDue() const;
  void EvaluateHeldOut();
  bool StopRequested() const { return hooks_.stop_requested && hooks_.stop_requested(); }
  void Note(const std::string& text) const;
  void Report(const ForwardBackwardOutput& output, const OptimParams& optim, double grad_norm,
              double seconds);
  void NoteTime() const;
  double Utilisation(double tokens_per_second) const;
  double Epochs() const;

  // sft_guard.cc: what must not go wrong unseen.
  ForwardBackwardOutput GuardedForwardBackward(const std::vector<const Example*>& batch);
  OptimStepOutput GuardedOptimStep(const OptimParams& params, double loss);
  void CheckGradientsArrive();
  std::string LargestGradient() const;
  std::string Advice() const;

  // sft_state.cc: what is kept across processes.
  void SaveCheckpoint();
  void Resume();
  Json RunState() const;
  Json TrainerState() const;
  void LogStep(const Metrics& metrics);

  TrainingRun& run_;
  const std::vector<Example>& train_;
  const std::vector<Example>& heldout_;
  const SftConfig& config_;
  const SftHooks& hooks_;

  int64_t total_steps_;
  Schedule schedule_;
  Json settings_;
  BatchCursor cursor_;
  BestEvaluation best_;
  DivergenceWatch divergence_;
  std::optional<MetricsWriter> metrics_;

  int64_t step_ = 0;                                   // done
  int64_t tokens_seen_ = 0, trained_tokens_seen_ = 0;  // over all processes
  int64_t evaluated_step_ = -1, saved_step_ = -1;      // the last of each
  bool best_is_new_ = false;                           // and not yet in a checkpoint
  std::string good_checkpoint_;  // the last one written while nothing looked like divergence
  bool warned_of_gradients_ = false;
  Json log_history_ = Json::array();
  double smoothed_rate_ = 0;  // tokens per second, for the eye
  SftResult result_;
};

}  // namespace lorikeet
