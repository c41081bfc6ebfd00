// The options of `lorikeet sft`. Names are those of TRL and PEFT where they have one; what axolotl,
// LLaMA-Factory and mlx-lm call the same thing is accepted too. Keys of theirs that mean something
// else here are refused with advice.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/common_options.h"
#include "cli/expert_options.h"
#include "cli/factor_options.h"
#include "cli/recompute_option.h"
#include "train/schedule.h"

namespace lorikeet {

struct SftOptions {
  // Set by SetDefaults or ParseCommandLine, from the declarations below.
  // Model
  std::string model, dtype, recompute;
  std::optional<std::string> adapter, chat_template;
  // Data
  std::vector<std::string> data, eval_data;
  double eval_split;
  int max_length;
  std::string overlong, train_on;
  std::optional<bool> assistant_only_loss;
  bool shuffle;
  // Adapter
  std::string method;
  int lora_r;
  ExpertOptions experts;
  double lora_alpha;
  std::vector<std::string> target_modules;
  FactorOptions factors;
  // Training
  int batch_size, micro_batch_tokens;
  double num_train_epochs;
  std::optional<int64_t> max_steps;
  std::optional<double> learning_rate;
  std::string lr_scheduler_type;
  int64_t warmup_steps;
  double warmup_ratio, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm;
  int64_t seed;
  // Evaluation
  std::optional<int64_t> eval_steps;
  int early_stopping_patience;
  bool load_best_model_at_end;
  // Output
  std::string output_dir, report_to;
  bool resume, overwrite_output_dir, dry_run, json;
  std::optional<std::string> resume_from_checkpoint;
  int64_t save_steps, logging_steps;
  int save_total_limit;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    ModelAndData(v);
    Adapter(v);
    Training(v);
    Output(v);
    common.ForEach(v);
  }

 private:
  friend struct PretrainOptions;  // whose Output this is too
  template <class V>
  void ModelAndData(V& v) {
    v(model, "model", "",
      "Model to start from: folder in Hugging Face layout, GGUF file, or name in the cache.",
      {.group = "Model",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(adapter, "adapter", std::nullopt, "Adapter to train further, instead of a fresh one.",
      {.aliases = {"adapter_name_or_path", "resume_adapter_file"}, .metavar = "DIR"});
    v(chat_template, "chat_template", std::nullopt,
      "Jinja file to use instead of the model's own chat template, or chatml, or plain (for base "
      "models).",
      {.aliases = {"chat_template_path", "chat_template_jinja"}, .metavar = "FILE"});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"},
       .choices = {"auto", "bf16", "f32"},
       .refused = {{"bf16", "write dtype: bf16"},
                   {"fp16", "write dtype: bf16 or f32"},
                   {"load_in_4bit", "a GGUF file is read as it is; give it as the model"},
                   {"load_in_8bit", "a GGUF file is read as it is; give it as the model"},
                   {"quantization_bit", "a GGUF file is read as it is; give it as the model"}}});
    v(recompute, "recompute", "auto", kRecomputeHelp, RecomputeTraits());
    v(data, "data", {},
      "JSONL files to learn from: messages, prompt/completion, text, Alpaca or ShareGPT.",
      {.group = "Data",
       .aliases = {"dataset", "dataset_name", "train_file", "d"},
       .required = true,
       .metavar = "FILE",
       .refused = {{"datasets", "list the files under data"},
                   {"dataset_dir", "write whole paths under data"}}});
    v(eval_data, "eval_data", {}, "Held-out JSONL files.",
      {.aliases = {"eval_dataset", "eval_file", "validation_file"}, .metavar = "FILE"});
    v(eval_split, "eval_split", 0.0, "Share of data to hold out when eval_data is not given.",
      {.aliases = {"val_size", "val_set_size"}, .min = 0, .max = 0.9});
    v(max_length, "max_length", 2048, "Longest example, in tokens.",
      {.aliases = {"max_seq_length", "cutoff_len", "sequence_len", "max_seq_len"},
       .min = 2,
       .refused = {{"packing", kAlwaysPacked},
                   {"sample_packing", kAlwaysPacked},
                   {"neat_packing", kAlwaysPacked},
                   {"padding_free", kAlwaysPacked},
                   {"packing_strategy", kAlwaysPacked}}});
    v(overlong, "overlong", "truncate", "What becomes of longer examples.",
      {.aliases = {"excess_length_strategy"}, .choices = {"truncate", "drop"}});
    v(train_on, "train_on", "assistant",
      "What is learned: every assistant turn with its end-of-turn token, only the last one, or "
      "every token.",
      {.choices = {"assistant", "last", "all"},
       .refused = {{"train_on_inputs", "write train_on: all, or assistant_only_loss: false"},
                   {"train_on_prompt", "write train_on: all, or assistant_only_loss: false"},
                   {"mask_history", "write train_on: last"}}});
    v(assistant_only_loss, "assistant_only_loss", std::nullopt,
      "The same as other trainers say it: true is train_on: assistant, false is train_on: all.",
      {.aliases = {"completion_only_loss", "mask_prompt"}});
    v(shuffle, "shuffle", true,
      "Draw examples in an order of the seed's; otherwise as they stand in the file.");
  }

