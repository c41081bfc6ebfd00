// lorikeet convert: a GGUF file, or a folder in another dtype, as a Hugging Face folder.
#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/model_folder.h"
#include "core/args.h"
#include "core/format.h"

namespace lorikeet {
namespace {

struct ConvertOptions {
  std::string model, output_dir, dtype;
  bool overwrite, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "",
      "What to convert: GGUF file, folder in Hugging Face layout, or name in the cache.",
      {.group = "Convert",
       .aliases = {"model_name_or_path", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(output_dir, "output_dir", "", "Folder to write.",
      {.aliases = {"o"}, .required = true, .positional = true, .metavar = "DIR"});
    v(dtype, "dtype", "auto",
      "What to store weights in; auto: as they are, bf16 where they are quantised.",
      {.aliases = {"torch_dtype"}, .choices = {"auto", "bf16", "f32", "f16"}});
    v(overwrite, "overwrite", false, "Replace an existing model folder.");
    v(json, "json", false, "Print the result as one JSON object.");
    common.ForEach(v);
  }
};

constexpr const char* kSummary =
    "Writes a model as a Hugging Face folder: config.json, model.safetensors (sharded above 4 "
    "GiB), tokenizer, chat template and generation_config.json. Reads GGUF files (F32, F16, BF16, "
    "Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K; llama, qwen2 and qwen3), whose weights it "
    "dequantises, and folders, whose dtype it may change. The folder appears whole or not at all.";

constexpr const char* kEpilog =
    "Examples:\n"
    "  lorikeet convert SmolLM2-135M-Instruct.Q4_1.gguf smollm2\n"
    "  lorikeet convert Qwen/Qwen3-0.6B qwen3-f32 --dtype f32\n";

OrderedJson ConvertJson(const ConvertOptions& options, const ModelSource& source, DType dtype,
                        const FolderFacts& facts) {
  return {
      {"model", source.path()},   {"output_dir", options.output_dir}, {"dtype", DTypeName(dtype)},
      {"tensors", facts.tensors}, {"parameters", facts.parameters},   {"bytes", facts.bytes},
      {"files", facts.files}};
}

std::string ConvertText(const ConvertOptions& options, const ModelSource& source, DType dtype,
                        const FolderFacts& facts) {
  std::string text = fmt::format(
      "{}: {} parameters in {} tensors, {}, {}; read again and complete\n", options.output_dir,
      HumanCount(facts.parameters), facts.tensors, DTypeName(dtype), HumanBytes(facts.bytes));
  text += fmt::format("files: {}\n", fmt::join(facts.files, " "));
  if (CollectTextFiles(source).empty()) {
    text += fmt::format("note: {} has no tokenizer, so the folder has none\n", source.path());
  }
  return text;
}

}  // namespace

int RunConvert(int argc, char** argv) {
  ConvertOptions options;
  const CommandHelp help = {.name = "convert", .summary = kSummary, .epilog = kEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const ModelSource source = ModelSource::Open(options.model);
  CheckOutputFolder(options.output_dir, options.overwrite, {source.path()});
  const DType dtype = ParseStoredDtype(options.dtype, source);
  const FolderFacts facts = WriteModelFolder(
      source, {.dir = options.output_dir, .dtype = dtype, .text_files = CollectTextFiles(source)});
  const std::string text = options.json ? ConvertJson(options, source, dtype, facts).dump(2) + "\n"
                                        : ConvertText(options, source, dtype, facts);
  if (options.json || !options.common.quiet) std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace lorikeet
