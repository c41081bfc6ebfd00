// Steps of a DoRA adapter follow the losses that peft gets (tests/golden/adapters, made by
// tools/adapter_goldens.py).
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "core/temporary_folder_for_test.h"
#include "model/model_for_test.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

class DoraSteps : public ::testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  DoraSteps() : expected_(OpenSafetensors(dir_ + "/expected.safetensors")) {
    const auto *tokens = At("tokens"), *targets = At("targets"), *offsets = At("offsets");
    for (int s = 0; s < 2; ++s) {
      Example example;
      example.tokens.assign(tokens + offsets[s], tokens + offsets[s + 1]);
      example.target_tokens.assign(targets + offsets[s], targets + offsets[s + 1]);
      example.weights.assign(example.tokens.size(), 1.0F);
      examples_.push_back(std::move(example));
    }
  }
  const int32_t* At(const char* name) const { return expected_->Find(name).as<int32_t>(); }
  std::unique_ptr<TrainingRun> MakeRun(int64_t tokens) {
    return std::make_unique<TrainingRun>(*model_, LoraAdapter::Load(*model_, dir_),
                                         RunOptions{.tokens_per_microbatch = tokens});
  }
  double Step(TrainingRun& run) const {
    const ForwardBackwardOutput output = run.ForwardBackward({{&examples_[0], &examples_[1]}});
    run.OptimStep({.learning_rate = 1e-2, .grad_divisor = output.weight_sum});
    return output.MeanLoss();
  }

  std::string dir_ =
      std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/adapters/" + GetParam().first;
  std::unique_ptr<TensorFile> expected_;
  std::unique_ptr<Model> model_ = Model::Load(GoldenDir(GetParam().second), DType::kF32);
  std::vector<Example> examples_;
};

TEST_P(DoraSteps, LossesAreThoseOfPeft) {
  const Tensor losses = expected_->Find("losses");
  for (const int64_t tokens : {256, 72}) {  // one micro-batch, and two
    const auto run = MakeRun(tokens);
    for (int64_t step = 0; step < losses.size(); ++step) {
      EXPECT_NEAR(Step(*run), losses.as<float>()[step], 1e-4) << step;
    }
    EXPECT_LT(losses.as<float>()[losses.size() - 1], losses.as<float>()[0] - 0.1);
  }
}

TEST_P(DoraSteps, AResumedRunIsTheUninterruptedOne) {
  const TemporaryFolder folder("dora_steps");
  const auto run = MakeRun(256);
  Step(*run);
  run->SaveState(folder.path());
  const auto resumed = MakeRun(256);
  resumed->LoadState(folder.path());
  for (int step = 0; step < 3; ++step) EXPECT_EQ(Step(*run), Step(*resumed));
}

INSTANTIATE_TEST_SUITE_P(Cases, DoraSteps,
                         ::testing::Values(std::pair{"dora", "llama"},
                                           std::pair{"dora_bias", "llama_bias"}),
                         [](const auto& param) { return std::string(param.param.first); });

}  // namespace
}  // namespace lorikeet
