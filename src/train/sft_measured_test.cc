// Properties of the loop that studies need: runs that are only measured, and the invariance of
// LoRA's training under scales of A and B.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/parallel.h"
#include "train/checkpoint.h"
#include "train/sft.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

std::vector<Example> Sequences(int64_t count) {
  std::vector<Example> examples;
  for (int64_t i = 0; i < count; ++i) {
    Example example;
    for (int64_t t = 0; t < 9; ++t) {
      const auto id = static_cast<int32_t>((7 * i * i + 11 * t) % 90);
      if (t < 8) example.tokens.push_back(id);
      if (t > 0) example.target_tokens.push_back(id);
    }
    example.weights.assign(8, 1.0F);
    examples.push_back(std::move(example));
  }
  return examples;
}

class SftMeasured : public ::testing::Test {
 protected:
  void SetUp() override {
    SetNumThreads(1);  // a team would only wait for itself in a model this small
    root_ = fs::temp_directory_path() / ("lorikeet_measured_" + std::to_string(getpid()));
    fs::remove_all(root_);
    config_ = {
        .loop = {.max_steps = 8, .tensorboard = false}, .batch_size = 2, .learning_rate = 5e-3};
    config_.loop.output_dir = root_.string();
    config_.loop.keep_result = false;
  }
  void TearDown() override {
    fs::remove_all(root_);
    SetNumThreads(threads_);
  }

  SftResult Train(double alpha, double init_a, DType dtype = DType::kF32,
                  const SftHooks& hooks = {}) {
    const auto model =
        Model::Load(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama", dtype);
    LoraConfig lora{.r = 4, .lora_alpha = static_cast<float>(alpha)};
    lora.target_modules = {"all-linear"};
    TrainingRun run(*model, LoraAdapter::Create(*model, lora, 1, init_a),
                    {.tokens_per_microbatch = 64});
    return TrainSft(run, train_, heldout_, config_, hooks);
  }

  // The lines of metrics.jsonl that have a key: its values, with the steps.
  std::vector<std::pair<int64_t, double>> Lines(const std::string& key) const {
    std::istringstream text(ReadFile(config_.loop.output_dir + "/metrics.jsonl"));
    std::vector<std::pair<int64_t, double>> values;
    for (std::string line; std::getline(text, line);) {
      const Json json = ParseJson(line, "metrics.jsonl");
      if (json.contains(key)) {
        values.emplace_back(json.at("step").get<int64_t>(), json.at(key).get<double>());
      }
    }
    return values;
  }
  std::vector<std::pair<int64_t, double>> Losses(double alpha, double init_a,
                                                 DType dtype = DType::kF32) {
    Train(alpha, init_a, dtype);
    return Lines("loss");
  }

  fs::path root_;
  int threads_ = NumThreads();
  SftConfig config_;
  std::vector<Example> train_ = Sequences(6), heldout_ = Sequences(2);
};

TEST_F(SftMeasured, EvaluatesWhereAskedAndKeepsNothing) {
  config_.loop.eval_at = {1, 2, 4};
  SftHooks hooks;
  hooks.also_evaluated = [](const TrainingRun& run) {
    return Metrics{{"trainable", static_cast<double>(run.NumTrainable())}};
  };
  const SftResult result = Train(32, 1, DType::kF32, hooks);
  EXPECT_EQ(result.steps, 8);
  std::vector<int64_t> steps;
  for (const auto& [step, count] : Lines("trainable")) steps.push_back(step);
  EXPECT_THAT(steps, ElementsAre(0, 1, 2, 4, 8));
  EXPECT_TRUE(ListCheckpoints(config_.loop.output_dir).empty());
  EXPECT_FALSE(fs::exists(root_ / "adapter_model.safetensors"));
}

TEST_F(SftMeasured, AStoppedMeasurementGoesOnBitForBit) {
  const auto whole = Losses(32, 1);
  int asked = 0;
  SftHooks hooks;
  hooks.loop.stop_requested = [&asked] { return ++asked > 9; };
  ASSERT_TRUE(Train(32, 1, DType::kF32, hooks).interrupted);
  ASSERT_EQ(ListCheckpoints(config_.loop.output_dir).size(), 1);
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  EXPECT_EQ(Losses(32, 1), whole);
}

// "LoRA Without Regret": alpha / (p q), init_A p, LR_A p, LR_B q; and with eps and decay, which the
// article leaves out, those of A by 1/p and of B by 1/q. Powers of two scale without rounding.
TEST_F(SftMeasured, ScalesOfAAndBLeaveTrainingAsItIs) {
  config_.optim.eps = 1e-4;
  config_.optim.weight_decay = 0.1;
  for (const DType dtype : {DType::kF32, DefaultComputeDtype()}) {
    config_.optim.a = config_.optim.b = {};
    const auto base = Losses(32, 1, dtype);
    config_.optim.a = {8, 1.0 / 8, 1.0 / 8};
    config_.optim.b = {0.5, 2, 2};
    EXPECT_EQ(Losses(32 / (8 * 0.5), 8, dtype), base);
    config_.optim.a.eps = 1;
    EXPECT_NE(Losses(32 / (8 * 0.5), 8, dtype), base);
    config_.optim.a = {8, 1.0 / 8, 1};
    EXPECT_NE(Losses(32 / (8 * 0.5), 8, dtype), base);
  }
}

TEST_F(SftMeasured, ClippingByTheGlobalNormBreaksTheInvariance) {
  config_.optim.max_grad_norm = 1e-2;
  const auto base = Losses(32, 1);
  config_.optim.a = {8, 1.0 / 8, 1.0 / 8};
  config_.optim.b = {0.5, 2, 2};
  EXPECT_NE(Losses(32 / (8 * 0.5), 8), base);
}

TEST_F(SftMeasured, AResumedRunHasTheSameScales) {
  config_.loop.save_steps = 4;
  config_.optim.b.learning_rate = 4;
  config_.settings = {{"loraplus_lr_ratio", 4}};  // as recipes/run_settings.h records it
  int asked = 0;
  SftHooks hooks;
  hooks.loop.stop_requested = [&asked] { return ++asked > 12; };
  Train(32, 1, DType::kF32, hooks);
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  config_.optim.b = {};
  config_.settings = Json::object();
  EXPECT_THROW(Train(32, 1), Error);
}

}  // namespace
}  // namespace lorikeet
