// lorikeet merge: adds an adapter into its base and writes a Hugging Face folder.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/merge_verify.h"
#include "cli/sample_batch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "engine/loaded_model.h"
#include "engine/model_folder.h"
#include "options/args.h"
#include "recipes/common_options.h"
#include "recipes/rendering.h"

namespace lorikeet {
namespace {

struct MergeOptions {
  std::string model, adapter, output_dir, dtype;
  bool overwrite, verify, json;
  std::optional<std::string> verify_data;
  int verify_tokens;
  RenderingOptions rendering;  // for verify_data
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(adapter, "adapter", "", "Adapter to merge: folder of PEFT or mlx-lm, or GGUF file.",
      {.group = "Merge",
       .aliases = {"adapter_name_or_path"},
       .required = true,
       .positional = true,
       .metavar = "DIR"});
    v(output_dir, "output_dir", "", "Folder to write.",
      {.aliases = {"o"}, .required = true, .positional = true, .metavar = "DIR"});
    v(model, "model", "",
      "The adapter's base: folder, GGUF file or name in the cache; if not given, the one that the "
      "adapter names.",
      {.aliases = {"model_name_or_path", "base_model", "m"}, .metavar = "PATH"});
    v(dtype, "dtype", "auto",
      "What to store weights in; auto: as the base stores them, bf16 where they are quantised.",
      {.aliases = {"torch_dtype"}, .choices = {"auto", "bf16", "f32", "f16"}});
    v(overwrite, "overwrite", false, "Replace an existing model folder.");
    v(verify, "verify", false,
      "Compare the folder's logits with those of base + adapter; exit status 1 if they differ by "
      "more than rounding explains. Needs memory for the model in f32, three times over.",
      {.group = "Check"});
    v(verify_data, "verify_data", std::nullopt,
      "JSONL file to compare on instead of the built-in sample.", {.metavar = "FILE"});
    v(verify_tokens, "verify_tokens", 256, "Tokens to compare on, at most.",
      {.min = 1, .max = 65536});
    rendering.Columns(v);
    rendering.Template(v);
    v(json, "json", false, "Print the result as one JSON object.");
    common.ForEach(v);
  }
};

constexpr const char* kSummary =
    "Adds an adapter into its base, W + s B A in f32 for every adapted weight, rounded once to the "
    "stored dtype, and writes the result as a Hugging Face folder with the tokenizer files. A "
    "quantised base (GGUF) is dequantised and stays so: it is never quantised again.";

constexpr const char* kEpilog =
    "Examples:\n"
    "  lorikeet merge out/run merged\n"
    "  lorikeet merge --model base --adapter out/run --output-dir merged --dtype f32 --verify\n";

// Warns about the loss of precision when the base is quantised.
void NoteDtype(const ModelSource& source, DType dtype) {
  for (const ModelSource::Entry& entry : source.entries()) {
    if (!IsQuantised(entry.dtype)) continue;
    fmt::print(stderr, "note: the base is quantised ({}); the merged model is written in {}\n",
               DTypeName(entry.dtype), DTypeName(dtype));
    return;
  }
}

// True if the head is tied to the embedding and the adapter changes it: the head must then become a
// tensor of its own, so that the embedding is unchanged.
bool UntiesHead(const Model& model, const LoraAdapter& adapter) {
  return model.config().tie_word_embeddings &&
         adapter.weights().Find(model.weights().lm_head) != nullptr;
}

// Whether an adapter's tokenizer_config.json has its chat template.
bool HasTemplateInConfig(const std::string& adapter) {
  const std::string path = adapter + "/tokenizer_config.json";
  if (!std::filesystem::is_regular_file(path)) return false;
  const Json config = ParseJson(ReadFile(path), path);
  return config.is_object() && config.contains("chat_template") &&
         !config["chat_template"].is_null();
}

// The adapter's own text files if it has them: it may have been trained with another template.
std::vector<TextFile> TextFilesOf(const LoadedModel& base, const std::string& adapter) {
  std::vector<TextFile> files = base.text_files;
  namespace fs = std::filesystem;
  for (TextFile& file : files) {
    const fs::path own = fs::path(adapter) / file.name;
    if (fs::is_regular_file(own)) file.content = ReadFile(own.string());
  }
  const fs::path jinja = fs::path(adapter) / "chat_template.jinja";
  if (HasTemplateInConfig(adapter) && !fs::is_regular_file(jinja)) {
    // It must not be hidden by a file of the base.
    RemoveChatTemplates(files);
  } else if (!files.empty() && fs::is_regular_file(jinja)) {
    ReplaceChatTemplate(files, ReadFile(jinja.string()));
    for (const std::string& name : AdditionalTemplateFiles(adapter)) {
      files.push_back({name, ReadFile(adapter + "/" + name)});
    }
  }
  return files;
}

FolderFacts Merge(const LoadedModel& base, const LoraAdapter& adapter, DType dtype,
                  const MergeOptions& options) {
  const ChangeTensor merge = MergeAdapter(adapter);
  return WriteModelFolder(base.model->source(), {.dir = options.output_dir,
                                                 .dtype = dtype,
                                                 .change = merge,
                                                 .untie_head = UntiesHead(*base.model, adapter),
                                                 .text_files = TextFilesOf(base, options.adapter)});
}

Batch VerificationBatch(const LoadedModel& base, const MergeOptions& options) {
  const int64_t V = base.model->config().vocab_size;
  if (options.verify_data) {
    Batch batch;
    RenderConfig render = RenderConfigOf(options.rendering);
    render.max_length = 0;  // verify_tokens is the limit
    for (const Example& example :
         LoadExamples({*options.verify_data}, base.ForData(), render).examples) {
      AddSequence(example.tokens, options.verify_tokens, &batch);
    }
    return batch;
  }
  return SampleBatch(base.tokenizer ? &*base.tokenizer : nullptr, V, options.verify_tokens);
}

MergeVerification Verify(const LoadedModel& base, const LoraAdapter& adapter, DType dtype,
                         const MergeOptions& options) {
  const auto instance = [](const std::string& path) {
    return [path] { return Model::Load(path, DType::kF32); };
  };
  return VerifyMerge(*base.model, adapter, instance(base.model->source().path()),
                     instance(options.output_dir), dtype, VerificationBatch(base, options));
}

// bf16 weights in the file are then only mapped; merging reads the file anyway.
DType ComputeFor(const ModelSource& source, bool verify) {
  const bool f32 = verify || StoredDtype(source) == DType::kF32;
  return f32 ? DType::kF32 : DefaultComputeDtype();
}

}  // namespace

