// Tests of bench: its figures against each other and against the known work of a step.
#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <memory>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/profile.h"
#include "plan/step_cost.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

TEST(BenchTrain, FiguresAgreeWithEachOther) {
  const CommandOutcome outcome = RunCommand(
      RunBench, {"train", GoldenModel("llama"), "--lora-r", "4", "--tokens", "40", "--max-length",
                 "16", "--steps", "1", "--warmup", "1", "--dtype", "f32", "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson json = outcome.Json();
  for (const char* key : {"tokens_per_second", "matmul_peak_gflops", "model_flops_utilization",
                          "peak_rss_bytes", "arena_high_mark_bytes"}) {
    EXPECT_GT(json[key].get<double>(), 0) << key;
  }
  EXPECT_NEAR(
      json["tokens_per_second"].get<double>() * json["step_seconds"]["median"].get<double>(), 40,
      1e-6);
  EXPECT_NEAR(json["model_flops_utilization"].get<double>(),
              json["flops_per_token"]["all"].get<double>() *
                  json["tokens_per_second"].get<double>() /
                  (json["matmul_peak_gflops"].get<double>() * 1e9),
              1e-9);
  // A uniform guess over the vocabulary costs log(96) nats; random weights are near it.
  EXPECT_NEAR(json["first_loss"].get<double>(), std::log(96.0), 2);
  EXPECT_EQ(RunCommand(RunBench, {"train", GoldenModel("llama"), "--target-modules", "x"}).status,
            2);
  EXPECT_EQ(RunCommand(RunBench, {"knit"}).status, 2);
}

TEST(SlowBenchDecode, FiguresAreThere) {
  const CommandOutcome outcome =
      RunCommand(RunBench, {"decode", GoldenModel("llama"), "--batch", "2", "--prompt-tokens", "5",
                            "--new-tokens", "3", "--rounds", "1", "--dtype", "f32", "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson json = outcome.Json();
  for (const char* key : {"prompt_tokens_per_second", "tokens_per_second", "read_bandwidth_gbs",
                          "bandwidth_utilization", "peak_rss_bytes"}) {
    EXPECT_GT(json[key].get<double>(), 0) << key;
  }
}

TEST(BenchKernels, WhatCannotBeIsSaid) {
  EXPECT_THAT(RunCommand(RunBench, {"--help"}).out, HasSubstr("lorikeet bench kernels [MODEL]"));
  EXPECT_THAT(RunCommand(RunBench, {}).error, HasSubstr("train|decode|kernels"));
  const CommandOutcome none = RunCommand(RunBench, {"kernels", "--only", "knitting"});
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.error, HasSubstr("--only knitting: no kernel"));
  EXPECT_EQ(RunCommand(RunBench, {"kernels", "--target-modules", "knee_proj"}).status, 2);
  EXPECT_EQ(RunCommand(RunBench, {"kernels", "/nowhere"}).status, 1);
}

constexpr int64_t kTokens = 40, kLength = 16, kMicroBatch = 32;

TrainingShape ShapeOf(Method method) {
  TrainingShape shape;
  shape.method = method;
  shape.lora_r = 4;
  shape.compute = DType::kF32;
  shape.tokens_per_microbatch = kMicroBatch;
  shape.sequence_length = kLength;
  return shape;
}

// Calls by part of a step over two sequences of 16 tokens and one of 8, in two micro-batches.
std::map<std::string, int64_t> CallsOfAStep(Model& model, Method method) {
  std::vector<Example> examples;
  for (const size_t n : {16, 16, 8}) {
    Example& example = examples.emplace_back();
    example.tokens.assign(n, 7);
    example.target_tokens.assign(n, 8);
    example.weights.assign(n, 1.0F);
  }
  const std::vector<const Example*> step = {&examples[0], &examples[1], &examples[2]};
  const RunOptions options = {.tokens_per_microbatch = kMicroBatch};
  LoraConfig lora;
  lora.r = 4;
  lora.target_modules = {"all-linear"};
  const auto run = method == Method::kFull
                       ? std::make_unique<TrainingRun>(model, options)
                       : std::make_unique<TrainingRun>(
                             model, LoraAdapter::Create(model, lora, /*seed=*/1), options);
  Profile::Reset();
  Profile::Enable(true);
  run->ForwardBackward(step);
  run->OptimStep({.learning_rate = 1e-5, .max_grad_norm = 1, .grad_divisor = kTokens});
  Profile::Enable(false);
  std::map<std::string, int64_t> calls;
  for (const Profile::Part& part : Profile::Parts()) calls[part.name] = part.calls;
  return calls;
}

// The roofline's counts are those of a real step.
TEST(StepCost, CountsTheCallsThatAStepMakes) {
  for (const char* family : {"llama", "qwen2", "qwen3", "llama_bias"}) {
    for (const Method method : {Method::kLora, Method::kFull}) {
      const auto model = Model::Load(GoldenModel(family), DType::kF32);
      const std::map<std::string, int64_t> calls = CallsOfAStep(*model, method);
      std::map<std::string, int64_t> expected;
      for (const PartCost& cost : StepCost(model->config(), ShapeOf(method), kTokens)) {
        expected[cost.part] = static_cast<int64_t>(cost.calls);
      }
      EXPECT_EQ(calls, expected) << family;
    }
  }
}

TEST(SlowBenchTrain, AProfileAddsUpToTheStep) {
  const CommandOutcome outcome = RunCommand(RunBench, {"train",
                                                       GoldenModel("llama"),
                                                       "--lora-r",
                                                       "4",
                                                       "--tokens",
                                                       "40",
                                                       "--max-length",
                                                       "16",
                                                       "--micro-batch-tokens",
                                                       "32",
                                                       "--recompute",
                                                       "none",
                                                       "--steps",
                                                       "2",
                                                       "--warmup",
                                                       "1",
                                                       "--dtype",
                                                       "f32",
                                                       "--profile",
                                                       "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson profile = outcome.Json()["profile"];
  const ModelConfig config = Model::Load(GoldenModel("llama"), DType::kF32)->config();
  double shares = profile["rest_seconds"].get<double>() / profile["step_seconds"].get<double>();
  double ideal = 0;
  for (const PartCost& cost : StepCost(config, ShapeOf(Method::kLora), kTokens)) {
    const OrderedJson& part = profile["parts"][cost.part];
    EXPECT_EQ(part["flops"].get<double>(), cost.flops) << cost.part;
    EXPECT_EQ(part["bytes"].get<double>(), cost.bytes) << cost.part;
    EXPECT_NEAR(part["gb_per_second"].get<double>() * part["seconds"].get<double>(),
                cost.bytes * 1e-9, 1e-12);
    shares += part["share"].get<double>();
    ideal += part["ideal_seconds"].get<double>();
  }
  EXPECT_NEAR(shares, 1, 1e-9);
  EXPECT_NEAR(profile["ideal_seconds"].get<double>(), ideal, 1e-9);
}

TEST(SlowBenchKernels, StepsAreTheSumsOfTheirCalls) {
  const CommandOutcome outcome =
      RunCommand(RunBench, {"kernels", GoldenModel("llama") + "/config.json", "--lora-r", "4",
                            "--tokens", "40", "--max-length", "16", "--rounds", "2", "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson json = outcome.Json();
  double lora = 0, full = 0;
  for (const auto& kernel : json["kernels"]) {
    const double seconds = kernel["seconds"]["median"].get<double>();
    EXPECT_GT(seconds, 0) << kernel["name"];
    lora += seconds * kernel["calls_per_step"]["lora"].get<double>();
    full += seconds * kernel["calls_per_step"]["full"].get<double>();
    const double flops = kernel["flops"].get<double>(), bytes = kernel["bytes"].get<double>();
    const double ceiling = std::max(flops / json["matmul_peak_gflops"].get<double>(),
                                    bytes / json["read_bandwidth_gbs"].get<double>());
    EXPECT_NEAR(kernel["share_of_ceiling"].get<double>(), ceiling * 1e-9 / seconds, 1e-6);
  }
  EXPECT_NEAR(json["lora_step"]["seconds"].get<double>(), lora, 1e-9);
  EXPECT_NEAR(json["full_step"]["seconds"].get<double>(), full, 1e-9);
}

TEST(SlowBenchKernels, OnlyWhatIsAskedForIsTimed) {
  const CommandOutcome outcome =
      RunCommand(RunBench, {"kernels", GoldenModel("llama"), "--only", "attention,dW", "--tokens",
                            "40", "--max-length", "16", "--rounds", "1", "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson json = outcome.Json();
  EXPECT_FALSE(json.contains("lora_step"));
  size_t products = 0;
  for (const auto& kernel : json["kernels"]) {
    const auto part = kernel["part"].get<std::string>();
    if (kernel["name"].get<std::string>().ends_with(" dW")) {
      EXPECT_THAT(part, HasSubstr("products"));
      ++products;
    } else {
      EXPECT_THAT(part + kernel["name"].get<std::string>(), HasSubstr("attention"));
    }
  }
  EXPECT_GT(products, 0U);
}

}  // namespace
}  // namespace lorikeet
