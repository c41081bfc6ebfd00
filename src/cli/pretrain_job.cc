#include "cli/pretrain_job.h"

#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/blocks.h"
#include "model/initialise.h"
#include "options/args.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// A folder of its own, removed with the object. What is mapped from it stays mapped.
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

// The shape with what the tokenizer decides filled in.
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
  fill("max_position_embeddings", options.max_length);
  const ModelConfig parsed = ReadModelConfig(config, where);
  if (parsed.vocab_size < vocabulary) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: vocab_size {} is less than the {} tokens of {}; leave the key out", where,
         parsed.vocab_size, vocabulary, options.tokenizer_name);
  }
  if (parsed.max_position_embeddings < options.max_length) {
    Fail(ErrorCode::kInvalidArgument,
         "max_length {} is more than max_position_embeddings {} of {}; lower the one or raise the "
         "other",
         options.max_length, parsed.max_position_embeddings, where);
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

// Bytes of text that the held-out targets stand for.
int64_t TextBytes(const Dataset& data, const Tokenizer& tokenizer) {
  int64_t bytes = 0;
  for (const Example& example : data.examples) {
    const std::string text = tokenizer.Decode(example.target_tokens, /*skip_special_tokens=*/true);
    bytes += static_cast<int64_t>(text.size());
  }
  return bytes;
}

}  // namespace

SftJob PreparePretrain(PretrainOptions& options) {
  SftOptions& run = options.run;
  CheckOutputDir(
      run.output_dir, {options.tokenizer_name},
      run.resume || run.resume_from_checkpoint || run.overwrite_output_dir || run.dry_run);
  const TokenizerBundle bundle = LoadTokenizerBundle(ReadTokenizerFolder(options.tokenizer_name));
  RequireEos(bundle, options.tokenizer_name);
  const Json config = ConfigWithTokenizer(options, bundle);
  const ScratchFolder scratch;
  WriteInitialModel(config, options.config_name, static_cast<uint64_t>(run.seed), scratch.path());
  WriteTextFiles(TextFilesIn(options.tokenizer_name), scratch.path());

  run.model = scratch.path();
  run.method = "full";
  run.train_on = "all";
  run.max_length = 0;  // documents are read whole
  SftJob job = PrepareSft(run, [&](const Dataset& documents) {
    return CutIntoBlocks(documents, options.max_length, bundle.eos_id);
  });
  job.config.optim.decay_matrices_only = true;
  job.plan.model_path = options.config_name;
  job.plan.heldout_bytes = TextBytes(job.heldout, bundle.tokenizer);
  PretrainOptions resolved = options;
  resolved.run.resume = resolved.run.overwrite_output_dir = resolved.run.dry_run = false;
  resolved.run.resume_from_checkpoint.reset();
  job.text_files.back().content = ToYaml(OptionTable(resolved));
  return job;
}

}  // namespace lorikeet