int RunMerge(int argc, char** argv) {
  MergeOptions options;
  const CommandHelp help = {.name = "merge", .summary = kSummary, .epilog = kEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const std::string model = BaseModelOf(options.model, options.adapter);
  const std::string path = ModelSource::Open(model).path();
  CheckOutputFolder(options.output_dir, options.overwrite, {path, options.adapter});
  const bool verify = options.verify || options.verify_data.has_value();
  const LoadedModel base = LoadModel(model, ComputeFor(ModelSource::Open(model), verify));
  options.common.PrintNotes(base.model->config().notes);
  const LoraAdapter adapter = LoraAdapter::Load(*base.model, options.adapter);
  const DType dtype = ParseStoredDtype(options.dtype, base.model->source());
  const bool unties = UntiesHead(*base.model, adapter);
  if (!options.common.quiet) NoteDtype(base.model->source(), dtype);
  if (unties && !options.common.quiet) {
    fmt::print(stderr,
               "note: the adapter changes lm_head, which the base shares with its embedding; the "
               "merged model has a head of its own\n");
  }
  const FolderFacts facts = Merge(base, adapter, dtype, options);
  OrderedJson json = {{"model", path},
                      {"adapter", options.adapter},
                      {"output_dir", options.output_dir},
                      {"dtype", DTypeName(dtype)},
                      {"merged_modules", adapter.pairs().size()},
                      {"untied_head", unties},
                      {"tensors", facts.tensors},
                      {"parameters", facts.parameters},
                      {"bytes", facts.bytes}};
  if (!options.json && !options.common.quiet) {
    fmt::print("{}: {} modules merged, {} parameters in {} tensors, {}, {}\n", options.output_dir,
               adapter.pairs().size(), HumanCount(facts.parameters), facts.tensors,
               DTypeName(dtype), HumanBytes(facts.bytes));
  }
  bool ok = true;
  if (verify) {
    const MergeVerification verification = Verify(base, adapter, dtype, options);
    ok = verification.ok;
    json["verify"] = VerificationJson(verification);
    if (!options.json) std::fputs(VerificationText(verification).c_str(), stdout);
  }
  if (options.json) std::fputs((json.dump(2) + "\n").c_str(), stdout);
  return ok ? 0 : 1;
}

}  // namespace lorikeet
