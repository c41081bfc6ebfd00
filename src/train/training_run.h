// A `TrainingRun` has the verbs of post-training, the narrow waist of this engine: the SFT loop,
// the RL loop, the study and the server train through them and through nothing below them.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/arena.h"
#include "data/example.h"
#include "model/activations.h"
#include "model/lora_training.h"
#include "model/optimizer.h"
#include "model/weights.h"
#include "train/losses.h"

namespace lorikeet {

struct RunOptions {
  Recompute recompute = Recompute::kNone;
  // Tokens of one forward-backward. Longer lists of examples are cut into micro-batches; an example
  // is never cut, and must not be longer than this.
  int64_t tokens_per_microbatch = 2048;
  // Memory for the passes, which several runs may share if they take turns between two passes. It
  // grows if this run needs more; nothing may be taken from it while the run is made. Null: the
  // run's own.
  std::shared_ptr<Arena> workspace = nullptr;
};

struct ForwardBackwardOutput {
  double loss_sum = 0;    // over trained tokens, each times its weight
  double weight_sum = 0;  // divisor of the mean loss
  int64_t trained_tokens = 0;
  int64_t tokens = 0;  // computed tokens; a prefix counts once per micro-batch
  std::vector<std::vector<float>> logprobs;  // per example, (T) of its targets; 0 where weight is 0

  double MeanLoss() const { return weight_sum > 0 ? loss_sum / weight_sum : 0; }
};

class TrainingRun {
 public:
  // Trains an adapter over a frozen base. The model must outlive the run.
  TrainingRun(const Model& model, LoraAdapter adapter, const RunOptions& options);
  // Trains every weight of the model.
  TrainingRun(Model& model, const RunOptions& options);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  // Loss without gradients.
  ForwardBackwardOutput Forward(std::span<const Example* const> examples,
                                const LossConfig& loss = {});
  // Adds the gradients of the summed loss: k calls and one OptimStep equal one call on all
  // examples.
  ForwardBackwardOutput ForwardBackward(std::span<const Example* const> examples,
                                        const LossConfig& loss = {});
  // Forward without the adapter, or with the reference model: log-probabilities of the policy that
  // training began with. Needs one or the other.
  ForwardBackwardOutput ForwardReference(std::span<const Example* const> examples,
                                         const LossConfig& loss = {});
  // Sets the reference model, a second copy of the initial model: needed in full fine-tuning, which
  // changes the model itself. It must have the same shape and outlive the run.
  void SetReference(const Model* reference);
  bool has_reference() const { return lora_ || reference_ != nullptr; }
  // One AdamW update with gradients / grad_divisor, clipped by their global norm; then zeroes them.
  // A gradient that is not finite throws Error(kDiverged) naming the parameter, weights untouched.
  OptimStepOutput OptimStep(const OptimParams& params);
  int64_t optim_steps() const { return optimizer_.steps(); }

  // Masters, moments and step count, bit for bit, in training_state.safetensors of an existing
  // folder.
  void SaveState(const std::string& dir) const;
  void LoadState(const std::string& dir);
  // Writes a peft adapter, or a Hugging Face folder (config.json and weights; dtype as the source
  // stores them, bf16 for quantised ones).
  void SaveWeights(const std::string& dir) const;

  // Names of parameters whose gradient is all zero now (before OptimStep). After the first
  // ForwardBackward of a new adapter these are the A's (B is zero), afterwards none should be.
  std::vector<std::string> ParamsWithoutGradient() const;
  // Diagnosis of a loss that is not finite: runs the examples and returns the first layer whose
  // output is not finite ("model.layers.3", "lm_head"), or "" if all are finite.
  std::string FirstNonFiniteLayer(std::span<const Example* const> examples);

  const Model& model() const { return model_; }
  const LoraAdapter* adapter() const { return lora_ ? &lora_->adapter() : nullptr; }
  // The adapter's weights as they are now; null in full fine-tuning, whose weights are the model's.
  const LoraWeights* weights() const { return lora_ ? &lora_->weights() : nullptr; }
  // A copy of them that later steps do not change, for sampling.
  std::shared_ptr<const LoraWeights> Snapshot() const {
    return lora_ ? lora_->Snapshot() : nullptr;
  }
  const std::vector<Param>& params() const { return optimizer_.params(); }
  int64_t NumTrainable() const;
  // The arena of every pass of this run. All of it is free between two calls, so that a sampler may
  // use it in turn.
  const std::shared_ptr<Arena>& workspace() const { return workspace_; }
  // Discards the gradients that were added since the last step.
  void ZeroGradients() { optimizer_.ZeroGradients(); }

 private:
  // The weights of a pass.
  struct Policy {
    const Model& model;
    const LoraWeights* adapter;
  };
  ForwardBackwardOutput Run(const Policy& policy, std::span<const Example* const> examples,
                            const LossConfig& loss, bool backward);
  void Init(const RunOptions& options);
  void ValuesChanged();

  const Model& model_;
  Model* trained_model_ = nullptr;    // the same model in full fine-tuning, else null
  std::optional<LoraTraining> lora_;  // empty in full fine-tuning
  const Model* reference_ = nullptr;
  RunOptions options_;
  AdamWOptimizer optimizer_;
  std::shared_ptr<Arena> workspace_;
};

}  // namespace lorikeet
