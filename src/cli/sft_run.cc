#include "cli/sft_run.h"

#include <fmt/format.h>

#include <cstdio>
#include <numbers>
#include <optional>

#include "core/file.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/progress.h"
#include "core/signals.h"
#include "engine/other_files.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

std::string HowToResume(const std::string& command, const SftOptions& options) {
  return fmt::format("lorikeet {} --config {}/config.yaml --resume", command,
                     options.output.output_dir);
}

// The loss per byte of the held-out text; nothing where its bytes were not counted.
std::optional<double> BitsPerByte(const SftPlan& plan, const std::optional<Evaluation>& at) {
  if (!at || plan.heldout_bytes == 0) return std::nullopt;
  return at->nll / std::numbers::ln2 * static_cast<double>(plan.heldout_trained_tokens) /
         static_cast<double>(plan.heldout_bytes);
}

OrderedJson SummaryJson(const SftJob& job, const SftOptions& options, const SftResult& result) {
  const auto nll = [](const std::optional<Evaluation>& evaluation) {
    return evaluation ? OrderedJson(evaluation->nll) : OrderedJson();
  };
  const SftPlan& plan = job.plan;
  const double rate = result.TokensPerSecond();
  OrderedJson json = {
      {"model", plan.model_path},
      {"output_dir", options.output.output_dir},
      {"method", options.run.adapter.method},
      {"trainable_parameters", plan.trainable},
      {"learning_rate", *options.run.optimizer.learning_rate},
      {"batch_size", options.run.steps.batch_size},
      {"micro_batch_tokens", options.run.steps.micro_batch_tokens},
      {"examples", plan.data.examples},
      {"steps", result.steps},
      {"total_steps", result.total_steps},
      {"interrupted", result.interrupted},
      {"stopped_early", result.stopped_early},
      {"result", result.interrupted  ? "none"
                 : result.holds_best ? "best"
                                     : "last"},
      {"best_step", result.best_step < 0 ? OrderedJson() : OrderedJson(result.best_step)},
      {"checkpoint", result.checkpoint},
      {"first_loss", result.first_loss},
      {"last_loss", result.last_loss},
      {"heldout_nll_before", nll(result.before)},
      {"heldout_nll_after", nll(result.after)},
      {"train_seconds", result.train_seconds},
      {"steps_in_this_process", result.steps_here},
      {"tokens", result.tokens},
      {"trained_tokens", result.trained_tokens},
      {"tokens_per_second", rate},
      {"flops_per_token", plan.flops.total()},
      {"matmul_peak_gflops", plan.peak_flops / 1e9},
      {"model_flops_utilization",
       plan.peak_flops > 0 ? rate * plan.flops.total() / plan.peak_flops : 0},
      {"peak_rss_bytes", PeakResidentBytes()}};
  if (const auto bits = BitsPerByte(plan, result.after))
    json["heldout_bits_per_byte_after"] = *bits;
  return json;
}

std::string SummaryText(const SftJob& job, const SftOptions& options, const SftResult& result,
                        const std::string& command) {
  if (result.interrupted) {
    return result.checkpoint.empty()
               ? fmt::format("stopped before the first step; to start it:\n  {}\n",
                             HowToResume(command, options))
               : fmt::format("stopped at step {} of {}; to resume from {}:\n  {}\n", result.steps,
                             result.total_steps, result.checkpoint, HowToResume(command, options));
  }
  std::string text = fmt::format("{} steps in {}, {:.0f} tokens/s; loss {:.4f} -> {:.4f}\n",
                                 result.steps_here, HumanDuration(result.train_seconds),
                                 result.TokensPerSecond(), result.first_loss, result.last_loss);
  if (result.before && result.after) {
    text += fmt::format("held-out loss {:.4f} -> {:.4f} nats per token", result.before->nll,
                        result.after->nll);
    if (const auto bits = BitsPerByte(job.plan, result.after)) {
      text += fmt::format(", {:.4f} bits per byte", *bits);
    }
    text += result.best_step >= 0 ? fmt::format(", best at step {}\n", result.best_step) : "\n";
  }
  const char* what = options.run.adapter.full() ? "model" : "adapter";
  text += fmt::format("{} holds the {} of {}", options.output.output_dir, what,
                      result.holds_best ? fmt::format("the best step, {}", result.best_step)
                                        : fmt::format("the last step, {}", result.steps));
  if (!result.holds_best && result.best_step > 0 && result.best_step != result.steps) {
    text += fmt::format(" (the best is in {}/checkpoint-{})", options.output.output_dir,
                        result.best_step);
  }
  text += options.run.adapter.full()
              ? fmt::format("\ntry it: lorikeet chat --model {}\n", options.output.output_dir)
              : fmt::format("\ntry it: lorikeet chat --model {} --adapter {}\n",
                            job.plan.model_path, options.output.output_dir);
  return text;
}

SftResult Train(const SftJob& job, const SftOptions& options) {
  Progress progress({.mode = options.common.quiet ? Progress::Mode::kQuiet : Progress::Mode::kAuto,
                     .logging_steps = options.output.logging_steps,
                     .first_step = job.plan.steps_done});
  SftHooks hooks;
  hooks.loop.progress = &progress;
  hooks.loop.save_text_files = [&](const std::string& dir) {
    WriteTextFiles(job.text_files, dir);
    if (options.run.adapter.full() && dir == options.output.output_dir) {
      CopyOtherFiles(job.loaded->model->source(), dir);
    }
  };
  hooks.loop.stop_requested = StopRequested;
  return TrainSft(*job.run, job.train.examples, job.heldout.examples, job.config, hooks);
}

}  // namespace

int ReportNothingLearned(const std::string& why, const std::string& output_dir) {
  if (why.empty()) return 0;
  fmt::print(stderr, "lorikeet: error: {}; {} holds what the run began with\n", why, output_dir);
  return 1;
}

int RunSftJob(const SftJob& job, const SftOptions& options, const std::string& command) {
  if (!options.common.quiet) std::fputs((PlanText(job.plan) + "\n").c_str(), stderr);
  // A resumed run that is refused must not have changed config.yaml, with which that run is
  // resumed.
  if (const std::string& from = job.config.loop.resume_from; !from.empty()) {
    RequireSameSettings(ReadRunState(from).at("settings"), job.config.settings, from);
  }
  // A run that ended before its first checkpoint left nothing to resume from.
  const bool may_remove = options.output.overwrite_output_dir || options.output.resume;
  const std::optional<FolderLock> lock =
      BeginOutputDir(options.output.output_dir, may_remove && job.config.loop.resume_from.empty(),
                     job.text_files.back(), job.lock.has_value());  // config.yaml
  const SftResult result = Train(job, options);
  const std::string json = SummaryJson(job, options, result).dump(2) + "\n";
  WriteFileAtomically(options.output.output_dir + "/train_summary.json", json);
  std::fputs(
      options.output.json ? json.c_str() : SummaryText(job, options, result, command).c_str(),
      stdout);
  return ReportNothingLearned(result.nothing_learned, options.output.output_dir);
}

}  // namespace lorikeet
