// The options of `lorikeet rl`, also the keys of its YAML file. Names follow peft and TRL.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/common_options.h"
#include "cli/expert_options.h"
#include "cli/recompute_option.h"
#include "options/args.h"

namespace lorikeet {

struct RlOptions {
  std::string model, dtype, recompute;
  std::optional<std::string> chat_template;
  // Tasks
  std::vector<std::string> task, data, eval_data;
  std::string grader;
  std::optional<int> difficulty;
  std::vector<std::string> rewards, reward_command, reward_url;
  double reward_timeout;
  int eval_problems, eval_samples;
  // Adapter
  std::string method;
  int lora_r;
  ExpertOptions experts;
  double lora_alpha;
  std::vector<std::string> target_modules;
  // Training
  std::string objective;
  std::optional<double> clip_low, clip_high;
  double kl_coef, target_kl, temperature;
  int prompts_per_step, group_size, updates_per_batch, minibatches, max_steps, max_tokens;
  std::optional<int> max_prompt_tokens, overlong_buffer, max_rounds, base_kl_steps;
  int micro_batch_tokens;
  std::vector<std::string> stop;
  std::optional<double> learning_rate;
  double max_grad_norm;
  int64_t seed;
  // Output
  std::optional<int> eval_steps;
  int save_steps, save_total_limit, logging_steps;
  std::string output_dir, report_to;
  bool overwrite_output_dir, resume, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    Model(v);
    Tasks(v);
    Adapter(v);
    Loss(v);
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
    v(chat_template, "chat_template", std::nullopt,
      "Jinja file to use instead of the model's own chat template, or chatml, or plain (for base "
      "models).",
      {.aliases = {"chat_template_path"}, .metavar = "FILE"});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    v(recompute, "recompute", "none", kRecomputeHelp, RecomputeTraits());
  }

  template <class V>
  void Tasks(V& v) {
    v(task, "task", {}, "Generated tasks (docs/rl_tasks.md), in turn.",
      {.group = "Tasks", .aliases = {"tasks"}, .metavar = "NAMES"});
    v(difficulty, "difficulty", std::nullopt,
      "Of the generated tasks; if not given, each one's own.", {.min = 1});
    v(data, "data", {}, "JSONL files of problems: prompt or messages, and answer.",
      {.aliases = {"train_data", "dataset"}, .metavar = "FILES"});
    v(grader, "grader", "exact",
      "Who judges rows of data: gsm8k, math, exact, regex, choice, none, with options.",
      {.metavar = "NAME"});
    v(eval_data, "eval_data", {}, "The same, held out.", {.metavar = "FILES"});
    v(eval_problems, "eval_problems", 64, "Held-out problems of the generated tasks; 0: none.",
      {.min = 0, .max = 1 << 20});
    v(eval_samples, "eval_samples", 4,
      "Samples of each held-out problem for pass@1 to pass@N, besides the greedy one; 0: none.",
      {.min = 0, .max = 1 << 16});
    v(reward_command, "reward_command", {},
      "A program that says what completions are worth (docs/rl_rewards.md); again for a second "
      "one.",
      {.metavar = "COMMAND", .whole = true});
    v(reward_url, "reward_url", {}, "A server that does.", {.metavar = "URL", .whole = true});
    v(reward_timeout, "reward_timeout", 60.0, "Seconds that each may take for a step's batch.",
      {.above = 0});
    v(rewards, "rewards", {},
      "What is added up, each NAME or NAME=WEIGHT: grader, command, url, command2, ..., "
      "think_format. If not given: all commands and URLs, or the grader where there are none.",
      {.metavar = "NAMES"});
  }

  template <class V>
  void Adapter(V& v) {
    v(method, "method", "lora", "Low-rank adapters, or every weight.",
      {.group = "Adapter", .choices = {"lora", "full"}});
    v(lora_r, "lora_r", 1, "Rank. Rewards teach so little per step that 1 is enough.",
      {.aliases = {"r", "lora_rank", "rank"}, .min = 1, .max = 65536});
    experts.ForEach(v);
    v(lora_alpha, "lora_alpha", 32.0, "The adapters' product is scaled by lora_alpha / lora_r.",
      {.aliases = {"alpha"}, .above = 0});
    v(target_modules, "target_modules", {"all-linear"},
      "What gets adapters: all-linear, attention, mlp, or module names.",
      {.aliases = {"lora_target_modules", "lora_target"}});
  }

