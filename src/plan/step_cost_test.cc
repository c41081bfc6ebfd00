#include "plan/step_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/error.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

// D = 4, F = 6, one layer of 2 heads of 2 that share one kv head, V = 10, tied.
ModelConfig TinyConfig() {
  return ReadModelConfig({{"model_type", "llama"},
                          {"hidden_size", 4},
                          {"intermediate_size", 6},
                          {"num_hidden_layers", 1},
                          {"vocab_size", 10},
                          {"num_attention_heads", 2},
                          {"num_key_value_heads", 1},
                          {"head_dim", 2},
                          {"tie_word_embeddings", true}},
                         "test");
}

// 8 tokens in two sequences of 4.
constexpr int64_t kTokens = 8;
TrainingShape TinyShape(Method method) {
  TrainingShape shape;
  shape.method = method;
  shape.lora_r = 2;
  shape.tokens_per_microbatch = kTokens;
  shape.sequence_length = 4;
  return shape;
}

std::map<std::string, PartCost> CostByPart(const ModelConfig& config, const TrainingShape& shape,
                                           int64_t tokens) {
  std::map<std::string, PartCost> costs;
  for (const PartCost& cost : StepCost(config, shape, tokens)) costs[cost.part] = cost;
  return costs;
}

void ExpectCost(const PartCost& cost, double calls, double flops, double bytes) {
  EXPECT_EQ(cost.calls, calls) << cost.part;
  EXPECT_EQ(cost.flops, flops) << cost.part;
  EXPECT_EQ(cost.bytes, bytes) << cost.part;
}

TEST(StepCost, OfALoraStepCountedByHand) {
  auto cost = CostByPart(TinyConfig(), TinyShape(Method::kLora), kTokens);
  EXPECT_EQ(cost.size(), 13);
  // y and dx of q, k, v, o, gate, up, down; but nothing below the only layer is trained, so dx of
  // q, k and v is not computed, nor is the first norm differentiated. FLOPs 2 * 8 * out * (in + 2)
  // and 2 * 8 * in * (out + 2). Bytes of q's y: 2 * (8*4 + 4*4 + 8*2 + 2*4) + 4 * 8*4 = 272; of k's
  // dx, which adds, 2 * (8*2 + 2*4 + 8*2 + 2*4) + 8 * 8*4 = 352; of gate's y, which is in bf16, 2 *
  // (8*4 + 4*6 + 8*2 + 2*6 + 8*6) = 264.
  ExpectCost(cost["base products"], 14 - 3,
             768 + 448 + 448 + 768 + 1088 + 1088 + 1088 - (384 + 256 + 256),
             272 + 2 * 184 + (400 + 272) + (264 + 320) + (264 + 448) + (448 + 360));
  // in + out is 58 in all. Of each: x A^T and dy B in 20 (in + out) + 128 bytes, dA and dB in
  // 32 (in + out) + 64.
  ExpectCost(cost["low-rank products"], 28, 4 * 8 * 2 * 58, 52 * 58 + 7 * 192);
  ExpectCost(cost["low-rank casts"], 14, 14 * 16, 14 * 16 * (4 + 2 + 2));
  ExpectCost(cost["head products"], 2, 2 * (2 * 8 * 40),
             2 * (8 * 4 + 40) + 4 * 80 + 2 * (80 + 40) + 4 * 32);
  // Two sequences with 10 pairs each, 4 = 2 heads of 2.
  ExpectCost(cost["attention forward"], 1, 2 * 10 * 4 * 2 * 2, 2 * (32 + 16 + 16 + 32) + 4 * 16);
  ExpectCost(cost["attention backward"], 1, 2 * 10 * 4 * 2 * 4,
             2 * (32 + 16 + 16) + 4 * 16 + 4 * (32 + 32 + 16 + 16));
  ExpectCost(cost["swiglu"], 2, (4 + 11) * 48, 48 * 3 * 2 + 48 * (4 + 5 * 2));
  ExpectCost(cost["casts"], 2, 0, 2 * 32 * (4 + 2));
  // Three forward, two scaled again, two backward.
  ExpectCost(
      cost["norms"], 7, 3 * 4 * 32 + 2 * 32 + 2 * 7 * 32,
      3 * (4 * (32 + 4 + 8) + 2 * 64) + 2 * (2 * 64 + 4 * 4) + 2 * (4 * (3 * 32 + 4 + 8) + 2 * 32));
  ExpectCost(cost["cross-entropy"], 2, (4 + 3) * 80, 4 * (80 + 3 * 8) + 4 * (80 + 3 * 8) + 2 * 80);
  // q, k, v; q and k are turned by tables of 16 values.
  ExpectCost(cost["heads and rope"], 6, 2 * 3 * (32 + 16), 2 * (6 * (32 + 16 + 16) + 2 * 4 * 16));
  ExpectCost(cost["optimizer"], 28, (2 + 15) * 116, (4 + 28 + 2) * 116);
  ExpectCost(cost["embedding"], 1, 0, 4 * 8 + 4 * 32 + 2 * 32);
}