  template <class V>
  void Adapter(V& v) {
    v(method, "method", "lora", "Low-rank adapters, or every weight.",
      {.group = "Adapter",
       .aliases = {"finetuning_type", "fine_tune_type"},
       .choices = {"lora", "full"},
       .refused = {{"use_peft", "write method: lora or method: full"}}});
    v(lora_r, "lora_r", 32, "Rank.",
      {.aliases = {"r", "lora_rank", "rank"}, .min = 1, .max = 65536});
    experts.ForEach(v);
    v(lora_alpha, "lora_alpha", 32.0, "The adapters' product is scaled by lora_alpha / lora_r.",
      {.aliases = {"alpha"},
       .above = 0,
       .refused = {{"scale", "write lora_alpha = scale * lora_r"},
                   {"lora_dropout", "adapters train without dropout; delete the line"}}});
    v(target_modules, "target_modules", {"all-linear"},
      "What gets adapters: all-linear (attention and MLP), attention, mlp, experts, module names, "
      "or "
      "one regular expression. lm_head and router only if named.",
      {.aliases = {"lora_target_modules", "lora_target", "keys"},
       .refused = {{"lora_target_linear", "write target_modules: all-linear"}}});
    factors.ForEach(v);
  }

  template <class V>
  void Training(V& v) {
    v(batch_size, "batch_size", 16,
      "Examples per optimizer step, however they are cut into pieces that fit memory.",
      {.group = "Training",
       .aliases = {"per_step", "per_device_train_batch_size", "train_batch_size"},
       .min = 1,
       .refused = {{"gradient_accumulation_steps", kAccumulation},
                   {"grad_accumulation_steps", kAccumulation},
                   {"micro_batch_size", kAccumulation}}});
    v(micro_batch_tokens, "micro_batch_tokens", 0,
      "Tokens computed at once; 0: as many as memory allows, up to 2048. The longest example must "
      "fit in.",
      {.aliases = {"tokens_per_microbatch"}, .min = 0});
    v(num_train_epochs, "num_train_epochs", 1.0, "Passes over the data.",
      {.aliases = {"num_epochs", "epochs"}, .above = 0, .max = 1e6});
    v(max_steps, "max_steps", std::nullopt, "Stop after so many steps; wins over num_train_epochs.",
      {.aliases = {"iters"}, .min = 1});
    v(learning_rate, "learning_rate", std::nullopt,
      "If not given, computed from the model, the rank and the number of steps by the rule of "
      "\"LoRA Without Regret\", "
      "and printed with its reason.",
      {.aliases = {"lr"}, .above = 0});
    v(lr_scheduler_type, "lr_scheduler_type", "constant",
      "How the learning rate goes. Other than constant moves the best learning_rate.",
      {.aliases = {"lr_scheduler"}, .choices = ScheduleNames()});
    v(warmup_steps, "warmup_steps", 0, "Steps over which the learning rate rises from 0.",
      {.min = 0});
    v(warmup_ratio, "warmup_ratio", 0.0, "The same as a share of all steps.", {.min = 0, .max = 1});
    v(weight_decay, "weight_decay", 0.0, "AdamW's decoupled weight decay.",
      {.min = 0,
       .refused = {{"optim", "AdamW is the optimizer; delete the line"},
                   {"optimizer", "AdamW is the optimizer; delete the line"}}});
    v(adam_beta1, "adam_beta1", 0.9, "Decay of the gradient's mean.", {.min = 0, .max = 0.9999999});
    v(adam_beta2, "adam_beta2", 0.999, "Decay of its square's mean.", {.min = 0, .max = 0.9999999});
    v(adam_epsilon, "adam_epsilon", 1e-8, "Added to the root of the square's mean.", {.above = 0});
    v(max_grad_norm, "max_grad_norm", 1.0, "Longer gradients are cut to this norm; 0: never.",
      {.min = 0});
    v(seed, "seed", 42, "Of the adapters' first values and of the order of the data.", {.min = 0});
  }

  template <class V>
  void Output(V& v) {
    v(eval_steps, "eval_steps", std::nullopt,
      "Evaluate every so many steps; else at the beginning and the end.",
      {.group = "Evaluation", .aliases = {"steps_per_eval"}, .min = 1});
    v(early_stopping_patience, "early_stopping_patience", 0,
      "Stop after so many evaluations without a better loss; 0: never.", {.min = 0});
    v(load_best_model_at_end, "load_best_model_at_end", false,
      "Leave the best evaluated state in output_dir instead of the last one.");
    v(output_dir, "output_dir", "",
      "Folder for the adapter or model, checkpoints, metrics.jsonl and config.yaml.",
      {.group = "Output", .aliases = {"adapter_path", "o"}, .required = true, .metavar = "DIR"});
    v(overwrite_output_dir, "overwrite_output_dir", false,
      "Remove an earlier run's files from output_dir first.", {.aliases = {"overwrite"}});
    v(save_steps, "save_steps", 100,
      "Write a checkpoint every so many steps; 0: only when stopped or done.",
      {.aliases = {"save_every"}, .min = 0});
    v(save_total_limit, "save_total_limit", 2, "Keep so many checkpoints, and the best one.",
      {.min = 1});
    v(resume, "resume", false, "Go on from the last checkpoint in output_dir, bit for bit.");
    v(resume_from_checkpoint, "resume_from_checkpoint", std::nullopt, "Go on from this checkpoint.",
      {.metavar = "DIR"});
    v(logging_steps, "logging_steps", 10, "Steps per log line where the output is no terminal.",
      {.aliases = {"steps_per_report"}, .min = 1});
    v(report_to, "report_to", "tensorboard", "Curves besides metrics.jsonl.",
      {.choices = {"tensorboard", "none"}});
    v(dry_run, "dry_run", false,
      "Print what would be trained, memory, FLOPs and estimated time, and stop.");
    v(json, "json", false, "Print the summary as one JSON object on standard output.");
  }

  static constexpr const char* kAlwaysPacked =
      "examples are always packed, without padding or cross-talk";
  static constexpr const char* kAccumulation =
      "batch_size is the number of examples in a whole step, and what memory holds at once is "
      "worked out";
};

}  // namespace lorikeet
