// lorikeet inspect: the content of a model, an adapter, a tokenizer or a data file, before a run
// uses it.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "checkpoint/adapter_formats.h"
#include "cli/commands.h"
#include "cli/inspect/inspect_adapter.h"
#include "cli/inspect/inspect_model.h"
#include "cli/inspect/inspect_tokenizer.h"
#include "core/error.h"
#include "data/inspect.h"
#include "engine/read_model.h"
#include "options/args.h"
#include "recipes/common_options.h"
#include "recipes/rendering.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

struct InspectModelOptions {
  std::string model;
  bool tensors, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "", "Folder in Hugging Face layout, GGUF file, or name in the cache.",
      {.group = "Inspect",
       .aliases = {"model_name_or_path", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(tensors, "tensors", false, "List every tensor with its dtype and shape.");
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
  }
};

struct InspectAdapterOptions {
  std::string adapter;
  std::optional<std::string> model;
  bool spectral, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(adapter, "adapter", "", "Adapter: folder of PEFT or mlx-lm, or GGUF file.",
      {.group = "Inspect",
       .aliases = {"adapter_name_or_path"},
       .required = true,
       .positional = true,
       .metavar = "DIR"});
    v(model, "model", std::nullopt,
      "Base to check the adapter against: every pair has its module, every target its pair.",
      {.aliases = {"model_name_or_path", "base_model", "m"}, .metavar = "PATH"});
    v(spectral, "spectral", false, "Largest singular values of A, B and B A too.");
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
  }
};

struct InspectTokenizerOptions {
  std::string tokenizer;
  std::optional<std::string> against;
  bool json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(tokenizer, "tokenizer", "",
      "Model, or folder with a tokenizer: an adapter's, a checkpoint's.",
      {.group = "Inspect",
       .aliases = {"model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(against, "against", std::nullopt,
      "Another one to compare it with: ids, added and special tokens, BOS, template, encodings.",
      {.metavar = "PATH"});
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
  }
};

struct InspectDataOptions {
  std::string data, model;
  RenderingOptions rendering;
  bool last_turn_only;
  int64_t examples, first_example, tokens_per_batch;
  bool color, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(data, "data", "",
      "JSONL file: messages, prompt/completion, text, Alpaca, ShareGPT or tokens.",
      {.group = "Inspect",
       .aliases = {"dataset", "train_file", "d"},
       .required = true,
       .positional = true,
       .metavar = "FILE"});
    v(model, "model", "", "Whose tokenizer and chat template to use; its weights are not read.",
      {.aliases = {"model_name_or_path", "base_model", "m"}, .required = true, .metavar = "PATH"});
    v(examples, "examples", 1, "How many examples to show in full.", {.min = 0, .max = 1e9});
    v(first_example, "first_example", 1, "The first of them, counted from 1.", {.min = 1});
    v(last_turn_only, "last_turn_only", false, "The same as train_on: last.",
      {.group = "As training would read it"});
    rendering.Columns(v);
    rendering.MaxLength(v);
    rendering.Overlong(v);
    rendering.TrainedTokens(v);
    rendering.Template(v);
    v(tokens_per_batch, "tokens_per_batch", 0,
      "Budget to show the packing for; 0: the longest example, at least 2048.", {.min = 0});
    v(color, "color", isatty(STDOUT_FILENO) == 1,
      "Trained tokens in colour instead of brackets; by default on a terminal.",
      {.group = "Output"});
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
  }
};

void Print(bool as_json, const OrderedJson& json, const std::string& text) {
  std::fputs((as_json ? json.dump(2) + "\n" : text).c_str(), stdout);
}

int RunInspectModel(int argc, char** argv) {
  InspectModelOptions options;
  const CommandHelp help = {
      .name = "inspect model",
      .summary =
          "Family, sizes, parameters by part, stored dtypes, rope, longest sequence and "
          "tokenizer of a model. Weights are not loaded.",
      .epilog = "Example:\n  lorikeet inspect model SmolLM2-135M-Instruct.Q4_1.gguf --tensors\n"};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const ModelSource source = ModelSource::Open(options.model);
  Facts report = ModelReport(InspectModel(source));
  if (options.tensors) {
    report("tensor_list", TensorsJson(source));
    report.text += TensorsText(source);
  }
  Print(options.json, report.json, report.text);
  return 0;
}

int RunInspectAdapter(int argc, char** argv) {
  InspectAdapterOptions options;
  const CommandHelp help = {
      .name = "inspect adapter",
      .summary =
          "Base, rank, scale and targets of a LoRA adapter, and for every module the norm "
          "of B A: an adapter whose B is zero does nothing. With --model: whether it fits.",
      .epilog =
          "Exit status 1 if the adapter does not fit the model.\n"
          "Example:\n  lorikeet inspect adapter out/run --model base --spectral\n"};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  std::optional<ModelSource> base;
  if (options.model) base.emplace(ModelSource::Open(*options.model));
  const AdapterFacts facts =
      InspectAdapter(options.adapter, options.spectral, base ? &*base : nullptr);
  const Facts report = AdapterReport(facts, options.spectral);
  Print(options.json, report.json, report.text);
  return facts.misfits.empty() ? 0 : 1;
}

