// The options of `lorikeet pretrain`. What a run does besides is said by those of `lorikeet sft`,
// which are part of them; names are those of transformers' run_clm where it has one.
#pragma once
#include <string>

#include "cli/sft_options.h"

namespace lorikeet {

struct PretrainOptions {
  // Set by SetDefaults or ParseCommandLine, from the declarations below.
  std::string config_name, tokenizer_name;
  int max_length;  // of a block
  SftOptions run;  // the rest; what is not declared here has sft's defaults

  template <class V>
  void ForEach(V& v) {
    ModelAndData(v);
    Training(v);
    run.Output(v);
    run.common.ForEach(v);
  }

 private:
  template <class V>
  void ModelAndData(V& v) {
    v(config_name, "config_name", "",
      "The model's shape: a config.json. vocab_size and the special tokens' ids come from the "
      "tokenizer where it does not name them.",
      {.group = "Model", .aliases = {"shape"}, .required = true, .metavar = "FILE"});
    v(tokenizer_name, "tokenizer_name", "",
      "Folder with tokenizer.json, copied along with the model.",
      {.aliases = {"tokenizer"}, .required = true, .metavar = "DIR"});
    v(run.dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively. Weights are "
      "kept and written in f32.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    v(run.recompute, "recompute", "auto", kRecomputeHelp, RecomputeTraits());
    v(run.data, "data", {}, "JSONL files of documents: {\"text\": ...} a row.",
      {.group = "Data",
       .aliases = {"dataset", "dataset_name", "train_file", "d"},
       .required = true,
       .metavar = "FILE"});
    v(run.eval_data, "eval_data", {}, "Held-out JSONL files.",
      {.aliases = {"eval_dataset", "eval_file", "validation_file"}, .metavar = "FILE"});
    v(run.eval_split, "eval_split", 0.0, "Share of blocks to hold out when eval_data is not given.",
      {.min = 0, .max = 0.9});
    v(max_length, "max_length", 512,
      "Tokens of a block: documents stand end to end, and blocks are cut from them.",
      {.aliases = {"block_size", "max_seq_length", "sequence_len", "max_seq_len"}, .min = 2});
    v(run.shuffle, "shuffle", true,
      "Draw blocks in an order of the seed's; otherwise as they stand in the file.");
  }

  template <class V>
  void Training(V& v) {
    v(run.batch_size, "batch_size", 16, "Blocks per optimizer step.",
      {.group = "Training",
       .aliases = {"per_step", "per_device_train_batch_size", "train_batch_size"},
       .min = 1});
    v(run.micro_batch_tokens, "micro_batch_tokens", 0,
      "Tokens computed at once; 0: as many as memory allows, up to 2048. A block must fit in.",
      {.aliases = {"tokens_per_microbatch"}, .min = 0});
    v(run.num_train_epochs, "num_train_epochs", 1.0, "Passes over the data.",
      {.aliases = {"num_epochs", "epochs"}, .above = 0, .max = 1e6});
    v(run.max_steps, "max_steps", std::nullopt,
      "Stop after so many steps; wins over num_train_epochs.", {.aliases = {"iters"}, .min = 1});
    v(run.learning_rate, "learning_rate", 1e-3,
      "Peak. No rule is known here: small models take "
      "more, large ones less.",
      {.aliases = {"lr"}, .above = 0});
    v(run.lr_scheduler_type, "lr_scheduler_type", "cosine", "How the learning rate goes.",
      {.aliases = {"lr_scheduler"}, .choices = ScheduleNames()});
    v(run.warmup_steps, "warmup_steps", 0, "Steps over which the learning rate rises from 0.",
      {.min = 0});
    v(run.warmup_ratio, "warmup_ratio", 0.02, "The same as a share of all steps.",
      {.min = 0, .max = 1});
    v(run.weight_decay, "weight_decay", 0.1,
      "AdamW's decoupled weight decay, of matrices; norms and biases have none.", {.min = 0});
    v(run.adam_beta1, "adam_beta1", 0.9, "Decay of the gradient's mean.",
      {.min = 0, .max = 0.9999999});
    v(run.adam_beta2, "adam_beta2", 0.95, "Decay of its square's mean.",
      {.min = 0, .max = 0.9999999});
    v(run.adam_epsilon, "adam_epsilon", 1e-8, "Added to the root of the square's mean.",
      {.above = 0});
    v(run.max_grad_norm, "max_grad_norm", 1.0, "Longer gradients are cut to this norm; 0: never.",
      {.min = 0});
    v(run.seed, "seed", 42, "Of the weights' first values and of the order of the data.",
      {.min = 0});
  }
};

}  // namespace lorikeet
