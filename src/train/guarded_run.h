// A `GuardedRun` runs the steps of a `TrainingRun` and checks them: it throws an error when the run
// diverges, and warns when parameters get no gradient.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "train/training_run.h"

namespace lorikeet {

class GuardedRun {
 public:
  using Note = std::function<void(const std::string& text)>;
  // The run must outlive this. note may be empty.
  explicit GuardedRun(TrainingRun& run, Note note = {}) : run_(run), note_(std::move(note)) {}

  // Set the advice of errors, and the checkpoint that they name.
  void SetAdvice(std::string advice) { advice_ = std::move(advice); }
  void SetGoodCheckpoint(std::string dir) { good_checkpoint_ = std::move(dir); }
  // step: its number in errors. check_gradients: check the gradients of its first ForwardBackward,
  // and warn, once, if a parameter gets none.
  void BeginStep(int64_t step, bool check_gradients);

  // Throws Error(kDiverged) naming the step and the layer for a loss that is not finite.
  ForwardBackwardOutput ForwardBackward(std::span<const Example* const> examples,
                                        const LossConfig& loss = {});
  // Throws Error(kDiverged) for a gradient that is not finite.
  OptimStepOutput OptimStep(const OptimParams& params);
  // Throws Error(kDiverged) with the step, what is wrong and the advice.
  [[noreturn]] void Diverged(const std::string& what) const;
  // Name of the parameter whose gradient has the largest norm.
  std::string LargestGradient() const;

  TrainingRun& run() { return run_; }

 private:
  void CheckGradientsArrive();
  std::string Advice() const;

  TrainingRun& run_;
  Note note_;
  std::string advice_ = "a lower learning_rate is the usual cure";
  std::string good_checkpoint_;
  int64_t step_ = 1;
  bool check_gradients_ = false, warned_ = false;
};

}  // namespace lorikeet
