// lorikeet estimate: memory, arithmetic and time of a run before it starts.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "core/error.h"
#include "core/machine.h"
#include "data/dataset.h"
#include "engine/loaded_model.h"
#include "engine/read_model.h"
#include "options/args.h"
#include "plan/machine_probe.h"
#include "recipes/common_options.h"
#include "recipes/estimate.h"
#include "recipes/prepare.h"

namespace lorikeet {
namespace {

struct EstimateOptions {
  std::string model, dtype;
  std::optional<std::string> data;
  std::optional<int64_t> trained_tokens;
  int sequences;
  Run run;  // its objective is Sft
  double utilization;
  std::optional<double> peak_gflops;
  bool json;
  CommonOptions common;

  const RenderingOptions& rendering() const { return std::get<Sft>(run.objective).rendering; }

  template <class V>
  void ForEach(V& v) {
    Training(v);
    Machine(v);
    common.ForEach(v);
  }

 private:
  template <class V>
  void Training(V& v) {
    v(model, "model", "",
      "Folder in Hugging Face layout, GGUF file, name in the cache, or a config.json alone.",
      {.group = "Run",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(data, "data", std::nullopt,
      "JSONL file to learn from: for the time of the run and the adapter's capacity.",
      {.aliases = {"dataset", "train_file", "d"}, .metavar = "FILE"});
    v(trained_tokens, "trained_tokens", std::nullopt,
      "Instead of data: how many tokens there are to be learned.", {.min = 1, .max = 1e18});
    RenderingOptions& rendering = std::get<Sft>(run.objective).rendering;
    rendering.Columns(v);
    rendering.MaxLength(v);
    rendering.Overlong(v);
    rendering.TrainedTokens(v);
    rendering.Template(v);
    run.adapter.Rank(v);
    run.adapter.Scale(v);
    run.adapter.Targets(v);
    run.steps.Batch(v, "Examples per optimizer step.");
    run.steps.Epochs(v);
    run.steps.MicroBatch(v, 0, "Tokens computed at once; 0: up to 2048, or the longest example.");
    run.steps.Memory(v);
    v(sequences, "sequences", 8, "Sequences of max_length sampled at once, for comparison.",
      {.min = 1, .max = 1024});
  }

  template <class V>
  void Machine(V& v) {
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.group = "Machine",
       .aliases = {"torch_dtype", "compute_dtype"},
       .choices = {"auto", "bf16", "f32"}});
    v(peak_gflops, "peak_gflops", std::nullopt,
      "Matmul peak to assume, for another machine; else this one's is measured.", {.above = 0});
    v(utilization, "utilization", 0.5,
      "Share of the peak that training reaches; `lorikeet bench train` measures it.",
      {.above = 0, .max = 1});
    v(json, "json", false, "Print one JSON object.", {.group = "Output"});
  }
};

constexpr const char* kSummary =
    "Memory by part, floating point operations per token and time of a training run, LoRA and full "
    "fine-tuning side by side and sampling beside them, from the model's shape alone: no weights "
    "are read. With data: time of the run, and whether the adapter has room for what is to be "
    "learned.";

constexpr const char* kEpilog =
    "What is counted: a multiplication with its addition is 2 operations. A matrix of N weights "
    "costs 2N per token forward; backward 2N for LoRA, which needs no gradient of it, and 4N for "
    "full fine-tuning. LoRA adds 6r(in + out) per adapted matrix. Attention counts its causal "
    "half. "
    "Recomputation is not counted.\n"
    "Capacity: a network stores about 2 bits per parameter, and a first pass over data tells it at "
    "most about 1 bit per trained token.\n\n"
    "Examples:\n"
    "  lorikeet estimate Qwen/Qwen3-0.6B --lora-r 16 --data train.jsonl\n"
    "  lorikeet estimate llama-8b/config.json --peak-gflops 3000 --max-length 4096\n";

DataFacts ReadData(const EstimateOptions& options, const ModelShape& model) {
  DataFacts facts;
  const RenderConfig config = RenderConfigOf(options.rendering());
  const TokenizerBundle bundle = ReadTokenizer(model.path);
  const Dataset dataset = LoadDataset(*options.data, bundle, config);
  facts.path = *options.data;
  facts.examples = dataset.stats.examples;
  facts.tokens = dataset.stats.tokens;
  facts.trained_tokens = dataset.stats.trained_tokens;
  double squares = 0;
  for (const Example& example : dataset.examples) {
    squares +=
        static_cast<double>(example.num_tokens()) * static_cast<double>(example.num_tokens());
  }
  facts.attended_length = squares / static_cast<double>(std::max<int64_t>(1, facts.tokens));
  return facts;
}

// For another machine bf16 is allowed even if this one does not have it.
DType ComputeDtype(const EstimateOptions& options) {
  if (options.peak_gflops && options.dtype == "bf16") return DType::kBF16;
  return ParseComputeDtype(options.dtype);
}

int64_t MicroBatchTokens(const Run& run, int64_t max_length) {
  constexpr int64_t kDefault = 2048;
  if (run.steps.micro_batch_tokens > 0) {
    return std::max(run.steps.micro_batch_tokens, max_length);
  }
  const int64_t step = run.steps.batch_size * max_length;
  return std::max(max_length, std::min(kDefault, step));
}

EstimateQuery QueryOf(const EstimateOptions& options) {
  if (options.data && options.trained_tokens) {
    Fail(ErrorCode::kInvalidArgument, "--data and --trained-tokens exclude each other; give one");
  }
  const ModelShape model = ReadModelShape(options.model);
  EstimateQuery query;
  options.common.PrintNotes(model.config.notes);
  query.model = model.path;
  query.config = model.config;
  query.stored = model.stored;
  query.run = options.run;
  query.max_length = options.rendering().max_length;
  query.shape = ShapeOf(options.run, ComputeDtype(options));
  query.shape.tokens_per_microbatch = MicroBatchTokens(options.run, query.max_length);
  query.shape.sequence_length = query.shape.longest_sequence = query.max_length;
  query.sequences = options.sequences;
  query.utilization = options.utilization;
  query.memory_available = ReadMemory().available;
  CountTrainable(query.config, query.shape);  // refuses unknown targets before slow work
  query.trained_tokens = options.trained_tokens;
  if (options.data) query.data = ReadData(options, model);
  query.peak_measured = !options.peak_gflops;
  query.peak_gflops =
      options.peak_gflops ? *options.peak_gflops : MeasureMatMulPeak(query.shape.compute);
  return query;
}

}  // namespace

int RunEstimate(int argc, char** argv) {
  EstimateOptions options;
  const CommandHelp help = {.name = "estimate", .summary = kSummary, .epilog = kEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const Estimate estimate = MakeEstimate(QueryOf(options));
  const std::string text =
      options.json ? EstimateJson(estimate).dump(2) + "\n" : EstimateText(estimate);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace lorikeet
