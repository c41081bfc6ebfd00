// The options of `lorikeet sft`. Names are those of TRL and PEFT where they have one; the names in
// axolotl, LLaMA-Factory and mlx-lm are accepted too. Keys of theirs that mean something else here
// are refused with advice.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recipes/common_options.h"
#include "recipes/output_options.h"
#include "recipes/run.h"

namespace lorikeet {

struct SftOptions {
  // Set by SetDefaults or ParseCommandLine, from the declarations below and those of the blocks.
  std::string model, dtype;
  std::vector<std::string> data, eval_data;
  double eval_split;
  Run run;  // its objective is Sft, until a command that shares this struct changes it
  int early_stopping_patience;
  bool load_best_model_at_end, dry_run;
  std::optional<std::string> resume_from_checkpoint;
  OutputOptions output;
  CommonOptions common;
  std::vector<std::string> typed;  // options given as flags or by --set

  template <class V>
  void ForEach(V& v) {
    ModelAndData(v);
    run.adapter.ForEach(v);
    run.steps.Batch(
        v, "Examples per optimizer step, however they are cut into pieces that fit memory.");
    run.steps.MicroBatch(v, 0,
                         "Tokens computed at once; 0: as many as memory allows, up to 2048. The "
                         "longest example must fit in.");
    run.steps.Length(v);
    run.steps.Seed(v, "Seed of the adapters' initial values and of the order of the data.");
    run.optimizer.ForEach(v);
    Results(v);
    common.ForEach(v);
  }
  // Evaluation and output, as `lorikeet pretrain` has them too.
  template <class V>
  void Results(V& v) {
    output.Evaluation(v);
    v(early_stopping_patience, "early_stopping_patience", 0,
      "Stop after so many evaluations without a better loss; 0: never.", {.min = 0});
    v(load_best_model_at_end, "load_best_model_at_end", false,
      "Leave the best evaluated state in output_dir instead of the last one.");
    output.ForEach(v);
    v(resume_from_checkpoint, "resume_from_checkpoint", std::nullopt,
      "Resume from this checkpoint.", {.metavar = "DIR"});
    v(dry_run, "dry_run", false,
      "Print what would be trained, memory, FLOPs and estimated time, and stop.");
  }

 private:
  template <class V>
  void ModelAndData(V& v) {
    v(model, "model", "",
      "Model to start from: folder in Hugging Face layout, GGUF file, or name in the cache.",
      {.group = "Model",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"},
       .choices = {"auto", "bf16", "f32"},
       .foreign = ForeignPrecisionKeys()});
    run.steps.Memory(v);
    v(data, "data", {},
      "JSONL files to learn from: messages, prompt/completion, text, Alpaca or ShareGPT.",
      {.group = "Data",
       .aliases = {"dataset", "dataset_name", "train_file", "d"},
       .required = true,
       .metavar = "FILE",
       .foreign = {{"datasets", "list the files under data"},
                   {"dataset_dir", "write whole paths under data"}}});
    v(eval_data, "eval_data", {}, "Held-out JSONL files.",
      {.aliases = {"eval_dataset", "eval_file", "validation_file"}, .metavar = "FILE"});
    v(eval_split, "eval_split", 0.0, "Share of data to hold out when eval_data is not given.",
      {.aliases = {"val_size", "val_set_size"}, .min = 0, .max = 0.9});
    RenderingOptions& rendering = std::get<Sft>(run.objective).rendering;
    rendering.Columns(v);
    rendering.MaxLength(v);
    rendering.Overlong(v);
    rendering.TrainedTokens(v);
    rendering.Template(v);
    run.steps.Shuffle(
        v, "Draw examples in an order of the seed's; otherwise as they stand in the file.");
  }
};

}  // namespace lorikeet
