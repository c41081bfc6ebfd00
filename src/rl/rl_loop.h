// Reinforcement learning with rewards that a program computes: the recipe of a `TrainLoop`
// (train/loop.h) whose step samples groups, grades them and takes policy-gradient steps. Sampling
// and training share weights and arithmetic, so the first update of a batch is on-policy to the
// last bit. A client of the verbs (train/training_run.h), of the generator and of nothing below
// them.
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
  LoopOptions loop = {.max_steps = 100};  // keep_result false: only the last step's transcript
  UpdateConfig update;  // its optim without learning_rate; measure_base_kl is set by base_kl_steps
  int64_t groups_per_step = 8, group_size = 8;
  int64_t max_tokens = 64;        // of a completion
  int64_t max_prompt_tokens = 0;  // longer problems are passed over and counted; 0: no limit
  int64_t overlong_buffer = 0;  // tokens before max_tokens over which rewards fall; 0: they do not
  // Groups without signal are replaced by new ones in up to so many rounds of sampling; 1: not.
  int64_t max_rounds = 1;
  int64_t base_kl_steps = 0;  // measure the KL to the base every so many steps; 0: never
  uint64_t seed = 42;
  double learning_rate = 0;
  std::vector<int32_t> stop_tokens;

  int64_t eval_samples = 0;  // of each held-out problem for pass@k; 0: greedy ones only
  Json settings;  // recorded in checkpoints, compared by a resume (recipes/run_settings.h)
};

struct RlHooks {
  std::function<Problem(int64_t index)> problem;  // of training; a pure function of the index
  std::vector<Problem> heldout;                   // evaluated; may be empty
  RewardFunction reward;                          // empty: each problem's own grader
  LoopHooks loop;
};

struct RlResult {
  int64_t steps = 0;
  bool interrupted = false;
  std::string checkpoint;
  // On the held-out problems: before the first step, of whichever process, and last in this one.
  std::optional<HeldOutResult> before, after;
  double first_reward = 0;
  double last_reward = 0;              // mean over the last steps (RlWatch::kRecent)
  bool runaway = false;                // see RlWatch
  int64_t skipped_problems = 0;        // too long; of the entire run
  double largest_logp_difference = 0;  // of all on-policy updates of this process
  double sampling_seconds = 0, training_seconds = 0;
  int64_t samples = 0, sampled_tokens = 0, trained_tokens = 0;
};

// Trains to the end, with the result of TrainLoop::Run and transcripts/. Throws Error(kDiverged)
// for logits, losses or gradients that are not finite.
RlResult TrainRl(TrainingRun& run, Generator& generator, const PromptWriter& writer,
                 const RlConfig& config, const RlHooks& hooks);

}  // namespace lorikeet
