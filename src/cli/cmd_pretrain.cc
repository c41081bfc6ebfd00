// lorikeet pretrain: trains a model from random weights on plain text.
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/sft_run.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/blocks.h"
#include "model/initialise.h"
#include "options/args.h"
#include "recipes/prepare.h"
#include "recipes/pretrain_options.h"
#include "recipes/sft_job.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

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

// A temporary folder, removed with the object. Mapped files stay mapped.
class ScratchFolder {
 public:
  ScratchFolder()
      : path_(fs::temp_directory_path() / ("lorikeet_pretrain_" + std::to_string(getpid()))) {
    CreateFolders(path_.string());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

// config.json with missing values filled in from the tokenizer.
Json ConfigWithTokenizer(const PretrainOptions& options, const TokenizerBundle& bundle) {
  const std::string& where = options.config_name;
  Json config = ParseJson(ReadFile(where), where);
  if (!config.is_object()) Fail(ErrorCode::kInvalidArgument, "{}: not a JSON object", where);
  const auto fill = [&config](const char* key, int64_t value) {
    if (value >= 0 && (!config.contains(key) || config[key].is_null())) config[key] = value;
  };
  const auto vocabulary = static_cast<int64_t>(bundle.tokenizer.VocabSize());
  fill("vocab_size", vocabulary);
  fill("bos_token_id", bundle.bos_id);
  fill("eos_token_id", bundle.eos_id);
  fill("pad_token_id", bundle.pad_id);
  fill("max_position_embeddings", options.objective.max_length);
  const ModelConfig parsed = ReadModelConfig(config, where);
  if (parsed.vocab_size < vocabulary) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: vocab_size {} is less than the {} tokens of {}; leave the key out", where,
         parsed.vocab_size, vocabulary, options.tokenizer_name);
  }
  if (parsed.max_position_embeddings < options.objective.max_length) {
    Fail(ErrorCode::kInvalidArgument,
         "max_length {} is more than max_position_embeddings {} of {}; lower the one or raise the "
         "other",
         options.objective.max_length, parsed.max_position_embeddings, where);
  }
  return config;
}

void RequireEos(const TokenizerBundle& bundle, const std::string& where) {
  if (bundle.eos_id >= 0) return;
  Fail(ErrorCode::kInvalidArgument,
       "{}: the tokenizer has no eos_token to stand between documents; name one in "
       "tokenizer_config.json",
       where);
}

// Bytes of the decoded text of the held-out targets.
int64_t TextBytes(const Dataset& data, const Tokenizer& tokenizer) {
  int64_t bytes = 0;
  for (const Example& example : data.examples) {
    const std::string text = tokenizer.Decode(example.target_tokens, /*skip_special_tokens=*/true);
    bytes += static_cast<int64_t>(text.size());
  }
  return bytes;
}

// From the options to a job of the loop that fine-tunes: a model of random weights, trained in full
// on documents cut into blocks. The random model exists on disk only while this runs; a resumed run
// makes the same one again and then reads its checkpoint. Throws Error as PrepareSft.
SftJob PreparePretrain(PretrainOptions& options) {
  SftOptions& sft = options.sft;
  CheckOutputDir(sft.output.output_dir, {options.tokenizer_name},
                 sft.output.resume || sft.resume_from_checkpoint ||
                     sft.output.overwrite_output_dir || sft.dry_run);
  const TokenizerBundle bundle = LoadTokenizerBundle(ReadTokenizerFolder(options.tokenizer_name));
  RequireEos(bundle, options.tokenizer_name);
  const Json config = ConfigWithTokenizer(options, bundle);
  const ScratchFolder scratch;
  WriteInitialModel(config, options.config_name, static_cast<uint64_t>(sft.run.steps.seed),
                    scratch.path());
  WriteTextFiles(TextFilesIn(options.tokenizer_name), scratch.path());

  sft.model = scratch.path();
  sft.run.adapter.method = "full";
  sft.run.objective = options.objective;
  SftJob job = PrepareTraining(sft, [&](const Dataset& documents) {
    return CutIntoBlocks(documents, options.objective.max_length, bundle.eos_id);
  });
  job.plan.model_path = options.config_name;
  job.plan.heldout_bytes = TextBytes(job.heldout, bundle.tokenizer);
  PretrainOptions resolved = options;
  resolved.sft.output.resume = resolved.sft.output.overwrite_output_dir = resolved.sft.dry_run =
      false;
  resolved.sft.resume_from_checkpoint.reset();
  job.text_files = CollectFiles(*job.loaded, {}, ToYaml(OptionTable(resolved)));
  return job;
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