  template <class V>
  void Loss(V& v) {
    v(objective, "objective", "importance_sampling",
      "importance_sampling, ppo, grpo, dr_grpo, dapo, cispo, gspo or rloo (docs/rl.md).",
      {.group = "Objective", .aliases = {"loss_type"}});
    v(clip_low, "clip_low", std::nullopt,
      "Ratios are clipped at 1 - clip_low; if not given, the objective's own.",
      {.aliases = {"epsilon"}, .min = 0, .max = 1});
    v(clip_high, "clip_high", std::nullopt, "And at 1 + clip_high.",
      {.aliases = {"epsilon_high"}, .min = 0});
    v(kl_coef, "kl_coef", 0.0, "Weight of a penalty on the KL to the base model; 0: none.",
      {.aliases = {"beta"}, .min = 0});
    v(base_kl_steps, "base_kl_steps", std::nullopt,
      "Measure the KL to the base every so many steps; 0: never. If not given, 10 for LoRA, whose "
      "base is there, and 0 for full.",
      {.min = 0});
    v(temperature, "temperature", 1.0,
      "Of the samples, and of the policy that is trained: both are softmax(logits / temperature).",
      {.min = 0.01, .max = 100});
    v(updates_per_batch, "updates_per_batch", 1,
      "Passes over a step's samples; only the first update is on-policy.",
      {.aliases = {"num_iterations"}, .min = 1, .max = 1000});
    v(minibatches, "minibatches", 1, "Optimizer steps of a pass, each on some of the prompts.",
      {.min = 1, .max = 1 << 16});
    v(target_kl, "target_kl", 0.0,
      "No further update on samples from which the policy has gone this far, in nats; 0: no limit.",
      {.min = 0});
    v(max_rounds, "max_rounds", std::nullopt,
      "Rounds of sampling in which groups without signal are replaced; if not given, 4 for dapo, 1 "
      "(none is replaced) for the others.",
      {.min = 1, .max = 1000});
    v(overlong_buffer, "overlong_buffer", std::nullopt,
      "Rewards fall by up to 1 over so many tokens before max_tokens; 0: they do not. If not "
      "given, "
      "a fifth of max_tokens for dapo, 0 for the others.",
      {.min = 0});
  }

  template <class V>
  void Training(V& v) {
    v(prompts_per_step, "prompts_per_step", 8, "Prompts of a step.",
      {.group = "Training", .aliases = {"groups_per_step"}, .min = 1, .max = 1 << 16});
    v(group_size, "group_size", 8, "Completions of each prompt.",
      {.aliases = {"num_generations"}, .min = 2, .max = 1 << 16});
    v(max_steps, "max_steps", 100, "Steps.", {.min = 1});
    v(max_tokens, "max_tokens", 64, "Most tokens of a completion.",
      {.aliases = {"max_completion_length", "max_new_tokens"}, .min = 1});
    v(stop, "stop", {}, "Texts that end a completion and are left out of what is graded.",
      {.aliases = {"stop_strings"}, .metavar = "TEXT", .whole = true});
    v(max_prompt_tokens, "max_prompt_tokens", std::nullopt,
      "Problems with longer prompts are passed over; if not given, what the problems need.",
      {.aliases = {"max_prompt_length"}, .min = 2});
    v(micro_batch_tokens, "micro_batch_tokens", 2048, "Tokens trained at once.", {.min = 1});
    v(learning_rate, "learning_rate", std::nullopt,
      "If not given, computed from the model and the rank, and printed with its reason.",
      {.aliases = {"lr"}, .above = 0});
    v(max_grad_norm, "max_grad_norm", 1.0, "Longer gradients are cut to this norm; 0: never.",
      {.min = 0});
    v(seed, "seed", 42, "Of the adapters, the problems and the samples.", {.min = 0});
  }

  template <class V>
  void Output(V& v) {
    v(eval_steps, "eval_steps", std::nullopt,
      "Solve the held-out problems every so many steps; else at the beginning and the end.",
      {.group = "Output", .min = 1});
    v(output_dir, "output_dir", "",
      "Folder for the adapter or model, checkpoints, metrics.jsonl, transcripts and config.yaml.",
      {.aliases = {"o"}, .required = true, .metavar = "DIR"});
    v(overwrite_output_dir, "overwrite_output_dir", false,
      "Remove an earlier run's files from output_dir first.", {.aliases = {"overwrite"}});
    v(save_steps, "save_steps", 50, "Write a checkpoint every so many steps; 0: only at the end.",
      {.min = 0});
    v(save_total_limit, "save_total_limit", 2, "Keep so many checkpoints.", {.min = 1});
    v(logging_steps, "logging_steps", 1, "Steps per log line where the output is no terminal.",
      {.min = 1});
    v(resume, "resume", false, "Go on from the last checkpoint in output_dir, bit for bit.");
    v(report_to, "report_to", "tensorboard", "Curves besides metrics.jsonl.",
      {.choices = {"tensorboard", "none"}});
    v(json, "json", false, "Print the summary as one JSON object on standard output.");
  }
};

}  // namespace lorikeet
