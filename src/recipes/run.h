// A `Run` holds the settings that decide the numbers of a training run, in blocks. A block declares
// its options once, with `ForEach`, as any options struct does (options/args.h); command lines and
// YAML files embed the blocks, checkpoints store them (recipes/run_settings.h), studies and
// estimates are made from them. A command that has only some options of a block calls those
// sections of its `ForEach`; texts and defaults that differ between commands are arguments.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "options/args.h"
#include "recipes/foreign_keys.h"
#include "recipes/rendering.h"
#include "train/schedule.h"
#include "train/training_run.h"

namespace lorikeet {

// Defaults and help texts that differ between commands.
struct AdapterDefaults {
  int lora_r = 32;
  const char* rank_help = "Rank.";
};

// The trained weights: all of the model's, or low-rank factors of some modules.
struct Adapter {
  using Defaults = AdapterDefaults;
  std::string method = "lora";         // or "full"
  std::optional<std::string> adapter;  // folder or file to start from, instead of a new adapter
  int lora_r = 32;
  std::optional<int> lora_expert_rank;  // rank of each expert; open: lora_r / active experts
  bool lora_shared_outer = false;       // a layer's experts share the factor on the hidden side
  double lora_alpha = 32;
  bool use_rslora = false;  // scale is lora_alpha / sqrt(rank) instead of lora_alpha / rank
  std::vector<std::string> target_modules = {"all-linear"};
  double lora_init_a_scale = 1;  // factor of A's initial values
  FactorScales a, b;             // hyper-parameters of A and of B

  bool full() const { return method == "full"; }
  int ExpertRank() const { return lora_expert_rank.value_or(0); }  // 0: lora_r / active experts
  // The hyper-parameters of A and B that are not 1: "loraplus_lr_ratio 16, ..."; "" if none.
  std::string FactorText() const;

  template <class V>
  void ForEach(V& v, const Defaults& defaults = {}) {
    Method(v);
    Start(v);
    Rank(v, defaults);
    Scale(v);
    Targets(v);
    Factors(v);
  }
  template <class V>
  void Method(V& v) {
    v(method, "method", "lora", "Low-rank adapters, or every weight.",
      {.group = kGroup,
       .aliases = {"finetuning_type", "fine_tune_type"},
       .choices = {"lora", "full"},
       .foreign = {{"use_peft", "write method: lora or method: full"}}});
  }
  template <class V>
  void Start(V& v) {
    v(adapter, "adapter", std::nullopt,
      "Adapter to train further, instead of a new one: its rank, scale and modules count.",
      {.group = kGroup,
       .aliases = {"adapter_name_or_path", "resume_adapter_file"},
       .metavar = "DIR"});
  }
  template <class V>
  void Rank(V& v, const Defaults& defaults = {}) {
    v(lora_r, "lora_r", defaults.lora_r, defaults.rank_help,
      {.group = kGroup, .aliases = {"r", "lora_rank", "rank"}, .min = 1, .max = 65536});
    v(lora_expert_rank, "lora_expert_rank", std::nullopt,
      "Rank of each expert's adapters in a mixture of experts; if not given, lora_r / the experts "
      "that are active per token.",
      {.min = 1, .max = 65536});
    v(lora_shared_outer, "lora_shared_outer", false,
      "The experts of a layer share the adapters' factor on the hidden side.");
  }
  template <class V>
  void Scale(V& v) {
    v(lora_alpha, "lora_alpha", 32.0, "The adapters' product is scaled by lora_alpha / rank.",
      {.group = kGroup, .aliases = {"alpha"}, .above = 0, .foreign = ForeignAdapterKeys()});
    v(use_rslora, "use_rslora", false,
      "Scale by lora_alpha / sqrt(rank) instead (rank-stabilised LoRA).", {.group = kGroup});
  }
  template <class V>
  void Targets(V& v) {
    v(target_modules, "target_modules", {"all-linear"},
      "What gets adapters: all-linear (attention and MLP), attention, mlp, experts, module names, "
      "or regular expressions for whole module paths. lm_head and router only if named.",
      {.group = kGroup,
       .aliases = {"lora_target_modules", "lora_target", "keys"},
       .foreign = {{"lora_target_linear", "write target_modules: all-linear"}}});
  }
  template <class V>
  void Factors(V& v) {
    v(lora_init_a_scale, "lora_init_a_scale", 1.0,
      "A is initialised uniformly in this factor times +-1/sqrt(input width).",
      {.group = "Adapter, separate factors for A and B (default 1)", .above = 0});
    v(b.learning_rate, "loraplus_lr_ratio", 1.0,
      "B's learning rate over A's, which is learning_rate (LoRA+).", {.above = 0});
    v(a.eps, "adam_epsilon_a_scale", 1.0, "A's adam_epsilon over adam_epsilon.", {.above = 0});
    v(b.eps, "adam_epsilon_b_scale", 1.0, "B's adam_epsilon over adam_epsilon.", {.above = 0});
    v(a.weight_decay, "weight_decay_a_scale", 1.0, "A's weight_decay over weight_decay.",
      {.min = 0});
    v(b.weight_decay, "weight_decay_b_scale", 1.0, "B's weight_decay over weight_decay.",
      {.min = 0});
  }

