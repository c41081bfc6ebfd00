// The options of `lorikeet study`, around those that decide its runs (study/settings.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recipes/common_options.h"
#include "recipes/rendering.h"
#include "study/settings.h"

namespace lorikeet {

struct StudyOptions {
  // Set by SetDefaults or ParseCommandLine, from the declarations below.
  std::string experiment;
  std::vector<std::string> model, data, eval_data;
  double eval_split;
  int eval_examples;
  RenderingOptions rendering;
  std::string dtype, output_dir;
  std::optional<std::string> worker;
  StudySettings settings;
  int jobs;
  int64_t save_steps;
  bool dry_run, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(experiment, "experiment", "",
      "The experiment; or `report` to write DIR's report again, `claims` to collect the findings "
      "of several DIRs.",
      {.group = "Study", .required = true, .positional = true, .metavar = "NAME"});
    v(model, "model", {},
      "Model folders, GGUF files or names in the cache; `law` takes several. For `report` and "
      "`claims`: folders of studies.",
      {.aliases = {"model_name_or_path", "base_model", "m"},
       .positional = true,
       .metavar = "PATH"});
    v(data, "data", {}, "JSONL files to learn from; for `rl`: of problems, unless task is given.",
      {.group = "Data", .aliases = {"dataset", "train_file", "d"}, .metavar = "FILE"});
    v(eval_data, "eval_data", {}, "Held-out JSONL files.",
      {.aliases = {"eval_dataset", "eval_file", "validation_file"}, .metavar = "FILE"});
    v(eval_split, "eval_split", 0.05, "Share of data to hold out when eval_data is not given.",
      {.above = 0, .max = 0.9});
    v(eval_examples, "eval_examples", 200, "Held-out examples to evaluate, the first ones; 0: all.",
      {.min = 0});
    rendering.Columns(v);
    rendering.MaxLength(v, 512);
    rendering.Overlong(v);
    rendering.TrainedTokens(v);
    rendering.Template(v);
    v(dtype, "dtype", "auto", "Dtype of products.", {.choices = {"auto", "bf16", "f32"}});
    settings.ForEach(v);
    v(output_dir, "output_dir", "out/study",
      "Folder of the study. Several experiments may share one, and then share their runs.",
      {.group = "Running", .aliases = {"o"}, .metavar = "DIR"});
    v(jobs, "jobs", 1, "Processes that make runs at the same time, each with its share of threads.",
      {.aliases = {"j"}, .min = 1, .max = 1024});
    v(save_steps, "save_steps", 0,
      "Steps between checkpoints of a run, for long ones; 0: only when stopped.", {.min = 0});
    v(dry_run, "dry_run", false, "Print the plan and its cost, and stop.");
    v(json, "json", false, "Print the findings as JSON.");
    v(worker, "worker", std::nullopt,
      "Make the runs of this file and stop; the program starts itself so for --jobs.",
      {.metavar = "FILE"});
    common.ForEach(v);
  }
};

}  // namespace lorikeet
