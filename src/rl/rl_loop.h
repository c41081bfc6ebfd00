// The loop of reinforcement learning with rewards that a program computes: sample groups, grade
// them, take policy-gradient steps. Sampling and training share weights and arithmetic, so the
// first update of a batch is on-policy to the last bit. A client of the verbs
// (train/training_run.h), of the generator and of nothing below them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "rl/objective.h"
#include "rl/rollout.h"
#include "train/training_run.h"

namespace lorikeet {

struct RlConfig {
  Objective objective;
  int64_t groups_per_step = 8, group_size = 8;
  int64_t updates_per_batch = 1;  // passes over a step's samples; only the first is on-policy
  int64_t max_steps = 100;
  int64_t max_tokens = 64;  // of a completion
  uint64_t seed = 42;
  double learning_rate = 0;
  OptimParams optim;  // but for learning_rate and grad_divisor, which the loop sets
  std::vector<int32_t> stop_tokens;

  int64_t eval_steps = 0;  // besides the beginning and the end; 0: not
  std::string output_dir;
  std::string resume_from;  // a complete checkpoint; empty: a fresh run
  int64_t save_steps = 0;   // besides the end and when stopped; 0: not
  int64_t save_total_limit = 2;
  bool tensorboard = true;
  Json settings;  // what decides the numbers beyond this struct: the tasks, the model
};

struct RlHooks {
  std::function<Problem(int64_t index)> problem;  // of training; a pure function of the index
  std::vector<Problem> heldout;                   // evaluated greedily; may be empty
  RewardFunction reward;                          // empty: each problem's own grader
  Progress* progress = nullptr;                   // may be null
  std::function<void(const std::string& dir)> save_text_files;
  std::function<bool()> stop_requested;  // asked between steps
};

struct RlResult {
  int64_t steps = 0;
  bool interrupted = false;
  std::string checkpoint;
  std::optional<double> before, after;  // greedy accuracy on the held-out problems
  double first_reward = 0, last_reward = 0;
  double largest_logp_difference = 0;  // of all on-policy updates of this process
  double sampling_seconds = 0, training_seconds = 0;
  int64_t sampled_tokens = 0, trained_tokens = 0;
};

// Trains to the end and leaves the result in output_dir as TrainSft does: weights, text files,
// checkpoint-N, metrics.jsonl, and transcripts/. A resumed run goes on bit for bit. Throws
// Error(kDiverged) for logits or gradients that are not finite.
RlResult TrainRl(TrainingRun& run, Generator& generator, const PromptWriter& writer,
                 const RlConfig& config, const RlHooks& hooks);

}  // namespace lorikeet