 private:
  static constexpr const char* kGroup = "Adapter";
};

// Defaults and help texts that differ between commands.
struct OptimizerDefaults {
  std::optional<double> learning_rate = {};
  const char* rate_help =
      "If not given, computed from the model, the rank and the number of steps by the rule of "
      "\"LoRA Without Regret\", and printed with its reason.";
  const char* schedule = "constant";
  const char* schedule_help =
      "Schedule of the learning rate. The best learning_rate depends on it.";
  double warmup_ratio = 0, weight_decay = 0, adam_beta2 = 0.999;
  const char* decay_help = "AdamW's decoupled weight decay.";
};

// AdamW and its learning rate.
struct Optimizer {
  using Defaults = OptimizerDefaults;
  std::optional<double> learning_rate;  // peak; open: by the rule of train/learning_rate.h
  std::string lr_scheduler_type = "constant";
  int64_t warmup_steps = 0;
  double warmup_ratio = 0;
  double weight_decay = 0, adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  double max_grad_norm = 1;

  template <class V>
  void ForEach(V& v, const Defaults& defaults = {}) {
    Rate(v, defaults);
    ScheduleOf(v, defaults);
    AdamW(v, defaults);
  }
  template <class V>
  void Rate(V& v, const Defaults& defaults = {}) {
    v(learning_rate, "learning_rate", defaults.learning_rate, defaults.rate_help,
      {.group = kGroup, .aliases = {"lr"}, .above = 0});
  }
  template <class V>
  void ScheduleOf(V& v, const Defaults& defaults = {}) {
    v(lr_scheduler_type, "lr_scheduler_type", defaults.schedule, defaults.schedule_help,
      {.group = kGroup, .aliases = {"lr_scheduler"}, .choices = ScheduleNames()});
    v(warmup_steps, "warmup_steps", 0, "Steps over which the learning rate rises from 0.",
      {.min = 0});
    v(warmup_ratio, "warmup_ratio", defaults.warmup_ratio, "The same as a share of all steps.",
      {.min = 0, .max = 1});
  }
  template <class V>
  void AdamW(V& v, const Defaults& defaults = {}) {
    v(weight_decay, "weight_decay", defaults.weight_decay, defaults.decay_help,
      {.group = kGroup, .min = 0, .foreign = ForeignOptimizerKeys()});
    v(adam_beta1, "adam_beta1", 0.9, "Decay of the gradient's mean.", {.min = 0, .max = 0.9999999});
    v(adam_beta2, "adam_beta2", defaults.adam_beta2, "Decay of its square's mean.",
      {.min = 0, .max = 0.9999999});
    v(adam_epsilon, "adam_epsilon", 1e-8, "Added to the root of the square's mean.", {.above = 0});
    v(max_grad_norm, "max_grad_norm", 1.0,
      "Gradients of a larger norm are clipped to it; 0: never.", {.min = 0});
  }

