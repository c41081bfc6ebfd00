// `StudySettings` holds the user's settings of a study. They are stored with the results, which can
// be written again from the runs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recipes/run.h"

namespace lorikeet {

// Settings of `study rl`: objective, tasks and evaluation of its runs.
struct RewardSettings {
  Rl rl;
  Steps steps;  // only batch_size: prompts per step
  int64_t eval_problems;
  int64_t final_steps;

  template <class V>
  void ForEach(V& v) {
    rl.Loss(v, "Rewards, for `rl`");
    rl.Tasks(v);
    rl.Grader(v);
    rl.Samples(v);
    v(eval_problems, "eval_problems", 64, "Held-out problems, solved greedily.",
      {.min = 1, .max = 1 << 20});
    v(final_steps, "final_steps", 0,
      "Number of last steps whose mean reward is the run's result; 0: the last quarter.",
      {.min = 0});
    steps.Prompts(v);
  }
};

struct StudySettings {
  // Set by SetDefaults or ParseCommandLine (options/args.h), from the declarations below.
  std::vector<std::string> ranks, batch_sizes, schedules;
  Adapter adapter;      // settings of every LoRA run except the rank
  Optimizer optimizer;  // settings of every run except learning rate and schedule
  int64_t steps, batch_size, examples;
  int seeds, seed, lr_points, lr_per_decade, eval_points;
  std::vector<std::string> short_steps;
  std::optional<double> learning_rate, full_learning_rate, departure_gap;
  int64_t random_labels;
  RewardSettings rewards;

  template <class V>
  void ForEach(V& v) {
    adapter.Targets(v);
    adapter.Scale(v);
    v(ranks, "ranks", {"1", "4", "16", "64"}, "Ranks of the adapters, comma between.",
      {.group = "Grid", .aliases = {"lora_r", "r"}});
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
    optimizer.AdamW(v);
  }

  std::vector<int> Ranks() const;
  std::vector<int64_t> BatchSizes() const;
  std::vector<int64_t> ShortSteps() const;
  std::vector<uint64_t> Seeds() const;
  int64_t FinalSteps() const;  // final_steps of runs that learn from rewards; at least 1
};

}  // namespace lorikeet
