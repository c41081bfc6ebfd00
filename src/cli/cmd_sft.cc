// lorikeet sft: supervised fine-tuning, of an adapter or of every weight.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/sft_job.h"
#include "core/args.h"
#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/progress.h"
#include "core/signals.h"

namespace lorikeet {
namespace {

const CommandHelp& Help() {
  static const CommandHelp kHelp = {
      .name = "sft",
      .summary =
          "Trains a model to answer as the examples of a data file do: low-rank adapters (the "
          "default) or every weight. Begins by saying what will be trained, what memory and time "
          "it takes, and refuses what does not fit. Ctrl-C writes a checkpoint to go on from.",
      .epilog =
          "Examples:\n"
          "  lorikeet sft SmolLM2-135M-Instruct --data chats.jsonl --output_dir out/first\n"
          "  lorikeet sft model.gguf --data train.jsonl --eval_data test.jsonl --eval_steps 50 \\\n"
          "      --early_stopping_patience 3 --load_best_model_at_end --output_dir out/second\n"
          "  lorikeet sft MODEL --data train.jsonl --method full --max_steps 200 --output_dir "
          "out/full\n"
          "  lorikeet sft --config out/first/config.yaml --resume\n"
          "  lorikeet sft MODEL --data train.jsonl --output_dir out/x --dry_run\n"
          "\n"
          "output_dir then holds the adapter as peft reads it (or the whole model), the model's\n"
          "tokenizer and chat template, checkpoint-N/, metrics.jsonl, runs/ for TensorBoard,\n"
          "config.yaml as resolved, and train_summary.json.\n"};
  return kHelp;
}

std::string HowToResume(const SftOptions& options) {
  return fmt::format("lorikeet sft --config {}/config.yaml --resume", options.output_dir);
}

OrderedJson SummaryJson(const SftJob& job, const SftOptions& options, const SftResult& result) {
  const auto nll = [](const std::optional<Evaluation>& evaluation) {
    return evaluation ? OrderedJson(evaluation->nll) : OrderedJson();
  };
  const SftPlan& plan = job.plan;
  const double rate = result.TokensPerSecond();
  return {{"model", plan.model_path},
          {"output_dir", options.output_dir},
          {"method", options.method},
          {"trainable_parameters", plan.trainable},
          {"learning_rate", plan.learning_rate},
          {"batch_size", options.batch_size},
          {"micro_batch_tokens", options.micro_batch_tokens},
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
}

std::string SummaryText(const SftJob& job, const SftOptions& options, const SftResult& result) {
  if (result.interrupted) {
    return result.checkpoint.empty()
               ? "stopped before the first step; nothing was written\n"
               : fmt::format("stopped at step {} of {}; to go on from {}:\n  {}\n", result.steps,
                             result.total_steps, result.checkpoint, HowToResume(options));
  }
  std::string text = fmt::format("{} steps in {}, {:.0f} tokens/s; loss {:.4f} -> {:.4f}\n",
                                 result.steps_here, HumanDuration(result.train_seconds),
                                 result.TokensPerSecond(), result.first_loss, result.last_loss);
  if (result.before && result.after) {
    text += fmt::format("held-out loss {:.4f} -> {:.4f} nats per token", result.before->nll,
                        result.after->nll);
    text += result.best_step >= 0 ? fmt::format(", best at step {}\n", result.best_step) : "\n";
  }
  const char* what = options.method == "full" ? "model" : "adapter";
  text += fmt::format("{} holds the {} of {}", options.output_dir, what,
                      result.holds_best ? fmt::format("the best step, {}", result.best_step)
                                        : fmt::format("the last step, {}", result.steps));
  if (!result.holds_best && result.best_step > 0 && result.best_step != result.steps) {
    text += fmt::format(" (the best is in {}/checkpoint-{})", options.output_dir, result.best_step);
  }
  text += options.method == "full"
              ? fmt::format("\ntry it: lorikeet chat --model {}\n", options.output_dir)
              : fmt::format("\ntry it: lorikeet chat --model {} --adapter {}\n",
                            job.plan.model_path, options.output_dir);
  return text;
}

void WriteBeginning(const SftJob& job, const SftOptions& options) {
  if ((options.overwrite_output_dir || options.resume) && job.config.resume_from.empty()) {
    RemoveEarlierRun(options.output_dir);
  }
  std::error_code error;
  std::filesystem::create_directories(options.output_dir, error);
  if (error) {
    Fail(ErrorCode::kIo, "output_dir {}: cannot create: {}", options.output_dir, error.message());
  }
  WriteTextFiles({job.text_files.back()}, options.output_dir);  // config.yaml
}

SftResult Train(const SftJob& job, const SftOptions& options) {
  Progress progress({.mode = options.common.quiet ? Progress::Mode::kQuiet : Progress::Mode::kAuto,
                     .logging_steps = options.logging_steps,
                     .first_step = job.plan.steps_done});
  SftHooks hooks;
  hooks.progress = &progress;
  hooks.save_text_files = [&](const std::string& dir) { WriteTextFiles(job.text_files, dir); };
  hooks.stop_requested = StopRequested;
  return TrainSft(*job.run, job.train.examples, job.heldout.examples, job.config, hooks);
}

}  // namespace

int RunSft(int argc, char** argv) {
  SftOptions options;
  if (!ParseCommandLine(Help(), argc, argv, options)) return 0;
  options.common.Apply();
  const SftJob job = PrepareSft(options);
  if (options.dry_run) {
    const std::string text = options.json ? PlanJson(job.plan).dump(2) + "\n" : PlanText(job.plan);
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  if (!options.common.quiet) std::fputs((PlanText(job.plan) + "\n").c_str(), stderr);
  WriteBeginning(job, options);
  const SftResult result = Train(job, options);
  const std::string json = SummaryJson(job, options, result).dump(2) + "\n";
  WriteFileAtomically(options.output_dir + "/train_summary.json", json);
  std::fputs(options.json ? json.c_str() : SummaryText(job, options, result).c_str(), stdout);
  return 0;
}

}  // namespace lorikeet