 private:
  static constexpr const char* kGroup = "Optimizer";
};

// Batch size, order of the data, length of the run, and micro-batches.
struct Steps {
  int64_t batch_size = 16;         // examples per optimizer step; prompts in Rl
  int64_t micro_batch_tokens = 0;  // tokens computed at once; 0: left open
  double num_train_epochs = 1;
  std::optional<int64_t> max_steps;  // wins over num_train_epochs
  int64_t seed = 42;
  bool shuffle = true;
  std::string recompute = "auto";  // or none, block (recipes/recompute.h)

  template <class V>
  void Batch(V& v, const char* help) {
    v(batch_size, "batch_size", 16, help,
      {.group = kGroup,
       .aliases = {"per_step", "per_device_train_batch_size", "train_batch_size"},
       .min = 1,
       .max = 1 << 30,
       .foreign = ForeignBatchKeys()});
  }
  template <class V>
  void Prompts(V& v) {
    v(batch_size, "prompts_per_step", 8, "Prompts of a step.",
      {.group = kGroup, .aliases = {"groups_per_step"}, .min = 1, .max = 1 << 16});
  }
  template <class V>
  void MicroBatch(V& v, int64_t default_tokens, const char* help) {
    v(micro_batch_tokens, "micro_batch_tokens", default_tokens, help,
      {.aliases = {"tokens_per_microbatch"}, .min = default_tokens == 0 ? 0 : 1, .max = 1 << 30});
  }
  template <class V>
  void Epochs(V& v) {
    v(num_train_epochs, "num_train_epochs", 1.0, "Passes over the data.",
      {.aliases = {"num_epochs", "epochs"}, .above = 0, .max = 1e6});
  }
  template <class V>
  void Length(V& v) {
    Epochs(v);
    v(max_steps, "max_steps", std::nullopt, "Stop after so many steps; wins over num_train_epochs.",
      {.aliases = {"iters"}, .min = 1, .none = {"-1"}});
  }
  template <class V>
  void MaxSteps(V& v, int64_t default_steps) {
    v(max_steps, "max_steps", default_steps, "Steps.", {.aliases = {"iters"}, .min = 1});
  }
  template <class V>
  void Seed(V& v, const char* help) {
    v(seed, "seed", 42, help, {.min = 0});
  }
  template <class V>
  void Shuffle(V& v, const char* help) {
    v(shuffle, "shuffle", true, help);
  }
  template <class V>
  void Memory(V& v, const char* default_recompute = "auto") {
    v(recompute, "recompute", default_recompute,
      "none: keep every activation. block: keep only every layer's input and compute the rest "
      "again in the backward pass; less memory, a third more time, the same bits. auto: none where "
      "that fits into memory, else block.",
      {.choices = {"none", "auto", "block"}, .foreign = ForeignMemoryKeys()});
  }

 private:
  static constexpr const char* kGroup = "Training";
};

// Objective: the likelihood of the trained tokens of examples.
struct Sft {
  RenderingOptions rendering;
};

// Objective: the likelihood of plain text, cut into blocks, from random weights.
struct Pretrain {
  int64_t max_length = 512;    // tokens of a block
  RenderingOptions rendering;  // its data_columns

  template <class V>
  void ForEach(V& v) {
    v(max_length, "max_length", 512,
      "Tokens per block: documents are joined end to end and cut into blocks.",
      {.aliases = {"block_size", "max_seq_length", "sequence_len", "max_seq_len"}, .min = 2});
    rendering.Columns(v);
  }
};

// Objective: rewards of sampled completions (rl/rl_loop.h). A step has Steps::batch_size prompts.
struct Rl {
  // Problems and rewards
  std::vector<std::string> task;  // generated tasks, in turn; empty: problems from files
  std::optional<int> difficulty;  // open: each task's own
  std::string grader = "exact";
  std::vector<std::string> rewards;  // NAME or NAME=WEIGHT
  RenderingOptions rendering;        // only its template options
  // Loss
  std::string objective = "importance_sampling";
  std::optional<double> clip_low, clip_high;  // open: those of the objective
  double kl_coef = 0, target_kl = 0, temperature = 1;
  std::optional<int> max_rounds, overlong_buffer, base_kl_steps;
  int updates_per_batch = 1, minibatches = 1;
  // Samples
  int64_t group_size = 8, max_tokens = 64;
  std::optional<int> max_prompt_tokens;  // open: what the problems need
  std::vector<std::string> stop;

