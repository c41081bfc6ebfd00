// lorikeet rl: reinforcement learning with rewards that a program computes.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/sft_run.h"
#include "core/file.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/signals.h"
#include "engine/other_files.h"
#include "options/args.h"
#include "options/args_help.h"
#include "recipes/rl_job.h"
#include "recipes/sft_job.h"
#include "rl/rl_monitor.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

std::string Epilog() {
  std::string text = "Generated tasks\n";
  for (const Task& task : GeneratedTasks()) {
    text += HelpEntry(task.name, fmt::format("{}\ndifficulty {} to {} [{}]: {}", task.summary,
                                             task.min_difficulty, task.max_difficulty,
                                             task.default_difficulty, task.difficulty_meaning));
  }
  text += "\nObjectives\n";
  for (const Objective& objective : Objectives()) {
    text += HelpEntry(objective.name, objective.summary);
  }
  return text +
         "\nExamples:\n"
         "  lorikeet rl SmolLM2-135M-Instruct --task add --lora_r 1 --max_steps 50 --output_dir "
         "out/add\n"
         "  lorikeet rl MODEL --data gsm8k.jsonl --grader gsm8k --max_tokens 256 --output_dir "
         "out/gsm8k\n"
         "  lorikeet rl MODEL --data prompts.jsonl --grader none --reward_command 'python3 "
         "reward.py' \\\n      --output_dir out/own\n"
         "  lorikeet rl --config out/add/config.yaml --resume\n";
}

std::string BeginningText(const RlJob& job, const RlOptions& options) {
  std::string text = fmt::format(
      "{}: {} of {} parameters trained ({}), {}\n{} prompts x {} completions a step, {} steps, "
      "objective {}\n",
      options.model, HumanCount(job.run->NumTrainable()),
      HumanCount(job.loaded.model->NumParameters()),
      options.run.adapter.full() ? "full" : fmt::format("LoRA r={}", options.run.adapter.lora_r),
      DTypeName(job.loaded.model->compute()), options.run.steps.batch_size, options.rl().group_size,
      *options.run.steps.max_steps, options.rl().objective);
  text += fmt::format("rewards: {}\n", fmt::join(options.rl().rewards, " + "));
  if (options.run.adapter.adapter) {
    text += fmt::format("starting from {}\n", *options.run.adapter.adapter);
  }
  for (const std::string& note : job.expert_notes) text += note + "\n";
  text += fmt::format("learning rate {:g}{}{}\n", job.config.learning_rate,
                      job.learning_rate_reason.empty() ? "" : ": ", job.learning_rate_reason);
  for (const std::string& note : job.notes) text += note + "\n";
  return text + fmt::format("memory: about {}\n\n", HumanBytes(job.planned_bytes));
}

OrderedJson EvaluationJson(const std::optional<HeldOutResult>& e) {
  if (!e) return OrderedJson();
  OrderedJson json = {{"accuracy", e->accuracy}};
  for (const auto& [k, share] : e->pass_at) json[fmt::format("pass@{}", k)] = share;
  return json;
}

OrderedJson SummaryJson(const RlJob& job, const RlOptions& options, const RlResult& r) {
  return {{"model", options.model},
          {"output_dir", options.output.output_dir},
          {"method", options.run.adapter.method},
          {"objective", options.rl().objective},
          {"trainable_parameters", job.run->NumTrainable()},
          {"learning_rate", job.config.learning_rate},
          {"steps", r.steps},
          {"interrupted", r.interrupted},
          {"checkpoint", r.checkpoint},
          {"first_reward", r.first_reward},
          {"last_reward", r.last_reward},
          {"heldout_before", EvaluationJson(r.before)},
          {"heldout_after", EvaluationJson(r.after)},
          {"runaway", r.runaway},
          {"steps_without_signal", r.steps_without_signal},
          {"skipped_problems", r.skipped_problems},
          {"logp_difference_max", r.largest_logp_difference},
          {"sampling_seconds", r.sampling_seconds},
          {"training_seconds", r.training_seconds},
          {"samples", r.samples},
          {"sampled_tokens", r.sampled_tokens},
          {"trained_tokens", r.trained_tokens},
          {"peak_rss_bytes", PeakResidentBytes()}};
}

