// Tests of inspect and estimate: their numbers against those of the parts that they describe.
#include <gmock/gmock.h>

#include <cmath>

#include "checkpoint/peft.h"
#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "data/tiny_bundle.h"
#include "model/lora.h"
#include "recipes/estimate.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

TEST(InspectModel, CountsWhatTheModelHas) {
  const auto model = Model::Load(GoldenModel("qwen3"), DType::kF32);
  const CommandOutcome outcome =
      RunCommand(RunInspect, {GoldenModel("qwen3"), "--json", "--tensors"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson json = outcome.Json();
  EXPECT_EQ(json["kind"], "model");
  EXPECT_EQ(json["model_type"], "qwen3");
  EXPECT_EQ(json["parameters"], model->NumParameters());
  EXPECT_EQ(json["config"]["hidden_size"], model->config().hidden_size);
  EXPECT_EQ(json["tensor_list"].size(), json["tensors"].get<size_t>());
  int64_t of_parts = 0;
  for (const auto& part : json["parts"]) of_parts += part["parameters"].get<int64_t>();
  EXPECT_EQ(of_parts, model->NumParameters());
  EXPECT_TRUE(json["tokenizer"].is_null());
  EXPECT_THAT(RunCommand(RunInspect, {"model", GoldenModel("llama3")}).out, HasSubstr("llama3 x"));
  EXPECT_THAT(RunCommand(RunInspect, {"model", GoldenModel("smollm3")}).out,
              HasSubstr("theta 2e+06, none in 1 of 3 layers"));
}

TEST(InspectAdapter, NormsAreThoseOfTheProduct) {
  const std::string dir = GoldenModel("llama") + "/adapter";
  const CommandOutcome outcome =
      RunCommand(RunInspect, {dir, "--model", GoldenModel("llama"), "--spectral", "--json"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson json = outcome.Json();
  EXPECT_EQ(json["kind"], "adapter");
  EXPECT_TRUE(json["fits"].get<bool>());
  EXPECT_EQ(json["modules_with_zero_b"], 0);
  const AdapterFile file = ReadAdapter(dir);
  ASSERT_EQ(json["modules"].size(), file.pairs.size());
  for (size_t m = 0; m < file.pairs.size(); ++m) {
    const Tensor &a = file.pairs[m].a, &b = file.pairs[m].b;
    double squares = 0;
    for (int64_t i = 0; i < b.rows(); ++i) {
      for (int64_t j = 0; j < a.cols(); ++j) {
        double sum = 0;
        for (int64_t k = 0; k < a.rows(); ++k) {
          sum += static_cast<double>(b.as<float>()[i * b.cols() + k]) *
                 a.as<float>()[k * a.cols() + j];
        }
        squares += sum * sum;
      }
    }
    const OrderedJson& got = json["modules"][m];
    EXPECT_EQ(got["module"], file.pairs[m].module);
    EXPECT_NEAR(got["ba_norm"].get<double>(), std::sqrt(squares), 1e-6 * std::sqrt(squares));
    // Bounds of the largest singular value: the Frobenius norm, and that norm / sqrt(rank).
    const double largest = got["spectral_norm_ba"].get<double>();
    EXPECT_LE(largest, std::sqrt(squares) * (1 + 1e-9));
    EXPECT_GE(largest, std::sqrt(squares / static_cast<double>(a.rows())) * (1 - 1e-9));
    EXPECT_LE(largest, got["spectral_norm_a"].get<double>() * got["spectral_norm_b"].get<double>() *
                           (1 + 1e-9));
  }
}

TEST(InspectAdapter, AFreshAdapterDoesNothingAndAMisfitIsSaid) {
  const TemporaryFolder tmp;
  const auto model = Model::Load(GoldenModel("llama"), DType::kF32);
  LoraConfig config;
  config.target_modules = {"attention"};
  LoraAdapter::Create(*model, config, 1).Save(tmp / "adapter");
  const CommandOutcome fresh = RunCommand(RunInspect, {"adapter", tmp / "adapter"});
  EXPECT_THAT(fresh.out, HasSubstr("8 of 8 modules: the adapter does nothing"));
  const CommandOutcome misfit = RunCommand(
      RunInspect, {"adapter", tmp / "adapter", "--model", GoldenModel("qwen2"), "--json"});
  EXPECT_EQ(misfit.status, 1);
  EXPECT_FALSE(misfit.Json()["fits"].get<bool>());
  EXPECT_EQ(misfit.Json()["misfits"].size(), 8);
}

TEST(InspectData, ShowsWhatIsTrained) {
  const TemporaryFolder tmp;
  const OrderedJson tokenizer = tiny_bundle::TokenizerJson({});
  const OrderedJson config = {{"eos_token", "<|im_end|>"}, {"chat_template", kChatMl}};
  WriteFileAtomically(tmp / "tokenizer.json", tokenizer.dump());
  WriteFileAtomically(tmp / "tokenizer_config.json", config.dump());
  WriteFileAtomically(
      tmp / "train.jsonl",
      R"({"messages": [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "hello"}]})"
      "\n");
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {tmp / "train.jsonl", "--model", tmp / ""});
    return RunCommand(RunInspect, more);
  };
  const OrderedJson json = run({"--json"}).Json();
  EXPECT_EQ(json["kind"], "data");
  EXPECT_EQ(json["examples"], 1);
  EXPECT_EQ(json["trained_tokens"], 2);  // "hello" and the end of the turn
  EXPECT_THAT(run({}).out, HasSubstr("⟦hello<|im_end|>⟧"));
  EXPECT_GT(run({"--json", "--no-assistant-only-loss"}).Json()["trained_tokens"], 2);
  EXPECT_THAT(run({"--no-assistant-only-loss", "--last-turn-only"}).error, HasSubstr("exclude"));
  EXPECT_THAT(run({"--chat-template-kwargs", "[1]"}).error, HasSubstr("JSON object"));
  EXPECT_THAT(RunCommand(RunInspect, {tmp / "train.jsonl"}).error, HasSubstr("model"));
}

TEST(Inspect, UsageErrors) {
  EXPECT_EQ(RunCommand(RunInspect, {"--help"}).status, 0);
  EXPECT_EQ(RunCommand(RunInspect, {}).status, 2);
  EXPECT_EQ(RunCommand(RunInspect, {"--json"}).status, 2);
  EXPECT_THAT(RunCommand(RunInspect, {"/no/such/thing"}).error, HasSubstr("/no/such/thing"));
}

OrderedJson EstimateOf(std::vector<std::string> more) {
  more.insert(more.begin(), {GoldenModel("llama3"), "--peak-gflops", "100", "--max-length", "64",
                             "--dtype", "f32", "--json"});
  const CommandOutcome outcome = RunCommand(RunEstimate, more);
  EXPECT_EQ(outcome.error, "");
  return outcome.Json();
}

TEST(Estimate, CountsAreThoseOfTheModel) {
  const auto model = Model::Load(GoldenModel("llama3"), DType::kF32);
  const OrderedJson json = EstimateOf({"--lora-r", "8", "--target-modules", "mlp"});
  EXPECT_EQ(json["parameters"], model->NumParameters());
  EXPECT_EQ(json["full"]["trainable_parameters"], model->NumParameters());
  LoraConfig config;
  config.r = 8;
  config.target_modules = {"mlp"};
  EXPECT_EQ(json["lora"]["trainable_parameters"],
            LoraAdapter::Create(*model, config, 1).NumParameters());
  for (const char* method : {"lora", "full"}) {
    int64_t sum = 0;
    for (const auto& bytes : json[method]["memory"]) sum += bytes.get<int64_t>();
    EXPECT_EQ(sum, json[method]["memory_bytes"]);
    EXPECT_TRUE(json[method]["fits"].get<bool>());
  }
}

TEST(Estimate, TimeAndCapacityFollowTheirFormulas) {
  const OrderedJson json = EstimateOf({"--trained-tokens", "1000000", "--utilization", "0.5"});
  const OrderedJson& lora = json["lora"];
  EXPECT_NEAR(lora["seconds_per_1000_tokens"].get<double>(),
              1000 * lora["flops_per_token"]["all"].get<double>() / 50e9, 1e-12);
  // A rank far below the width; rank 32 in a model of width 32 costs more than full fine-tuning.
  EXPECT_LT(EstimateOf({"--lora-r", "1"})["lora_flops_of_full"].get<double>(), 1);
  const auto parameters = lora["trainable_parameters"].get<int64_t>();
  const OrderedJson& capacity = json["capacity"];
  EXPECT_EQ(capacity["data_bits"], 1e6);
  EXPECT_EQ(capacity["adapter_bits"], 2.0 * static_cast<double>(parameters));
  EXPECT_EQ(capacity["parameters_cover_tokens"].get<bool>(), parameters >= 1000000);
  // At the smallest sufficient rank the rule holds, one below it does not.
  const auto rank = capacity["smallest_sufficient_rank"].get<int64_t>();
  const int64_t per_rank = parameters / 32;
  EXPECT_GE(rank * per_rank, 1000000);
  EXPECT_LT((rank - 1) * per_rank, 1000000);
  for (const auto& [name, equal] : json["equal_parameter_ranks"].items()) {
    const double of_one = equal["parameters"].get<double>() / equal["r"].get<double>();
    EXPECT_LE(std::abs(equal["parameters"].get<double>() - static_cast<double>(parameters)),
              of_one / 2 + 1)
        << name;
  }
}

TEST(Estimate, AConfigAloneIsEnoughAndUnknownTargetsAreRefused) {
  const TemporaryFolder tmp;
  std::filesystem::copy_file(GoldenModel("qwen2") + "/config.json", tmp / "config.json");
  for (const std::string& path : {tmp / "", tmp / "config.json"}) {
    const CommandOutcome outcome = RunCommand(RunEstimate, {path, "--peak-gflops", "100"});
    EXPECT_EQ(outcome.error, "");
    EXPECT_THAT(outcome.out, HasSubstr("sampling 8 x 2048"));
  }
  EXPECT_THAT(RunCommand(RunEstimate, {tmp / "", "--target-modules", "q_prj"}).error,
              HasSubstr("'q_prj' matches no module"));
  EXPECT_THAT(RunCommand(RunEstimate, {tmp / "nothing"}).error, HasSubstr("nothing"));
  OrderedJson config = ParseOrderedJson(ReadFile(tmp / "config.json"), "config.json");
  config["head_dim"] = 16;
  config["hidden_size"] = config["intermediate_size"] = 1 << 24;
  config["num_hidden_layers"] = 1 << 14;
  WriteFileAtomically(tmp / "config.json", config.dump());
  EXPECT_THAT(RunCommand(RunEstimate, {tmp / "config.json"}).error, HasSubstr("check the sizes"));
  config["num_hidden_layers"] = 1 << 24;
  WriteFileAtomically(tmp / "config.json", config.dump());
  EXPECT_THAT(RunCommand(RunEstimate, {tmp / "config.json"}).error, HasSubstr("1 to 16384"));
}

}  // namespace
}  // namespace lorikeet