  template <class V>
  void Tasks(V& v) {
    v(task, "task", {}, "Generated tasks (docs/rl_tasks.md), in turn.",
      {.aliases = {"tasks"}, .metavar = "NAMES"});
    v(difficulty, "difficulty", std::nullopt,
      "Difficulty of the generated tasks; if not given, each task's default.", {.min = 1});
  }
  template <class V>
  void Grader(V& v) {
    v(grader, "grader", "exact",
      "Grader for rows of data: gsm8k, math, exact, regex, choice, none, with options.",
      {.metavar = "NAME"});
  }
  template <class V>
  void Rewards(V& v) {
    v(rewards, "rewards", {},
      "The rewards to add up, each NAME or NAME=WEIGHT: grader, command, url, command2, ..., "
      "think_format. If not given: all commands and URLs, or the grader where there are none.",
      {.metavar = "NAMES"});
  }
  template <class V>
  void Loss(V& v, const char* group = "") {
    v(objective, "objective", "importance_sampling",
      "importance_sampling, ppo, grpo, dr_grpo, dapo, cispo, gspo or rloo (docs/rl.md).",
      {.group = group, .aliases = {"loss_type"}});
    v(temperature, "temperature", 1.0,
      "For samples and for the trained policy: both are softmax(logits / temperature).",
      {.min = 0.01, .max = 100});
  }
  template <class V>
  void Clipping(V& v) {
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
    v(updates_per_batch, "updates_per_batch", 1,
      "Passes over a step's samples; only the first update is on-policy.",
      {.aliases = {"num_iterations"}, .min = 1, .max = 1000});
    v(minibatches, "minibatches", 1, "Optimizer steps of a pass, each on some of the prompts.",
      {.min = 1, .max = 1 << 16});
    v(target_kl, "target_kl", 0.0,
      "KL of the policy to that of the samples, in nats, above which further updates on them are "
      "skipped; 0: no limit.",
      {.min = 0});
    v(max_rounds, "max_rounds", std::nullopt,
      "Rounds of sampling in which groups without signal are replaced; if not given, 4 for dapo, 1 "
      "(none is replaced) for the others.",
      {.min = 1, .max = 1000});
    v(overlong_buffer, "overlong_buffer", std::nullopt,
      "Number of tokens before max_tokens over which rewards fall by up to 1; 0: none. If not "
      "given, a fifth of max_tokens for dapo, 0 for the others.",
      {.min = 0});
  }
  template <class V>
  void Samples(V& v) {
    v(group_size, "group_size", 8, "Completions of each prompt.",
      {.aliases = {"num_generations"}, .min = 2, .max = 1 << 16});
    v(max_tokens, "max_tokens", 64, "Maximum number of tokens of a completion.",
      {.aliases = {"max_completion_length", "max_new_tokens"}, .min = 1, .max = 1 << 30});
    v(stop, "stop", {}, "Texts that end a completion and are left out of what is graded.",
      {.aliases = {"stop_strings"}, .metavar = "TEXT", .whole = true});
    v(max_prompt_tokens, "max_prompt_tokens", std::nullopt,
      "Problems with longer prompts are skipped; if not given, the longest prompt of the problems.",
      {.aliases = {"max_prompt_length"}, .min = 2});
  }
};

struct Run {
  Adapter adapter;
  Optimizer optimizer;
  Steps steps;
  std::variant<Sft, Rl, Pretrain> objective;

  const Rl* rl() const { return std::get_if<Rl>(&objective); }
  Rl* rl() { return std::get_if<Rl>(&objective); }
};

}  // namespace lorikeet
