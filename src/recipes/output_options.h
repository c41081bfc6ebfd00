// The options of a training run's evaluation and output, the same in every command that trains.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "options/args.h"
#include "recipes/foreign_keys.h"

namespace lorikeet {

// Defaults and help texts that differ between commands.
struct OutputOptionsDefaults {
  const char* eval_help = "Evaluate every so many steps; else at the beginning and the end.";
  const char* output_help =
      "Folder for the adapter or model, checkpoints, metrics.jsonl and config.yaml.";
  int64_t save_steps = 100, logging_steps = 10;
};

struct OutputOptions {
  using Defaults = OutputOptionsDefaults;
  std::optional<int64_t> eval_steps;
  std::string output_dir, report_to;
  bool resume, overwrite_output_dir, json;
  int64_t save_steps, logging_steps;
  int save_total_limit;

  template <class V>
  void Evaluation(V& v, const Defaults& defaults = {}) {
    v(eval_steps, "eval_steps", std::nullopt, defaults.eval_help,
      {.group = "Evaluation", .aliases = {"steps_per_eval"}, .min = 1});
  }
  template <class V>
  void ForEach(V& v, const Defaults& defaults = {}) {
    v(output_dir, "output_dir", "", defaults.output_help,
      {.group = "Output", .aliases = {"adapter_path", "o"}, .required = true, .metavar = "DIR"});
    v(overwrite_output_dir, "overwrite_output_dir", false,
      "Remove an earlier run's files from output_dir first.", {.aliases = {"overwrite"}});
    v(save_steps, "save_steps", defaults.save_steps,
      "Write a checkpoint every so many steps; 0: only when stopped or done.",
      {.aliases = {"save_every"}, .min = 0});
    v(save_total_limit, "save_total_limit", 2, "Keep so many checkpoints, and the best one.",
      {.min = 1});
    v(resume, "resume", false, "Resume from the last checkpoint in output_dir, bit for bit.");
    v(logging_steps, "logging_steps", defaults.logging_steps,
      "Steps per log line where the output is no terminal.",
      {.aliases = {"steps_per_report"}, .min = 1});
    v(report_to, "report_to", "tensorboard", "Curves besides metrics.jsonl.",
      {.choices = {"tensorboard", "none"}, .foreign = ForeignTrainerKeys()});
    v(json, "json", false, "Print the summary as one JSON object on standard output.");
  }
};

}  // namespace lorikeet
