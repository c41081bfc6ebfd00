// lorikeet sft: supervised fine-tuning, of an adapter or of every weight.
#include <cstdio>

#include "cli/commands.h"
#include "cli/sft_run.h"
#include "options/args.h"

namespace lorikeet {
namespace {

const CommandHelp& Help() {
  static const CommandHelp kHelp = {
      .name = "sft",
      .summary =
          "Trains a model to answer as the examples of a data file do: low-rank adapters (the "
          "default) or every weight. First prints what will be trained and the memory and time "
          "that "
          "it needs, and refuses what does not fit. Ctrl-C writes a checkpoint to resume from.",
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

}  // namespace

int RunSft(int argc, char** argv) {
  SftOptions options;
  if (!ParseCommandLine(Help(), argc, argv, options)) return 0;
  options.common.Apply();
  const SftJob job = PrepareSft(options);
  if (options.dry_run) {
    const std::string text =
        options.output.json ? PlanJson(job.plan).dump(2) + "\n" : PlanText(job.plan);
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  return RunSftJob(job, options);
}

}  // namespace lorikeet
