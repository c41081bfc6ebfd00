// lorikeet pretrain: trains a model from random weights on plain text.
#include <cstdio>

#include "cli/commands.h"
#include "cli/pretrain_job.h"
#include "cli/sft_run.h"
#include "options/args.h"

namespace lorikeet {
namespace {

const CommandHelp& Help() {
  static const CommandHelp kHelp = {
      .name = "pretrain",
      .summary =
          "Trains a new model from random weights to continue plain text. Documents are joined end "
          "to "
          "end, with the end-of-text token between them, and cut into blocks of max_length tokens. "
          "Meant for small base models for experiments; the training loop is that of lorikeet sft.",
      .epilog =
          "Examples:\n"
          "  lorikeet pretrain --config_name examples/pretrain/w128.json \\\n"
          "      --tokenizer_name examples/pretrain/tokenizer --data train.jsonl \\\n"
          "      --eval_data heldout.jsonl --output_dir out/base/w128\n"
          "  lorikeet pretrain --config examples/pretrain/base.yaml \\\n"
          "      --config_name examples/pretrain/w64.json --seed 1 --output_dir out/w64-1\n"
          "  lorikeet pretrain --config out/base/w128/config.yaml --resume\n"
          "\n"
          "output_dir then holds a Hugging Face folder with the tokenizer, checkpoint-N/,\n"
          "metrics.jsonl, runs/ for TensorBoard, config.yaml as resolved and "
          "train_summary.json.\n"};
  return kHelp;
}

}  // namespace

int RunPretrain(int argc, char** argv) {
  PretrainOptions options;
  SetDefaults(options.sft);
  if (!ParseCommandLine(Help(), argc, argv, options)) return 0;
  options.sft.common.Apply();
  const SftJob job = PreparePretrain(options);
  if (options.sft.dry_run) {
    const std::string text =
        options.sft.output.json ? PlanJson(job.plan).dump(2) + "\n" : PlanText(job.plan);
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  return RunSftJob(job, options.sft, "pretrain");
}

}  // namespace lorikeet
