// lorikeet bench: the speed of training and decoding on this machine, in comparable figures.
#include <array>
#include <cstdio>
#include <string_view>

#include "cli/bench/bench_decode.h"
#include "cli/bench/bench_kernels.h"
#include "cli/bench/bench_train.h"
#include "cli/commands.h"
#include "core/error.h"
#include "engine/loaded_model.h"
#include "engine/read_model.h"
#include "options/args.h"
#include "recipes/common_options.h"
#include "recipes/prepare.h"

namespace lorikeet {
namespace {

// Options of every kind: Model first, Rest last.
struct BenchOptions {
  std::string model, dtype;
  bool json;
  CommonOptions common;

  template <class V>
  void Model(V& v, const char* help, bool required) {
    v(model, "model", "", help,
      {.group = "Bench",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = required,
       .positional = true,
       .metavar = "PATH"});
  }
  template <class V>
  void Rest(V& v) {
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
  }
};

constexpr const char* kModelHelp =
    "Folder in Hugging Face layout, GGUF file, or name in the cache.";

// Options of the measured training step.
struct StepOptions {
  Run run;  // its adapter and its recompute
  int tokens, max_length;

  template <class V>
  void ForEach(V& v) {
    run.adapter.Rank(v);
    run.adapter.Targets(v);
    run.adapter.Scale(v);
    v(tokens, "tokens", 2048, "Tokens of a step.",
      {.group = "Step", .aliases = {"T"}, .min = 1, .max = 1 << 22});
    v(max_length, "max_length", 512, "Length of the sequences that they are cut into.",
      {.aliases = {"max_seq_length", "L"}, .min = 1, .max = 1 << 22});
  }
};

struct BenchTrainOptions {
  BenchOptions bench;
  StepOptions step;
  int micro_batch_tokens, shared_prompt, group_size, steps, warmup;
  bool profile;

  template <class V>
  void ForEach(V& v) {
    bench.Model(v, kModelHelp, true);
    step.run.adapter.Method(v);
    step.ForEach(v);
    v(micro_batch_tokens, "micro_batch_tokens", 0, "Tokens computed at once; 0: the whole step.",
      {.min = 0, .max = 1 << 22});
    v(shared_prompt, "shared_prompt", 0,
      "Length of the common prompt of a group's sequences, which is not trained and computed once.",
      {.min = 0, .max = 1 << 22});
    v(group_size, "group_size", 1, "Sequences of a group.", {.min = 1, .max = 1 << 20});
    step.run.steps.Memory(v);
    v(steps, "steps", 10, "Steps to measure.", {.min = 1, .max = 100000});
    v(profile, "profile", false,
      "Also show the time of a step by part, compared with the roofline.");
    v(warmup, "warmup", 2, "Number of steps before that.", {.min = 0, .max = 1000});
    bench.Rest(v);
  }
};

struct BenchDecodeOptions {
  BenchOptions bench;
  std::optional<std::string> adapter;
  int batch, prompt_tokens, new_tokens, rounds, adapters, lora_r;
  bool profile;

  template <class V>
  void ForEach(V& v) {
    bench.Model(v, kModelHelp, true);
    v(adapter, "adapter", std::nullopt, "Adapter to decode with.", {.metavar = "DIR"});
    v(adapters, "adapters", 0,
      "New adapters on all linear layers instead, which the sequences have in turn; beside the "
      "speed, that with one alone.",
      {.min = 0, .max = 4096});
    v(lora_r, "lora_r", 16, "Rank of the new adapters.",
      {.aliases = {"r"}, .min = 1, .max = 65536});
    v(batch, "batch", 1, "Sequences at once.", {.min = 1, .max = 4096});
    v(prompt_tokens, "prompt_tokens", 128, "Tokens read per sequence.", {.min = 1, .max = 1 << 22});
    v(new_tokens, "new_tokens", 64, "Tokens written per sequence.", {.min = 2, .max = 1 << 22});
    v(rounds, "rounds", 3, "Rounds to measure, after one to warm up.", {.min = 1, .max = 1000});
    v(profile, "profile", false, "Also show where a step of writing goes, by part.");
    bench.Rest(v);
  }
};

struct BenchKernelsOptions {
  BenchOptions bench;
  StepOptions step;
  std::vector<std::string> only;
  int rounds;