TEST(StepCost, OfAFullStepCountedByHand) {
  auto cost = CostByPart(TinyConfig(), TinyShape(Method::kFull), kTokens);
  EXPECT_EQ(cost.count("low-rank products"), 0);
  EXPECT_EQ(cost.count("low-rank casts"), 0);
  // 120 weights in the layer. dW of q: 2 * (8*4 + 8*4) + 8 * 16 bytes = 256; k, v 160, o 256, gate,
  // up, down 352 each.
  EXPECT_EQ(cost["base products"].flops, 6 * 8 * 120);
  EXPECT_EQ(cost["base products"].bytes, (224 + 224) + 2 * (144 + 304) + (352 + 224) + (208 + 272) +
                                             (208 + 400) + (400 + 304) + 2 * 256 + 2 * 160 +
                                             3 * 352);
  EXPECT_EQ(cost["head products"].flops, 6 * 8 * 40);
  // Matrices (the tied head once) have a copy in bf16, norms have none.
  ExpectCost(cost["optimizer"], 2 * (8 + 3), 17 * (160 + 12), 34 * 160 + 32 * 12);
  ExpectCost(cost["embedding"], 2, 32, 4 * 8 + 4 * 32 + 2 * 32 + 4 * 8 + 3 * 4 * 32);
  EXPECT_EQ(cost["norms"].flops, 3 * 4 * 32 + 2 * 32 + 3 * 9 * 32);
}

TEST(StepCost, ProductsAddUpToTrainingFlops) {
  for (const char* family : {"llama", "qwen2", "qwen3", "llama_bias", "qwen3_moe", "mixtral",
                             "smollm3_window", "qwen3_moe_window", "gemma2", "gemma3"}) {
    const ModelConfig config = Model::Load(GoldenDir(family), DType::kF32)->config();
    for (const Method method : {Method::kLora, Method::kFull}) {
      for (const int64_t micro_batch : {16, 48, 160}) {
        TrainingShape shape = TinyShape(method);
        const bool mixtral = config.model_type == "mixtral";
        shape.target_modules = {"attention", mixtral ? "w3" : "up_proj", "lm_head"};
        shape.sequence_length = 16;
        shape.tokens_per_microbatch = micro_batch;
        auto cost = CostByPart(config, shape, 160);
        double flops = 0;
        for (const char* part : {"base products", "head products", "low-rank products",
                                 "attention forward", "attention backward"}) {
          flops += cost[part].flops;
        }
        double expected = TrainingFlops(config, shape).total() * 160;
        if (method == Method::kLora) {  // dx of q, k and v of the lowest layer is not computed
          const int64_t out = config.q_size() + 2 * config.kv_size(), r = 3 * shape.lora_r;
          expected -= 2.0 * 160 * static_cast<double>(config.hidden_size * (out + r));
        }
        EXPECT_NEAR(flops, expected, 1e-12 * expected) << family << " " << micro_batch;
      }
    }
  }
}

