// lorikeet bench: how fast training and decoding are here, in figures that can be compared.
#include <array>
#include <cstdio>
#include <string_view>

#include "cli/bench_decode.h"
#include "cli/bench_train.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/load.h"
#include "core/args.h"
#include "core/error.h"

namespace lorikeet {
namespace {

struct BenchTrainOptions {
  std::string model, method, dtype;
  int lora_r, tokens, max_length, micro_batch_tokens, steps, warmup;
  std::vector<std::string> target_modules;
  bool recompute, profile, json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "", "Folder in Hugging Face layout, GGUF file, or name in the cache.",
      {.group = "Bench",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(method, "method", "lora", "Low-rank adapters, or every weight.",
      {.choices = {"lora", "full"}});
    v(lora_r, "lora_r", 32, "Rank.",
      {.aliases = {"r", "lora_rank", "rank"}, .min = 1, .max = 65536});
    v(target_modules, "target_modules", {"all-linear"},
      "What gets adapters: all-linear, attention, mlp, or names such as q_proj.",
      {.aliases = {"lora_target_modules", "lora_target"}});
    v(tokens, "tokens", 2048, "Tokens of a step.", {.aliases = {"T"}, .min = 1, .max = 1 << 22});
    v(max_length, "max_length", 512, "Length of the sequences that they are cut into.",
      {.aliases = {"max_seq_length", "L"}, .min = 1, .max = 1 << 22});
    v(micro_batch_tokens, "micro_batch_tokens", 0, "Tokens computed at once; 0: the whole step.",
      {.min = 0, .max = 1 << 22});
    v(recompute, "recompute", false,
      "Keep each layer's input only and run it again in the backward.",
      {.aliases = {"gradient_checkpointing"}});
    v(steps, "steps", 10, "Steps to measure.", {.min = 1, .max = 100000});
    v(profile, "profile", false, "Also show where a step's time goes, by part.");
    v(warmup, "warmup", 2, "Steps before that.", {.min = 0, .max = 1000});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
  }
};

struct BenchDecodeOptions {
  std::string model, dtype;
  std::optional<std::string> adapter;
  int batch, prompt_tokens, new_tokens, rounds;
  bool json;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "", "Folder in Hugging Face layout, GGUF file, or name in the cache.",
      {.group = "Bench",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(adapter, "adapter", std::nullopt, "Adapter to decode with.", {.metavar = "DIR"});
    v(batch, "batch", 1, "Sequences at once.", {.min = 1, .max = 4096});
    v(prompt_tokens, "prompt_tokens", 128, "Tokens read per sequence.", {.min = 1, .max = 1 << 22});
    v(new_tokens, "new_tokens", 64, "Tokens written per sequence.", {.min = 2, .max = 1 << 22});
    v(rounds, "rounds", 3, "Rounds to measure, after one to warm up.", {.min = 1, .max = 1000});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    v(json, "json", false, "Print one JSON object.");
    common.ForEach(v);
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
    "peak_rss_bytes           most memory this process held\n\n"
    "Examples:\n"
    "  lorikeet bench train smollm2 --lora-r 16 --tokens 2048 --max-length 512 --json\n"
    "  lorikeet bench train smollm2 --method full --threads 1\n";

int RunBenchTrain(int argc, char** argv) {
  BenchTrainOptions options;
  const CommandHelp help = {
      .name = "bench train",
      .summary =
          "Trains on random tokens and prints the speed against the matmul peak of this "
          "machine, measured in the same run between the steps.",
      .epilog = kTrainEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const std::unique_ptr<Model> model = Model::Load(options.model, ParseComputeDtype(options.dtype));
  TrainBenchQuery query;
  query.shape.method = options.method == "full" ? Method::kFull : Method::kLora;
  query.shape.lora_r = options.lora_r;
  query.shape.target_modules = options.target_modules;
  query.shape.recompute = options.recompute ? Recompute::kBlock : Recompute::kNone;
  query.tokens = options.tokens;
  query.max_length = options.max_length;
  query.micro_batch = options.micro_batch_tokens;
  query.steps = options.steps;
  query.warmup = options.warmup;
  query.profile = options.profile;
  const TrainBenchResult result = BenchTrain(*model, query);
  const std::string text =
      options.json ? TrainBenchJson(result).dump(2) + "\n" : TrainBenchText(result);
  std::fputs(text.c_str(), stdout);
  return 0;
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
  options.common.Apply();
  const std::unique_ptr<Model> model = Model::Load(options.model, ParseComputeDtype(options.dtype));
  std::optional<LoraAdapter> adapter;
  if (options.adapter) adapter.emplace(LoraAdapter::Load(*model, *options.adapter));
  const DecodeBenchResult result = BenchDecode(*model, adapter ? &*adapter : nullptr,
                                               {.batch = options.batch,
                                                .prompt_tokens = options.prompt_tokens,
                                                .new_tokens = options.new_tokens,
                                                .rounds = options.rounds});
  const std::string text =
      options.json ? DecodeBenchJson(result).dump(2) + "\n" : DecodeBenchText(result);
  std::fputs(text.c_str(), stdout);
  return 0;
}

struct Kind {
  std::string_view name;
  int (*run)(int argc, char** argv);
};
constexpr std::array<Kind, 2> kKinds = {{{"train", RunBenchTrain}, {"decode", RunBenchDecode}}};

constexpr const char* kOverview =
    "lorikeet bench train|decode MODEL [options]\n\n"
    "  lorikeet bench train MODEL     training steps against the matmul peak of this machine\n"
    "  lorikeet bench decode MODEL    reading prompts and continuing them\n\n"
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
  Fail(ErrorCode::kInvalidArgument, "bench what? lorikeet bench train|decode MODEL (see --help)");
}

}  // namespace lorikeet