int RunInspectTokenizer(int argc, char** argv) {
  InspectTokenizerOptions options;
  const CommandHelp help = {
      .name = "inspect tokenizer",
      .summary =
          "Kind, vocabulary, special tokens, BOS rule and chat template of a tokenizer. With "
          "--against: whatever differs from another one, encodings of built-in texts included.",
      .epilog =
          "Exit status 1 if the two differ.\n"
          "Example:\n  lorikeet inspect tokenizer out/merged --against base\n"};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const TokenizerFacts facts = InspectTokenizer(ReadTokenizerSources(options.tokenizer));
  Facts report = TokenizerReport(facts);
  if (!options.against) {
    Print(options.json, report.json, report.text);
    return 0;
  }
  const TokenizerFacts other = InspectTokenizer(ReadTokenizerSources(*options.against));
  const TokenizerDifferences found = CompareTokenizers(facts, other);
  const Facts against = TokenizerReport(other);
  report("against", against.json);
  report("same", found.lines.empty());
  report("differences", found.json);
  report.text += "\nagainst\n" + against.text + "\n";
  for (const std::string& line : found.lines) report.text += line + "\n";
  if (found.lines.empty()) report.text += "no difference\n";
  Print(options.json, report.json, report.text);
  return found.lines.empty() ? 0 : 1;
}

RenderConfig RenderConfigOf(const InspectDataOptions& options) {
  RenderConfig config = RenderConfigOf(options.rendering);
  if (!options.last_turn_only) return config;
  if (config.train_on == TrainOn::kAll) {
    Fail(ErrorCode::kInvalidArgument, "--last-turn-only and {} exclude each other; give one",
         options.rendering.assistant_only_loss ? "--no-assistant-only-loss" : "--train-on all");
  }
  config.train_on = TrainOn::kLast;
  return config;
}

int RunInspectData(int argc, char** argv) {
  InspectDataOptions options;
  const CommandHelp help = {
      .name = "inspect data",
      .summary =
          "What will be learned from a data file: counts, share of trained tokens, lengths, "
          "packing, and examples as the model sees them with their trained tokens marked. A "
          "file in which nothing is trained is refused.",
      .epilog =
          "Examples:\n"
          "  lorikeet inspect data train.jsonl --model base\n"
          "  lorikeet inspect data train.jsonl --model base --examples 3 --json\n"};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const RenderConfig config = RenderConfigOf(options);
  const TokenizerBundle bundle = ReadTokenizer(options.model);
  const Dataset dataset = LoadDataset(options.data, bundle, config);
  const InspectOptions show = {.examples = options.examples,
                               .first_example = options.first_example - 1,
                               .tokens_per_batch = options.tokens_per_batch,
                               .color = options.color};
  if (options.json) {
    OrderedJson json = {{"kind", "data"}, {"path", options.data}};
    json.update(InspectDataJson(dataset, bundle, show));
    Print(true, json, "");
  } else {
    Print(false, {}, InspectData(dataset, bundle, show));
  }
  return 0;
}

struct Kind {
  std::string_view name;
  int (*run)(int argc, char** argv);
};
constexpr std::array<Kind, 4> kKinds = {{{"model", RunInspectModel},
                                         {"adapter", RunInspectAdapter},
                                         {"data", RunInspectData},
                                         {"tokenizer", RunInspectTokenizer}}};

// An adapter is recognised by its content; any other file of rows is data; the rest is a model.
const Kind& GuessKind(const std::string& path) {
  if (AdapterFormatOf(path)) return kKinds[1];
  const bool rows =
      fs::is_regular_file(path) && !path.ends_with(".gguf") && !path.ends_with(".safetensors");
  return kKinds[rows ? 2 : 0];
}

constexpr const char* kOverview =
    "lorikeet inspect [model|adapter|data|tokenizer] PATH [options]\n\n"
    "What a model, an adapter, a data file or a tokenizer holds. Without a kind the path tells, "
    "for "
    "all but tokenizers.\n\n"
    "  lorikeet inspect model PATH                sizes, parameters, dtypes, tokenizer\n"
    "  lorikeet inspect adapter DIR               rank, targets, norm of B A in every module\n"
    "  lorikeet inspect data FILE --model PATH    what would be trained, with examples\n"
    "  lorikeet inspect tokenizer PATH            special tokens, BOS, template; --against "
    "another\n\n"
    "Each takes --json. Options of a kind: lorikeet inspect KIND --help\n";

}  // namespace

int RunInspect(int argc, char** argv) {
  if (argc < 2) {
    Fail(ErrorCode::kInvalidArgument,
         "nothing to inspect; give a model, an adapter or a data file (see --help)");
  }
  const std::string first = argv[1];
  if (first == "-h" || first == "--help") {
    std::fputs(kOverview, stdout);
    return 0;
  }
  for (const Kind& kind : kKinds) {
    if (first == kind.name) return kind.run(argc - 1, argv + 1);
  }
  if (first.starts_with("-")) {
    Fail(ErrorCode::kInvalidArgument,
         "the path comes first: lorikeet inspect PATH [options], or lorikeet inspect "
         "model|adapter|data|tokenizer ...");
  }
  return GuessKind(first).run(argc, argv);
}

}  // namespace lorikeet