// T of the micro-batches, as the embedding meets them.
std::vector<std::string> Batches(int64_t tokens, int64_t length, int64_t micro_batch) {
  TrainingShape shape = TinyShape(Method::kLora);
  shape.sequence_length = length;
  shape.tokens_per_microbatch = micro_batch;
  std::vector<std::string> batches;
  for (const StepCall& step : StepCalls(TinyConfig(), shape, tokens)) {
    if (step.part != "embedding") continue;
    batches.push_back(std::to_string(static_cast<int>(step.count)) + " of " + step.call.shape);
  }
  return batches;
}

TEST(StepCost, MicroBatchesAreThoseOfThePacker) {
  EXPECT_THAT(Batches(64, 16, 64), ElementsAre(StartsWith("1 of 64 x")));
  EXPECT_THAT(Batches(64, 16, 30), ElementsAre(StartsWith("4 of 16 x")));
  EXPECT_THAT(Batches(80, 16, 32), ElementsAre(StartsWith("1 of 16 x"), StartsWith("2 of 32 x")));
  // A shorter last sequence goes where there is room first.
  EXPECT_THAT(Batches(69, 16, 37), ElementsAre(StartsWith("1 of 32 x"), StartsWith("1 of 37 x")));
  EXPECT_THAT(Batches(69, 16, 32), ElementsAre(StartsWith("1 of 5 x"), StartsWith("2 of 32 x")));
  EXPECT_THAT(Batches(53, 16, 32), ElementsAre(StartsWith("1 of 21 x"), StartsWith("1 of 32 x")));
  EXPECT_THAT(Batches(5, 16, 32), ElementsAre(StartsWith("1 of 5 x")));
}

TEST(StepCalls, EqualOnesStandTogetherUnderTheNamesOfTheirModules) {
  ModelConfig config = TinyConfig();
  config.num_hidden_layers = 2;  // the upper one has every dx
  config.layers.push_back(config.layers.front());
  const std::vector<StepCall> calls = StepCalls(config, TinyShape(Method::kLora), kTokens);
  std::vector<std::string> names;
  for (const StepCall& call : calls) {
    if (call.part == "base products") names.push_back(call.Name() + ", " + call.call.kernel);
  }
  EXPECT_THAT(names,
              ElementsAre("q_proj y, MatMulSum NT", "k_proj, v_proj y, MatMulSum NT",
                          "o_proj y, MatMulSum NT +=", "gate_proj, up_proj y, MatMulSum NT in bf16",
                          "down_proj y, MatMulSum NT +=", "down_proj dx, MatMulSum NN",
                          "gate_proj dx, MatMulSum NN", "up_proj dx, MatMulSum NN +=",
                          "o_proj, q_proj dx, MatMulSum NN", "k_proj, v_proj dx, MatMulSum NN +="));
  TrainingShape unknown = TinyShape(Method::kLora);
  unknown.target_modules = {"knee_proj"};
  EXPECT_THROW(StepCalls(TinyConfig(), unknown, kTokens), Error);
}

TEST(Roofline, TheLowerCeilingBinds) {
  const Ceilings ceilings{.matmul_gflops = 100, .read_gbs = 10};
  EXPECT_EQ(ceilings.Ridge(), 10);
  const RooflinePoint product = UnderRoofline(2e9, 1e8, 0.04, ceilings);
  EXPECT_TRUE(product.compute_bound);
  EXPECT_DOUBLE_EQ(product.gflops, 50);
  EXPECT_DOUBLE_EQ(product.gbs, 2.5);
  EXPECT_DOUBLE_EQ(product.ideal_seconds, 0.02);
  EXPECT_DOUBLE_EQ(product.share_of_ceiling, 0.5);
  const RooflinePoint norm = UnderRoofline(1e8, 1e8, 0.04, ceilings);
  EXPECT_FALSE(norm.compute_bound);
  EXPECT_DOUBLE_EQ(norm.ideal_seconds, 0.01);
  EXPECT_DOUBLE_EQ(norm.share_of_ceiling, 0.25);
}

}  // namespace
}  // namespace lorikeet
