// One run of a study as its settings. What decides the numbers is in here and nothing else is, so
// two runs of the same settings are the same run, whichever study asks for it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "train/schedule.h"
#include "train/training_run.h"

namespace lorikeet {

// What more decides a run that learns from rewards (rl/rl_loop.h) instead of examples. Its
// problems, how they are put to the model and its held-out problems are told by
// RunSpec::data_print; RunSpec::batch_size is the prompts of a step.
struct RewardSpec {
  // Generated tasks, in turn; empty: problems of files.
  std::vector<std::string> tasks;
  int64_t difficulty = 0;  // 0: each task's own
  std::string objective = "importance_sampling";
  double temperature = 1;
  int64_t group_size = 8, max_tokens = 64;
  int64_t max_prompt_tokens = 0;  // 0: what the problems need
  // Steps whose mean reward a run is judged by. It decides no number of the run, so it is no part
  // of its ID.
  int64_t final_steps = 1;
};

struct RunSpec {
  // What is trained on what. The fingerprints count, the path does not.
  std::string model;                    // path
  std::string model_print, data_print;  // train/run_settings.h
  std::string dtype = "f32";            // of products
  int64_t random_labels = 0;            // > 0: learn so many random tokens instead of the data
  // Method
  bool full = false;
  int lora_r = 32;
  double lora_alpha = 32, init_a = 1;
  std::vector<std::string> target_modules = {"all-linear"};
  int expert_rank = 0;        // of each expert of a mixture; 0: lora_r / active experts
  bool shared_outer = false;  // experts of a layer share their factor on the hidden side
  // Training
  int64_t batch_size = 16, steps = 100, micro_batch_tokens = 2048;
  uint64_t seed = 1;  // order of the data (with rewards: the problems, the samples), A's values
  double learning_rate = 0;
  std::string schedule = "constant";
  OptimParams optim;             // but for learning_rate and grad_divisor
  std::vector<int64_t> eval_at;  // besides the first and the last step
  std::optional<RewardSpec> rewards;

  // "full", "LoRA rank 4", "LoRA rank 4 on mlp", "LoRA rank 4, 1 in each expert"
  std::string MethodName() const;
  std::string ModulesName() const;  // "full", "mlp", "all-linear, shared outer factors"
};

Json ToJson(const RunSpec& spec);
// Throws Error(kCorruptFile) naming `where`.
RunSpec RunSpecFromJson(const Json& json, const std::string& where);

// 16 hexadecimal digits over everything but the model's path and RewardSpec::final_steps.
std::string RunId(const RunSpec& spec);
// Equal for runs that differ in learning rate, seed or path only: one condition of a sweep.
std::string ConditionKey(const RunSpec& spec);

// 0, 1 and then about `points` steps in equal ratios up to `steps`.
std::vector<int64_t> LogSpacedSteps(int64_t steps, int64_t points);

}  // namespace lorikeet
