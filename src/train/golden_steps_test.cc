// Ten AdamW steps follow the losses that peft gets from the same weights, batch and settings
// (tests/golden/model/*/golden.json, made by tools/make_goldens.py).
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "core/parallel.h"
#include "model/model_for_test.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

class GoldenSteps : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    SetNumThreads(1);  // a team would only wait for itself in models this small
    dir_ = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/" + GetParam();
    golden_ = ParseJson(ReadFile(dir_ + "/golden.json"), dir_);
    for (const Json& sequence : golden_.at("batch")) {
      Example example;
      sequence.at("tokens").get_to(example.tokens);
      sequence.at("targets").get_to(example.target_tokens);
      sequence.at("weights").get_to(example.weights);
      examples_.push_back(std::move(example));
    }
  }
  void TearDown() override { SetNumThreads(threads_); }
  // The ten losses under `key`, if the family has them.
  void Follow(const std::string& key, bool lora, const OptimParams& optim) {
    if (!golden_.contains(key)) return;
    const std::unique_ptr<Model> model = Model::Load(dir_, DType::kF32);
    const RunOptions options{.tokens_per_microbatch = 256};
    const std::unique_ptr<TrainingRun> run =
        lora ? std::make_unique<TrainingRun>(*model, LoraAdapter::Load(*model, dir_ + "/adapter"),
                                             options)
             : std::make_unique<TrainingRun>(*model, options);
    std::vector<const Example*> batch;
    for (const Example& example : examples_) batch.push_back(&example);
    const std::string norms =
        key.substr(0, 4) + "_grad_norms" + key.substr(std::string("lora_losses").size());
    int64_t step = 0;
    for (const Json& expected : golden_.at(key)) {
      const ForwardBackwardOutput output = run->ForwardBackward(batch);
      EXPECT_NEAR(output.MeanLoss(), expected.get<double>(), 1e-4) << key << " step " << step;
      OptimParams now = optim;
      now.grad_divisor = output.weight_sum;
      const double norm = run->OptimStep(now).grad_norm;
      if (golden_.contains(norms)) {
        const double golden_norm = golden_.at(norms)[static_cast<size_t>(step)].get<double>();
        EXPECT_NEAR(norm, golden_norm, 1e-3 * golden_norm) << norms << " step " << step;
      }
      ++step;
    }
    EXPECT_EQ(step, 10);
    ++followed_;
  }

  std::string dir_;
  Json golden_;
  std::vector<Example> examples_;
  int followed_ = 0, threads_ = NumThreads();
};

TEST_P(GoldenSteps, Losses) {
  Follow("lora_losses", true, {.learning_rate = 1e-3});
  Follow("full_losses", false, {.learning_rate = 1e-4});
  EXPECT_EQ(followed_, 2);
}

using GoldenStepsVariants = GoldenSteps;
TEST_P(GoldenStepsVariants, Losses) {
  Follow("lora_losses_clip", true, {.learning_rate = 1e-3, .max_grad_norm = 0.25});
  Follow("full_losses_clip", false, {.learning_rate = 1e-4, .max_grad_norm = 0.25});
  Follow("lora_losses_weight_decay", true, {.learning_rate = 1e-3, .weight_decay = 0.1});
  Follow("full_losses_weight_decay", false, {.learning_rate = 1e-4, .weight_decay = 0.1});
  EXPECT_EQ(followed_, GetParam() == "llama" ? 2 : 1);
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenSteps, ::testing::ValuesIn(GoldenFamilies()));

// The families that have them, see tools/README.md.
INSTANTIATE_TEST_SUITE_P(Families, GoldenStepsVariants, ::testing::Values("llama", "qwen3"));

}  // namespace
}  // namespace lorikeet
