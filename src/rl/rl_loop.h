// Reinforcement learning with verifiable rewards: the recipe of a `TrainLoop` (train/loop.h) whose
// step samples groups, grades them and takes policy-gradient steps. Sampling and training share
// weights and arithmetic, so the first update of a batch is on-policy bit for bit. Uses
// `TrainingRun` and `Generator`, and nothing below them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rl/held_out.h"
#include "rl/policy_update.h"
#include "rl/rollout.h"
#include "train/loop.h"
#include "train/training_run.h"

namespace lorikeet {

struct RlConfig {
  LoopOptions loop = {.max_steps = 100};  // keep_result: write a transcript after every step
  UpdateConfig update;  // optim.learning_rate and measure_base_kl are set from the fields below
  int64_t groups_per_step = 8, group_size = 8;
  int64_t max_tokens = 64;        // maximum length of a completion
  int64_t max_prompt_tokens = 0;  // problems with longer prompts are skipped; 0: no limit
  int64_t overlong_buffer = 0;    // buffer of OverlongPenalty; 0: no penalty
  // Maximum rounds of sampling per step, which replace groups without signal; 1: no replacement.
  int64_t max_rounds = 1;
  int64_t base_kl_steps = 0;  // interval of measuring the KL to the base, in steps; 0: never
  uint64_t seed = 42;
  double learning_rate = 0;
  std::vector<int32_t> stop_tokens;

  int64_t eval_samples = 0;  // samples per held-out problem for pass@k; 0: greedy decoding only
  Json settings;  // recorded in checkpoints and compared on resuming (recipes/run_settings.h)
};

struct RlHooks {
  std::function<Problem(int64_t index)> problem;  // training problems; a pure function of the index
  std::vector<Problem> heldout;                   // problems for evaluation; may be empty
  RewardFunction reward;                          // empty: each problem's own grader
  LoopHooks loop;
};

struct RlResult {
  int64_t steps = 0;
  bool interrupted = false;
  std::string checkpoint;
  std::string nothing_learned;  // as LoopResult's
  // Evaluations before the run's first step (kept across resuming) and last in this process.
  std::optional<HeldOutResult> before, after;
  double first_reward = 0;             // mean reward of the run's first step
  double last_reward = 0;              // mean over the last RlMonitor::kRecent steps
  bool runaway = false;                // RlMonitor::runaway() at the end
  int64_t steps_without_signal = 0;    // steps of the run in which no group had different rewards
  int64_t skipped_problems = 0;        // problems of the entire run with too long a prompt
  double largest_logp_difference = 0;  // maximum over the on-policy updates of this process
  // Totals of this process:
  double sampling_seconds = 0, training_seconds = 0;
  int64_t samples = 0, sampled_tokens = 0, trained_tokens = 0;
};

// Trains to the end. Writes the files of TrainLoop::Run and transcripts/. Throws Error(kDiverged)
// if logits, losses or gradients are not finite.
RlResult TrainRl(TrainingRun& run, Generator& generator, const ChatFormat& format,
                 const RlConfig& config, const RlHooks& hooks);

}  // namespace lorikeet
