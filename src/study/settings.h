// What a person chooses for a study; kept beside its results, which can be made anew from the runs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/schedule.h"

namespace lorikeet {

// Of `rl`, named as the options of `lorikeet rl` are.
struct RewardSettings {
  std::vector<std::string> task, stop;
  std::optional<int> difficulty, max_prompt_tokens;
  std::string grader, objective;
  int prompts_per_step, group_size, max_tokens, eval_problems;
  double temperature;
  int64_t final_steps;

  template <class V>
  void ForEach(V& v) {
    v(task, "task", {},
      "Generated tasks (docs/rl_tasks.md), in turn, that `rl` learns instead of data.",
      {.group = "Rewards", .aliases = {"tasks"}, .metavar = "NAMES"});
    v(difficulty, "difficulty", std::nullopt, "Of the tasks; if not given, each one's own.",
      {.min = 1});
    v(grader, "grader", "exact",
      "Who judges rows of data for `rl`: gsm8k, math, exact, regex, choice, with options.",
      {.metavar = "NAME"});
    v(objective, "objective", "importance_sampling",
      "importance_sampling, ppo, grpo, dr_grpo, dapo, cispo, gspo or rloo (docs/rl.md).",
      {.aliases = {"loss_type"}});
    v(temperature, "temperature", 1.0, "Of the samples, and of the policy that is trained.",
      {.min = 0.01, .max = 100});
    v(prompts_per_step, "prompts_per_step", 8, "Prompts of a step.",
      {.aliases = {"groups_per_step"}, .min = 1, .max = 1 << 16});
    v(group_size, "group_size", 8, "Completions of each prompt.",
      {.aliases = {"num_generations"}, .min = 2, .max = 1 << 16});
    v(max_tokens, "max_tokens", 64, "Most tokens of a completion.",
      {.aliases = {"max_completion_length", "max_new_tokens"}, .min = 1});
    v(max_prompt_tokens, "max_prompt_tokens", std::nullopt,
      "Problems with longer prompts are passed over; if not given, what the problems need.",
      {.aliases = {"max_prompt_length"}, .min = 2});
    v(stop, "stop", {}, "Texts that end a completion and are left out of what is graded.",
      {.aliases = {"stop_strings"}, .metavar = "TEXT", .whole = true});
    v(eval_problems, "eval_problems", 64, "Held-out problems, solved greedily.",
      {.min = 1, .max = 1 << 20});
    v(final_steps, "final_steps", 0,
      "Last steps whose mean reward a run is judged by: single ones scatter. 0: the last quarter.",
      {.min = 0});
  }
};

struct StudySettings {
  // Set by SetDefaults or ParseCommandLine (options/args.h), from the declarations below.
  std::vector<std::string> ranks, batch_sizes, schedules, target_modules;
  double lora_alpha;
  int64_t steps, batch_size, examples;
  int seeds, seed, lr_points, lr_per_decade, eval_points;
  std::vector<std::string> short_steps;
  std::optional<double> learning_rate, full_learning_rate, departure_gap;
  double weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm;
  int64_t random_labels;
  RewardSettings rewards;

  template <class V>
  void ForEach(V& v) {
    v(ranks, "ranks", {"1", "4", "16", "64"}, "Ranks of the adapters, comma between.",
      {.group = "Grid", .aliases = {"lora_r", "r"}});
    v(target_modules, "target_modules", {"all-linear"}, "What gets adapters.",
      {.aliases = {"lora_target_modules"}});
    v(lora_alpha, "lora_alpha", 32.0, "The adapters' product is scaled by lora_alpha / rank.",
      {.aliases = {"alpha"}, .above = 0});
    v(steps, "steps", 300, "Optimizer steps of a run.", {.aliases = {"max_steps"}, .min = 2});
    v(short_steps, "short_steps", {},
      "Run lengths to find the best rate for, besides steps; with a constant rate a short run is "
      "the beginning of a long one. None given: a tenth of steps.");
    v(batch_size, "batch_size", 16, "Examples per step.", {.min = 1});
    v(batch_sizes, "batch_sizes", {"8", "32", "128"}, "Batch sizes that `batch` compares.");
    v(examples, "examples", 0,
      "Examples that a run of `batch` sees, whatever its batch; 0: steps x batch_size.",
      {.min = 0});
    v(schedules, "schedules", {"constant"},
      "Schedules that `lr` compares; the first is what everything else is measured with.",
      {.choices = ScheduleNames()});
    v(random_labels, "random_labels", 0,
      "Labels that `capacity` lets the adapters learn by heart; 0: as many as a run sees fifty "
      "times, up to four bits for every parameter of the largest.",
      {.min = 0});
    v(seeds, "seeds", 3, "Seeds: orders of the data and first values of A.",
      {.min = 1, .max = 100});
    v(seed, "seed", 1, "The first of them.", {.min = 0});
    v(lr_per_decade, "lr_per_decade", 3, "Rates of the grid in a factor of ten.",
      {.min = 1, .max = 20});
    v(lr_points, "lr_points", 5,
      "Rates of a grid to begin with. It is extended while a seed has its best rate at an edge.",
      {.min = 3, .max = 25});
    v(learning_rate, "learning_rate", std::nullopt,
      "Centre of LoRA's grid; if not given, by the rule that `sft` uses.",
      {.aliases = {"lr"}, .above = 0});
    v(full_learning_rate, "full_learning_rate", std::nullopt,
      "Centre of the grid of full fine-tuning.", {.above = 0});
    v(eval_points, "eval_points", 10,
      "Steps at which held-out data is evaluated, in equal ratios, besides the first.",
      {.min = 2, .max = 1000});
    v(departure_gap, "departure_gap", std::nullopt,
      "Nats by which a rank must lag behind the highest to have left it; if not given, a fiftieth "
      "of what the highest learns.",
      {.above = 0});
    rewards.ForEach(v);
    v(weight_decay, "weight_decay", 0.0, "AdamW's decoupled weight decay.",
      {.group = "Optimizer", .min = 0});
    v(adam_beta1, "adam_beta1", 0.9, "Decay of the gradient's mean.", {.min = 0, .max = 0.9999999});
    v(adam_beta2, "adam_beta2", 0.999, "Decay of its square's mean.", {.min = 0, .max = 0.9999999});
    v(adam_epsilon, "adam_epsilon", 1e-8, "Added to the root of the square's mean.", {.above = 0});
    v(max_grad_norm, "max_grad_norm", 1.0, "Longer gradients are cut to this norm; 0: never.",
      {.min = 0});
  }

  std::vector<int> Ranks() const;
  std::vector<int64_t> BatchSizes() const;
  std::vector<int64_t> ShortSteps() const;
  std::vector<uint64_t> Seeds() const;
  int64_t FinalSteps() const;  // of runs that learn from rewards; at least 1
};

}  // namespace lorikeet