std::string SummaryText(const RlOptions& options, const RlResult& r) {
  if (r.interrupted) {
    return r.checkpoint.empty()
               ? fmt::format(
                     "stopped before the first step; to start it: lorikeet rl --config "
                     "{}/config.yaml --resume\n",
                     options.output.output_dir)
               : fmt::format(
                     "stopped at step {} of {}; to resume:\n  lorikeet rl --config "
                     "{}/config.yaml --resume\n",
                     r.steps, *options.run.steps.max_steps, options.output.output_dir);
  }
  std::string text =
      fmt::format("{} steps; reward {:.3f} at first -> {:.3f}, mean of the last {}", r.steps,
                  r.first_reward, r.last_reward, std::min<int64_t>(r.steps, RlMonitor::kRecent));
  const double seconds = r.sampling_seconds + r.training_seconds;
  text += seconds > 0 ? fmt::format("; {} of the time in sampling, {} in training\n",
                                    Percent(r.sampling_seconds / seconds),
                                    Percent(r.training_seconds / seconds))
                      : "; no step in this process\n";
  if (r.before && r.after) {
    text += fmt::format("held-out problems solved: {} -> {}", Percent(r.before->accuracy),
                        Percent(r.after->accuracy));
    for (size_t i = 0; i < std::min(r.before->pass_at.size(), r.after->pass_at.size()); ++i) {
      text +=
          fmt::format(", pass@{} {} -> {}", r.after->pass_at[i].first,
                      Percent(r.before->pass_at[i].second), Percent(r.after->pass_at[i].second));
    }
    text += "\n";
  }
  if (2 * r.steps_without_signal > r.steps) {
    text += fmt::format(
        "in {} of {} steps the completions of each prompt all had the same reward (or none): "
        "nothing "
        "was learned from them\n",
        r.steps_without_signal, r.steps);
  }
  if (r.runaway)
    text += "completion lengths have exploded; treat this run as failed, whatever the reward\n";
  return text + (options.run.adapter.full()
                     ? fmt::format("try it: lorikeet chat --model {}\n", options.output.output_dir)
                     : fmt::format("try it: lorikeet chat --model {} --adapter {}\n", options.model,
                                   options.output.output_dir));
}

}  // namespace

int RunRl(int argc, char** argv) {
  RlOptions options;
  const std::string epilog = Epilog();
  const CommandHelp help = {
      .name = "rl",
      .summary =
          "Trains a chat model on tasks whose answers a program can check: samples groups of "
          "answers, grades them, and makes the better ones more likely. Sampling and training "
          "agree "
          "to the last bit. Ctrl-C writes a checkpoint to resume from.",
      .epilog = epilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  RlJob job = PrepareRl(options);
  if (!options.common.quiet) std::fputs(BeginningText(job, options).c_str(), stderr);
  // A resumed run that is refused must not have changed config.yaml, which resumes it.
  if (const std::string& from = job.config.loop.resume_from; !from.empty()) {
    const Json state = ReadRunState(from);
    if (state.contains("settings")) {
      RequireSameSettings(state.at("settings"), job.config.settings, from);
    }
  }
  // A run that ended before its first checkpoint left nothing to resume from.
  const bool may_remove = options.output.overwrite_output_dir || options.output.resume;
  const std::optional<FolderLock> lock =
      BeginOutputDir(options.output.output_dir, may_remove && job.config.loop.resume_from.empty(),
                     job.text_files.back(), job.lock.has_value());  // config.yaml
  Progress progress({.mode = options.common.quiet ? Progress::Mode::kQuiet : Progress::Mode::kAuto,
                     .logging_steps = options.output.logging_steps,
                     .figure = "reward",
                     .first_step = job.steps_done});
  job.hooks.loop.progress = &progress;
  job.hooks.loop.save_text_files = [&](const std::string& dir) {
    WriteTextFiles(job.text_files, dir);
    if (options.run.adapter.full() && dir == options.output.output_dir) {
      CopyOtherFiles(job.loaded.model->source(), dir);
    }
  };
  job.hooks.loop.stop_requested = StopRequested;
  const RlResult result =
      TrainRl(*job.run, *job.generator, job.Format(options), job.config, job.hooks);
  progress.Finish();
  const std::string json = SummaryJson(job, options, result).dump(2) + "\n";
  WriteFileAtomically(options.output.output_dir + "/train_summary.json", json);
  std::fputs(options.output.json ? json.c_str() : SummaryText(options, result).c_str(), stdout);
  return ReportNothingLearned(result.nothing_learned, options.output.output_dir);
}

}  // namespace lorikeet
