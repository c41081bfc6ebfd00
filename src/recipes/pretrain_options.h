// The options of `lorikeet pretrain`: those of `lorikeet sft` that apply, with defaults of their
// own; names are those of transformers' run_clm where it has one.
#pragma once
#include <string>

#include "recipes/sft_options.h"

namespace lorikeet {

struct PretrainOptions {
  // Set by SetDefaults or ParseCommandLine, from the declarations below.
  std::string config_name, tokenizer_name;
  Pretrain objective;
  SftOptions sft;  // the rest; what is not declared here has sft's defaults

  template <class V>
  void ForEach(V& v) {
    ModelAndData(v);
    Training(v);
    sft.Results(v);
    sft.common.ForEach(v);
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
    v(sft.dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively. Weights are "
      "kept and written in f32.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    sft.run.steps.Memory(v);
    v(sft.data, "data", {}, "JSONL files of documents: {\"text\": ...} a row.",
      {.group = "Data",
       .aliases = {"dataset", "dataset_name", "train_file", "d"},
       .required = true,
       .metavar = "FILE"});
    v(sft.eval_data, "eval_data", {}, "Held-out JSONL files.",
      {.aliases = {"eval_dataset", "eval_file", "validation_file"}, .metavar = "FILE"});
    v(sft.eval_split, "eval_split", 0.0, "Share of blocks to hold out when eval_data is not given.",
      {.min = 0, .max = 0.9});
    objective.ForEach(v);
    sft.run.steps.Shuffle(
        v, "Draw blocks in an order of the seed's; otherwise as they stand in the file.");
  }

  template <class V>
  void Training(V& v) {
    sft.run.steps.Batch(v, "Blocks per optimizer step.");
    sft.run.steps.MicroBatch(
        v, 0,
        "Tokens computed at once; 0: as many as memory allows, up to 2048. A block must fit in.");
    sft.run.steps.Length(v);
    sft.run.steps.Seed(v, "Seed of the weights' initial values and of the order of the data.");
    sft.run.optimizer.ForEach(
        v,
        {.learning_rate = 1e-3,
         .rate_help = "Peak. No rule is known here: small models take more, large ones less.",
         .schedule = "cosine",
         .schedule_help = "Schedule of the learning rate.",
         .warmup_ratio = 0.02,
         .weight_decay = 0.1,
         .adam_beta2 = 0.95,
         .decay_help = "AdamW's decoupled weight decay, of matrices; norms and biases have none."});
  }
};

}  // namespace lorikeet
