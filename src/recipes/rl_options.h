// The options of `lorikeet rl`, also the keys of its YAML file. Names follow peft and TRL.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recipes/common_options.h"
#include "recipes/output_options.h"
#include "recipes/run.h"

namespace lorikeet {

struct RlOptions {
  std::string model, dtype;
  std::vector<std::string> data, eval_data, reward_command, reward_url;
  double reward_timeout;
  int eval_problems, eval_samples;
  Run run = {.adapter = {}, .optimizer = {}, .steps = {}, .objective = Rl()};
  OutputOptions output;
  CommonOptions common;
  std::vector<std::string> typed;  // options given as flags or by --set

  Rl& rl() { return std::get<Rl>(run.objective); }
  const Rl& rl() const { return std::get<Rl>(run.objective); }

  template <class V>
  void ForEach(V& v) {
    Model(v);
    Tasks(v);
    run.adapter.ForEach(
        v, {.lora_r = 1, .rank_help = "Rank. Rewards teach so little per step that 1 is enough."});
    Objective(v);
    Training(v);
    Output(v);
    common.ForEach(v);
  }

 private:
  template <class V>
  void Model(V& v) {
    v(model, "model", "", "Folder in Hugging Face layout, GGUF file, or name in the cache.",
      {.group = "Model",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    rl().rendering.Template(v);
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    run.steps.Memory(v, "none");
  }

  template <class V>
  void Tasks(V& v) {
    v(data, "data", {}, "JSONL files of problems: prompt or messages, and answer.",
      {.group = "Tasks", .aliases = {"train_data", "dataset"}, .metavar = "FILES"});
    rl().rendering.ProblemColumns(v);
    rl().Tasks(v);
    rl().Grader(v);
    v(eval_data, "eval_data", {}, "The same, held out.", {.metavar = "FILES"});
    v(eval_problems, "eval_problems", 64, "Held-out problems of the generated tasks; 0: none.",
      {.min = 0, .max = 1 << 20});
    v(eval_samples, "eval_samples", 4,
      "Samples of each held-out problem for pass@1 to pass@N, besides the greedy one; 0: none.",
      {.min = 0, .max = 1 << 16});
    v(reward_command, "reward_command", {},
      "A program that computes rewards of completions (docs/rl_rewards.md); again for a second "
      "one.",
      {.metavar = "COMMAND", .whole = true});
    v(reward_url, "reward_url", {}, "A server that does the same.",
      {.metavar = "URL", .whole = true});
    v(reward_timeout, "reward_timeout", 60.0, "Seconds that each may take for a step's batch.",
      {.above = 0});
    rl().Rewards(v);
  }

  template <class V>
  void Objective(V& v) {
    rl().Loss(v, "Objective");
    rl().Clipping(v);
  }

  template <class V>
  void Training(V& v) {
    run.steps.Prompts(v);
    rl().Samples(v);
    run.steps.MaxSteps(v, 100);
    run.steps.MicroBatch(v, 2048, "Tokens trained at once.");
    run.steps.Seed(v, "Seed of the adapters, the problems and the samples.");
    run.optimizer.Rate(
        v,
        {.rate_help =
             "If not given, computed from the model and the rank, and printed with its reason."});
    run.optimizer.AdamW(v);
  }

  template <class V>
  void Output(V& v) {
    const OutputOptions::Defaults defaults = {
        .eval_help =
            "Solve the held-out problems every so many steps; else at the beginning and the end.",
        .output_help =
            "Folder for the adapter or model, checkpoints, metrics.jsonl, transcripts and "
            "config.yaml.",
        .save_steps = 50,
        .logging_steps = 1};
    output.Evaluation(v, defaults);
    output.ForEach(v, defaults);
  }
};

}  // namespace lorikeet
