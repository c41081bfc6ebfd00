// lorikeet convert: a model as a Hugging Face folder or as a GGUF file, an adapter in another
// format.
#include <fmt/format.h>

#include <cstdio>

#include "checkpoint/upcycle.h"
#include "cli/commands.h"
#include "cli/convert_adapter.h"
#include "cli/convert_gguf.h"
#include "core/error.h"
#include "core/format.h"
#include "engine/model_folder.h"
#include "model/source_config.h"
#include "options/args.h"
#include "recipes/common_options.h"

namespace lorikeet {
namespace {

struct ConvertOptions {
  std::string model, output_dir, dtype;
  std::optional<std::string> to, base;
  std::optional<std::string> upcycle;
  int seed;
  bool overwrite, json;
  bool verify, accept_tokenizer;
  int verify_tokens;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "",
      "What to convert: GGUF file, folder in Hugging Face layout, or name in the cache; or an "
      "adapter.",
      {.group = "Convert",
       .aliases = {"model_name_or_path", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(output_dir, "output_dir", "", "Folder to write; or a file, NAME.gguf.",
      {.aliases = {"o"}, .required = true, .positional = true, .metavar = "DIR"});
    v(dtype, "dtype", "auto",
      "What to store weights in; auto: as they are, bf16 where they are quantised. The last three "
      "only in a GGUF file.",
      {.aliases = {"torch_dtype"},
       .choices = {"auto", "bf16", "f32", "f16", "q8_0", "q4_0", "q4_k_m"}});
    v(upcycle, "upcycle", std::nullopt,
      "Make a mixture of experts of a dense model: experts:active, such as 8:2. Every expert "
      "begins "
      "as the model's MLP (docs/moe.md).",
      {.metavar = "E:K"});
    v(seed, "seed", 0, "Seed of the routers of --upcycle.", {.min = 0, .max = 2147483647});
    v(overwrite, "overwrite", false, "Replace an existing model folder, GGUF file or adapter.");
    v(verify, "verify", true,
      "Compare a GGUF file's logits with the model's before the file gets its name.",
      {.group = "GGUF files"});
    v(verify_tokens, "verify_tokens", 256, "Tokens to compare on, at most.",
      {.min = 1, .max = 65536});
    v(accept_tokenizer, "accept_tokenizer", false,
      "Write a GGUF file whose tokenizer splits some texts otherwise than the model's.");
    v(to, "to", std::nullopt, "Format to write an adapter in: that of PEFT, mlx-lm or llama.cpp.",
      {.group = "Adapters", .choices = {"peft", "mlx", "gguf"}});
    v(base, "base", std::nullopt,
      "The adapter's base, of which GGUF needs the config.json; if not given, the one that the "
      "adapter names.",
      {.aliases = {"base_model"}, .metavar = "PATH"});
    v(json, "json", false, "Print the result as one JSON object.");
    common.ForEach(v);
  }
};

constexpr const char* kSummary =
    "Writes a model as a Hugging Face folder: config.json, model.safetensors (sharded above 4 "
    "GiB), tokenizer, chat template and generation_config.json; or, if the output is named "
    "NAME.gguf, as one GGUF file for llama.cpp and Ollama, with a Modelfile beside it "
    "(docs/gguf.md). Reads folders and GGUF files, whose weights it dequantises. With --upcycle: a "
    "mixture of experts out of a dense model. With --to: writes an adapter of PEFT, mlx-lm or "
    "llama.cpp in the format of another; GGUF in f32, or f16 with --dtype. What is written appears "
    "whole or not at all.";

constexpr const char* kEpilog =
    "Examples:\n"
    "  lorikeet convert SmolLM2-135M-Instruct.Q4_1.gguf smollm2\n"
    "  lorikeet convert Qwen/Qwen3-0.6B qwen3-f32 --dtype f32\n"
    "  lorikeet convert out/merged merged.Q4_K_M.gguf --dtype q4_k_m\n"
    "  lorikeet convert SmolLM2-135M-Instruct smollm2-4x --upcycle 4:2\n"
    "  lorikeet convert out/run adapter.gguf --to gguf\n"
    "  lorikeet convert adapter.gguf out/peft --to peft\n";

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

// Prints `text` unless quiet, or the JSON.
void Print(const ConvertOptions& options, const OrderedJson& json, const std::string& text) {
  if (options.json) {
    std::fputs((json.dump(2) + "\n").c_str(), stdout);
  } else if (!options.common.quiet) {
    std::fputs(text.c_str(), stdout);
  }
}

int RunConvertAdapter(const ConvertOptions& options) {
  if (options.dtype != "auto" && *options.to != "gguf") {
    Fail(ErrorCode::kInvalidArgument, "--dtype: an adapter of {} keeps the dtype of its factors",
         *options.to);
  }
  if (options.dtype != "auto" && options.dtype != "f32" && options.dtype != "f16") {
    Fail(ErrorCode::kInvalidArgument, "--dtype: adapters are written to GGUF in f32 or f16");
  }
  AdapterConversion conversion = {.adapter = options.model,
                                  .output = options.output_dir,
                                  .model = options.base.value_or(""),
                                  .overwrite = options.overwrite,
                                  .half = options.dtype == "f16"};
  for (const auto format : {AdapterFormat::kPeft, AdapterFormat::kMlx, AdapterFormat::kGguf}) {
    if (*options.to == AdapterFormatName(format)) conversion.to = format;
  }
  const AdapterConversionFacts facts = ConvertAdapter(conversion);
  Print(options, ConversionJson(conversion, facts), ConversionText(conversion, facts));
  return 0;
}

int RunConvertToGguf(const ConvertOptions& options, const ModelSource& source) {
  const GgufReport report = ConvertToGguf(source, {.output = options.output_dir,
                                                   .dtype = options.dtype,
                                                   .overwrite = options.overwrite,
                                                   .accept_tokenizer = options.accept_tokenizer,
                                                   .verify = options.verify,
                                                   .verify_tokens = options.verify_tokens});
  Print(options, report.json, report.text);
  return 0;
}

int RunConvertToFolder(const ConvertOptions& options, const ModelSource& source) {
  if (options.dtype.starts_with("q")) {
    Fail(ErrorCode::kInvalidArgument,
         "--dtype {}: only a GGUF file can hold it; give an output named NAME.gguf", options.dtype);
  }
  CheckOutputFolder(options.output_dir, options.overwrite, {source.path()});
  const DType dtype = ParseStoredDtype(options.dtype, source);
  const FolderFacts facts = WriteModelFolder(
      source, {.dir = options.output_dir, .dtype = dtype, .text_files = CollectTextFiles(source)});
  Print(options, ConvertJson(options, source, dtype, facts),
        ConvertText(options, source, dtype, facts));
  return 0;
}

}  // namespace

int RunConvert(int argc, char** argv) {
  ConvertOptions options;
  const CommandHelp help = {.name = "convert", .summary = kSummary, .epilog = kEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  if (options.to && options.upcycle) {
    Fail(ErrorCode::kInvalidArgument, "--upcycle makes models, --to converts adapters; give one");
  }
  if (options.to) return RunConvertAdapter(options);
  if (const auto format = AdapterFormatOf(options.model)) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: an adapter ({}); say what to write it as: --to peft, mlx or gguf", options.model,
         AdapterFormatName(*format));
  }
  ModelSource source = ModelSource::Open(options.model);
  if (options.upcycle) {
    source = Upcycle(WithExplicitConfig(source),
                     ParseUpcycling(*options.upcycle, static_cast<uint64_t>(options.seed)));
  }
  return options.output_dir.ends_with(".gguf") ? RunConvertToGguf(options, source)
                                               : RunConvertToFolder(options, source);
}

}  // namespace lorikeet
