// lorikeet estimate: memory, arithmetic and time of a run before it is begun.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/expert_options.h"
#include "cli/recompute_option.h"
#include "core/error.h"
#include "core/machine.h"
#include "data/dataset.h"
#include "engine/loaded_model.h"
#include "engine/read_model.h"
#include "options/args.h"
#include "plan/machine_probe.h"
#include "recipes/estimate.h"
#include "recipes/recompute.h"

namespace lorikeet {
namespace {

struct EstimateOptions {
  std::string model, dtype, recompute;
  std::optional<std::string> data;
  std::optional<int64_t> trained_tokens;
  int lora_r, max_length, batch_size, micro_batch_tokens, sequences;
  ExpertOptions experts;
  std::vector<std::string> target_modules;
  double num_train_epochs, utilization;
  std::optional<double> peak_gflops;
  bool assistant_only_loss, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    Run(v);
    Machine(v);
    common.ForEach(v);
  }

 private:
  template <class V>
  void Run(V& v) {
    v(model, "model", "",
      "Folder in Hugging Face layout, GGUF file, name in the cache, or a config.json alone.",
      {.group = "Run",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(lora_r, "lora_r", 32, "Rank.",
      {.aliases = {"r", "lora_rank", "rank"}, .min = 1, .max = 65536});
    experts.ForEach(v);
    v(target_modules, "target_modules", {"all-linear"},
      "What gets adapters: all-linear, attention, mlp, or names such as q_proj, lm_head.",
      {.aliases = {"lora_target_modules", "lora_target"}});
    v(data, "data", std::nullopt,
      "JSONL file to learn from: for the time of the run and the adapter's capacity.",
      {.aliases = {"dataset", "train_file", "d"}, .metavar = "FILE"});
    v(trained_tokens, "trained_tokens", std::nullopt,
      "Instead of data: how many tokens there are to be learned.", {.min = 1, .max = 1e18});
    v(assistant_only_loss, "assistant_only_loss", true,
      "Learn what the assistant says and not what it is told.",
      {.aliases = {"completion_only_loss", "mask_prompt"}});
    v(max_length, "max_length", 2048, "Longest example, in tokens.",
      {.aliases = {"max_seq_length", "cutoff_len", "sequence_len", "max_seq_len"},
       .min = 2,
       .max = 1 << 20});
    v(batch_size, "batch_size", 16, "Examples per optimizer step.",
      {.aliases = {"per_step", "per_device_train_batch_size"}, .min = 1, .max = 1 << 20});
    v(num_train_epochs, "num_train_epochs", 1.0, "Passes over the data.",
      {.aliases = {"num_epochs", "epochs"}, .above = 0, .max = 1e6});
    v(micro_batch_tokens, "micro_batch_tokens", 0,
      "Tokens computed at once; 0: up to 2048, or the longest example.",
      {.min = 0, .max = 1 << 20});
    v(recompute, "recompute", "auto", kRecomputeHelp, RecomputeTraits());
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
      "Matmul peak to reckon with, for another machine; else this one's is measured.",
      {.above = 0});
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
  RenderConfig config;
  config.max_length = options.max_length;
  config.train_on = options.assistant_only_loss ? TrainOn::kAssistant : TrainOn::kAll;
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

// For another machine bf16 may be asked for where this one has none.
DType ComputeDtype(const EstimateOptions& options) {
  if (options.peak_gflops && options.dtype == "bf16") return DType::kBF16;
  return ParseComputeDtype(options.dtype);
}

int64_t MicroBatchTokens(const EstimateOptions& options) {
  constexpr int64_t kUsual = 2048;
  if (options.micro_batch_tokens > 0) {
    return std::max<int64_t>(options.micro_batch_tokens, options.max_length);
  }
  const int64_t step = int64_t{options.batch_size} * options.max_length;
  return std::max<int64_t>(options.max_length, std::min(kUsual, step));
}

EstimateQuery QueryOf(const EstimateOptions& options) {
  if (options.data && options.trained_tokens) {
    Fail(ErrorCode::kInvalidArgument, "--data and --trained-tokens exclude each other; give one");
  }
  const ModelShape model = ReadModelShape(options.model);
  EstimateQuery query;
  query.model = model.path;
  query.config = model.config;
  query.stored = model.stored;
  query.shape = {.method = Method::kLora,
                 .lora_r = options.lora_r,
                 .lora_expert_rank = options.experts.Rank(),
                 .lora_shared_outer = options.experts.lora_shared_outer,
                 .target_modules = options.target_modules,
                 .compute = ComputeDtype(options),
                 .tokens_per_microbatch = MicroBatchTokens(options),
                 .sequence_length = options.max_length,
                 .longest_sequence = options.max_length};
  query.recompute = ParseRecompute(options.recompute);
  query.max_length = options.max_length;
  query.batch_size = options.batch_size;
  query.epochs = options.num_train_epochs;
  query.sequences = options.sequences;
  query.utilization = options.utilization;
  query.memory_available = ReadMemory().available;
  CountTrainable(query.config, query.shape);  // refuses unknown targets before anything is slow
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