  template <class V>
  void ForEach(V& v) {
    bench.Model(v,
                "Whose shapes: a folder, a GGUF file, a name in the cache or a config.json alone; "
                "the shapes of SmolLM2-135M where none is given. Weights are not read.",
                false);
    step.ForEach(v);
    v(only, "only", {},
      "Kernels that have one of these words in the name of their part, their own or their "
      "function's; all where none is given.",
      {.metavar = "WORDS"});
    v(rounds, "rounds", 5, "Number of rounds; medians are shown.", {.min = 1, .max = 1000});
    bench.Rest(v);
  }
};

constexpr const char* kTrainEpilog =
    "tokens_per_second        tokens of a step / its median time (forward, backward, AdamW)\n"
    "matmul_peak_gflops       median of a 2048 x 2048 x 2048 product's rate, measured after each\n"
    "                         step, in the dtype of the run\n"
    "model_flops_utilization  FLOPs per token x tokens_per_second / peak, where a multiplication\n"
    "                         with its addition is 2 FLOPs and\n"
    "                         LoRA:  forward 2N + 2r(in + out), backward 2N + 4r(in + out)\n"
    "                         full:  forward 2N, backward 4N\n"
    "                         N: weights of the linear layers and lm_head; r(in + out) summed "
    "over\n"
    "                         adapted matrices; attention's causal half is added, recomputation "
    "is\n"
    "                         not counted\n"
    "--profile                by part: the FLOPs and bytes that a step must compute and move over "
    "the\n"
    "                         time of the part; of its ceiling: the time at the matmul peak or at\n"
    "                         the read bandwidth, whichever is longer (ideal ms), over the time.\n"
    "                         Bytes: operands read and results written once. What is recomputed "
    "is\n"
    "                         not counted\n"
    "--shared-prompt          tokens and FLOPs are counted as if each sequence were computed "
    "whole,\n"
    "                         as with --group-size 1, so that sharing shows as a higher rate\n"
    "peak_rss_bytes           maximum memory of this process during the steps, without the "
    "matrices\n"
    "                         of the peak's measurement\n\n"
    "Examples:\n"
    "  lorikeet bench train smollm2 --lora-r 16 --tokens 2048 --max-length 512 --json\n"
    "  lorikeet bench train smollm2 --method full --threads 1\n";

std::unique_ptr<Model> LoadFor(const BenchOptions& options) {
  options.common.Apply();
  std::unique_ptr<Model> model = Model::Load(options.model, ParseComputeDtype(options.dtype));
  options.common.PrintNotes(model->config().notes);
  return model;
}

void Print(const std::string& text) { std::fputs(text.c_str(), stdout); }

int RunBenchTrain(int argc, char** argv) {
  BenchTrainOptions options;
  const CommandHelp help = {
      .name = "bench train",
      .summary =
          "Trains on random tokens and prints the speed against the matmul peak of this "
          "machine, measured in the same run between the steps.",
      .epilog = kTrainEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  const std::unique_ptr<Model> model = LoadFor(options.bench);
  TrainBenchQuery query;
  query.run = options.step.run;
  query.tokens = options.step.tokens;
  query.max_length = options.step.max_length;
  query.micro_batch = options.micro_batch_tokens;
  query.shared_prompt = options.shared_prompt;
  query.group_size = options.group_size;
  query.steps = options.steps;
  query.warmup = options.warmup;
  query.profile = options.profile;
  const TrainBenchResult result = BenchTrain(*model, query);
  Print(options.bench.json ? TrainBenchJson(result).dump(2) + "\n" : TrainBenchText(result));
  return 0;
}

// The adapter that was asked for, or as many new ones.
std::vector<std::shared_ptr<const LoraWeights>> AdaptersOf(const BenchDecodeOptions& options,
                                                           const Model& model) {
  if (options.adapter && options.adapters > 0) {
    Fail(ErrorCode::kInvalidArgument, "give --adapter or --adapters, not both");
  }
  if (options.adapter) return {LoraAdapter::Load(model, *options.adapter).SharedWeights()};
  std::vector<std::shared_ptr<const LoraWeights>> adapters;
  LoraConfig config{.r = options.lora_r};
  config.target_modules = {"all-linear"};
  for (int i = 0; i < options.adapters; ++i) {
    const auto seed = static_cast<uint64_t>(i);
    adapters.push_back(LoraAdapter::Create(model, config, seed).weights().Copy());
  }
  return adapters;
}

int RunBenchDecode(int argc, char** argv) {
  BenchDecodeOptions options;
  const CommandHelp help = {
      .name = "bench decode",
      .summary =
          "Reads prompts of random tokens and continues them, and prints the speed of both, "
          "and how much of the memory bandwidth writing takes to read the weights.",
      .epilog = "Example:\n  lorikeet bench decode smollm2 --batch 8 --json\n"};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  const std::unique_ptr<Model> model = LoadFor(options.bench);
  const DecodeBenchResult result = BenchDecode(*model, {.batch = options.batch,
                                                        .prompt_tokens = options.prompt_tokens,
                                                        .new_tokens = options.new_tokens,
                                                        .rounds = options.rounds,
                                                        .profile = options.profile,
                                                        .adapters = AdaptersOf(options, *model)});
  Print(options.bench.json ? DecodeBenchJson(result).dump(2) + "\n" : DecodeBenchText(result));
  return 0;
}

constexpr const char* kKernelsEpilog =
    "The calls are those of a LoRA step and of a full step, the columns lora and full say how "
    "many\n"
    "of each a step makes. Of products:\n"
    "NT, NN, TN     x W^T; dy W; dy^T x. A shape is rows x columns x what is summed\n"
    "MatMulSum      the base product with the low-rank part added within it: (summed + rank)\n"
    "of its ceiling the least time that the matmul peak and the read bandwidth allow / the time:\n"
    "               matmul where FLOPs bind, memory where bytes do (operands read and results\n"
    "               written once; small ones lie in the caches, and may exceed 100 %)\n\n"
    "Examples:\n"
    "  lorikeet bench kernels\n"
    "  lorikeet bench kernels smollm2 --lora-r 16 --only products,attention --json\n";

KernelBenchQuery QueryOf(const BenchKernelsOptions& options) {
  KernelBenchQuery query;
  const std::string& model = options.bench.model;
  query.model = model.empty() ? "SmolLM2-135M" : model;
  query.config = model.empty() ? SmolLm2Shapes() : ReadModelShape(model).config;
  query.shape = ShapeOf(options.step.run, ParseComputeDtype(options.bench.dtype));
  query.tokens = options.step.tokens;
  query.max_length = options.step.max_length;
  query.only = options.only;
  query.rounds = options.rounds;
  return query;
}

int RunBenchKernels(int argc, char** argv) {
  BenchKernelsOptions options;
  const CommandHelp help = {
      .name = "bench kernels",
      .summary =
          "Times each kernel of a training step at the shapes that the step has, in rounds "
          "with the matmul peak and the read bandwidth of this machine.",
      .epilog = kKernelsEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.bench.common.Apply();
  const KernelBenchResult result = BenchKernels(QueryOf(options));
  Print(options.bench.json ? KernelBenchJson(result).dump(2) + "\n" : KernelBenchText(result));
  return 0;
}

struct Kind {
  std::string_view name;
  int (*run)(int argc, char** argv);
};
constexpr std::array<Kind, 3> kKinds = {
    {{"train", RunBenchTrain}, {"decode", RunBenchDecode}, {"kernels", RunBenchKernels}}};

constexpr const char* kOverview =
    "lorikeet bench train|decode|kernels [options]\n\n"
    "  lorikeet bench train MODEL      training steps against the matmul peak of this machine;\n"
    "                                  --profile: by part, under the roofline\n"
    "  lorikeet bench decode MODEL     reading prompts and continuing them\n"
    "  lorikeet bench kernels [MODEL]  the kernels of a step one by one, at its shapes\n\n"
    "Each takes --json. Options and formulas: lorikeet bench KIND --help\n";

}  // namespace

int RunBench(int argc, char** argv) {
  const std::string first = argc < 2 ? "" : argv[1];
  if (first == "-h" || first == "--help") {
    std::fputs(kOverview, stdout);
    return 0;
  }
  for (const Kind& kind : kKinds) {
    if (first == kind.name) return kind.run(argc - 1, argv + 1);
  }
  Fail(ErrorCode::kInvalidArgument,
       "bench needs a kind: lorikeet bench train|decode|kernels (see --help)");
}

}  // namespace lorikeet
