// Checkpoints under faults: damage is named, deleting is whole or not at all, and an earlier one
// that is taken up leaves no hole in the metrics.
#include "train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "checkpoint/peft.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "train/run_settings.h"
#include "train/sft.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointFaults : public ::testing::Test {
 protected:
  CheckpointFaults() {
    for (int32_t i = 0; i < 6; ++i) {
      Example example;
      example.tokens = {i, i + 1, i + 2, i + 3};
      example.target_tokens = {i + 1, i + 2, i + 3, i + 4};
      example.weights.assign(4, 1.0F);
      (i < 4 ? train_ : heldout_).push_back(std::move(example));
    }
    config_ = {
        .loop = {.max_steps = 6, .save_steps = 2, .save_total_limit = 9, .tensorboard = false},
        .batch_size = 2,
        .learning_rate = 1e-2};
    config_.loop.output_dir = folder_ / "out";
  }

  SftResult Train(const SftHooks& hooks = {}) {
    const auto model =
        Model::Load(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama", DType::kF32);
    LoraConfig lora{.r = 2};
    lora.target_modules = {"q_proj"};
    TrainingRun run(*model, LoraAdapter::Create(*model, lora, 1), {.tokens_per_microbatch = 32});
    return TrainSft(run, train_, heldout_, config_, hooks);
  }
  std::string ErrorOf() {
    try {
      Train();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
  std::string At(int64_t step) const { return CheckpointDir(config_.loop.output_dir, step); }
  std::vector<int64_t> Steps() const {
    std::vector<int64_t> steps;
    for (const CheckpointRef& each : ListCheckpoints(config_.loop.output_dir)) {
      steps.push_back(each.step);
    }
    return steps;
  }
  // The steps of the lines of metrics.jsonl that have a key.
  std::vector<int64_t> Logged(const std::string& key) const {
    std::vector<int64_t> steps;
    std::istringstream lines(ReadFile(config_.loop.output_dir + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line);
      if (json.contains(key)) steps.push_back(json["step"].get<int64_t>());
    }
    return steps;
  }

  TemporaryFolder folder_{"checkpoint_faults"};
  std::vector<Example> train_, heldout_;
  SftConfig config_;
};

void FlipBit(const std::string& path, size_t byte) {
  std::string text = ReadFile(path);
  text.at(byte % text.size()) ^= 4;
  std::ofstream(path, std::ios::binary) << text;
}

TEST_F(CheckpointFaults, AFlippedBitIsNamedWhereverItIs) {
  Train();
  config_.loop.resume_from = At(4);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(At(4))) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(
                         "adapter_config.json", "adapter_model.safetensors", "run_state.json",
                         "trainer_state.json", "training_state.safetensors"));
  for (const std::string& name : names) {
    const std::string path = At(4) + "/" + name, whole = ReadFile(path);
    for (const size_t byte : {whole.size() / 3, whole.size() - 9}) {
      FlipBit(path, byte);
      EXPECT_THAT(ErrorOf(), HasSubstr(path)) << byte;
      std::ofstream(path, std::ios::binary) << whole;
    }
  }
  fs::resize_file(At(4) + "/training_state.safetensors", 1000);
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("training_state.safetensors: damaged"),
                               HasSubstr("use another checkpoint")));
  EXPECT_THAT(Steps(), ElementsAre(2, 4, 6));  // refusing changes nothing
}

TEST_F(CheckpointFaults, AFlippedBitOfWeightsIsNamedAtLoad) {
  Train();
  const std::string path = At(4) + "/adapter_model.safetensors";
  EXPECT_NO_THROW(ReadAdapter(At(4)));
  FlipBit(path, fs::file_size(path) - 5);
  try {
    ReadAdapter(At(4));
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr(path + ": damaged: its CRC-32C is"));
  }
  fs::remove(At(4) + "/run_state.json");
  EXPECT_NO_THROW(ReadAdapter(At(4)));
}

TEST_F(CheckpointFaults, ThoseOfOlderVersionsResume) {
  Train();
  const std::string expected = ReadFile(At(6) + "/adapter_model.safetensors");
  const std::string path = At(4) + "/run_state.json";
  Json state = ParseJson(ReadFile(path), path);
  EXPECT_EQ(state["files"].size(), 4);
  for (const char* key : {"files", "crc32c", "metrics_lines", "initial_parameters"}) {
    EXPECT_TRUE(state.contains(key)) << key;
    state.erase(key);
  }
  std::ofstream(path) << state.dump(2);
  config_.loop.resume_from = At(4);
  Train();
  EXPECT_TRUE(ReadFile(At(6) + "/adapter_model.safetensors") == expected);
}

TEST_F(CheckpointFaults, OneWithoutWeightsIsNotComplete) {
  Train();
  fs::remove(At(6) + "/adapter_model.safetensors");
  EXPECT_THAT(Steps(), ElementsAre(2, 4));
  EXPECT_THROW(RequireComplete(At(6)), Error);
}

TEST_F(CheckpointFaults, WhatAKilledDeletionLeftIsRemoved) {
  Train();
  const std::string out = config_.loop.output_dir;
  fs::remove(At(4) + "/trainer_state.json");        // by a version that deleted in place
  fs::rename(At(2), At(2) + ".tmp");                // moved aside, and not yet deleted
  fs::create_directories(out + "/checkpoint-500");  // another program's
  std::ofstream(out + "/checkpoint-500/optimizer.pt") << "x";
  CleanLeftovers(out);
  EXPECT_FALSE(fs::exists(At(4)));
  EXPECT_FALSE(fs::exists(At(2) + ".tmp"));
  EXPECT_TRUE(fs::exists(out + "/checkpoint-500/optimizer.pt"));
  EXPECT_THAT(Steps(), ElementsAre(6));
}

// Killed after it took up an earlier checkpoint, before it wrote one.
TEST_F(CheckpointFaults, AnEarlierOneTakenUpLeavesNoHoleInTheMetrics) {
  Train();
  config_.loop.resume_from = At(2);
  SftHooks hooks;
  hooks.loop.stop_requested = [this] {
    throw Error(ErrorCode::kIo, "killed");
    return false;
  };
  EXPECT_THROW(Train(hooks), Error);
  config_.loop.resume_from = LatestCheckpoint(config_.loop.output_dir);
  EXPECT_EQ(config_.loop.resume_from, At(2));
  Train();
  EXPECT_THAT(Logged("loss"), ElementsAre(1, 2, 3, 4, 5, 6));
}

// Stopped where an evaluation was due, resumed, killed before the next checkpoint, and resumed.
TEST_F(CheckpointFaults, AnEvaluationIsLoggedOnce) {
  config_.loop.eval_steps = 4;
  SftHooks hooks;
  bool stop = false, kill = false;
  hooks.loop.stop_requested = [&] {
    if (kill && Logged("eval_loss").size() == 2) throw Error(ErrorCode::kIo, "killed");
    const bool at_four =
        fs::exists(config_.loop.output_dir + "/metrics.jsonl") && Logged("loss").size() == 4;
    return stop && at_four;
  };
  stop = true;
  EXPECT_TRUE(Train(hooks).interrupted);
  EXPECT_THAT(Logged("eval_loss"), ElementsAre(0));
  stop = false;
  kill = true;
  config_.loop.resume_from = At(4);
  EXPECT_THROW(Train(hooks), Error);
  EXPECT_THAT(Logged("eval_loss"), ElementsAre(0, 4));
  Train();
  EXPECT_THAT(Logged("eval_loss"), ElementsAre(0, 4, 6));
}

TEST_F(CheckpointFaults, ARunThatLearnsNothingSaysWhy) {
  EXPECT_EQ(Train().nothing_learned, "");
  config_.learning_rate = 0;
  EXPECT_THAT(Train().nothing_learned, AllOf(HasSubstr("nothing was learned in 6 steps"),
                                             HasSubstr("the learning rate was 0 in every step")));
  config_.learning_rate = 1e-2;
  config_.loop.max_steps = 1;
  config_.warmup_steps = 4;
  EXPECT_THAT(Train().nothing_learned, HasSubstr("its 4 warm-up steps"));
  config_.warmup_steps = 0;
  config_.learning_rate = 1e-60;  // 0 as an f32
  config_.loop.max_steps = 2;
  EXPECT_THAT(Train().nothing_learned, HasSubstr("every update was too small"));
  // A run that is only measured is data, whatever it learned.
  config_.learning_rate = 0;
  config_.loop.keep_result = false;
  EXPECT_EQ(Train().nothing_learned, "");
}

TEST_F(CheckpointFaults, TheFingerprintOfAModelCoversEveryByte) {
  const std::string path = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama";
  const auto model = Model::Load(path, DType::kF32);
  const std::string before = FingerprintOf(*model);
  const std::string sampled = SampledFingerprintOf(*model);
  EXPECT_EQ(before.substr(0, before.find('-')), sampled);
  LayerWeights& layer = model->weights().layers[0];
  int linears = 0;
  ForEachLinear(layer, [&](Linear& linear) {
    auto* bytes = static_cast<uint8_t*>(linear.weight.data);
    for (const int64_t at :
         {int64_t{1}, linear.weight.bytes() / 2 + 3, linear.weight.bytes() - 1}) {
      bytes[at] ^= 1;
      EXPECT_NE(FingerprintOf(*model), before) << linear.name << " " << at;
      bytes[at] ^= 1;
    }
    ++linears;
  });
  EXPECT_GE(linears, 7);
  ForEachNorm(layer, [&](Norm& norm) {
    norm.weight.as<float>()[1] += 1;
    EXPECT_NE(FingerprintOf(*model), before) << norm.name;
    norm.weight.as<float>()[1] -= 1;
  });
  EXPECT_EQ(FingerprintOf(*model), before);
  // Older versions recorded the sample's only.
  EXPECT_NO_THROW(RequireSameSettings({{"model", sampled}}, {{"model", before}}, "checkpoint-1"));
  EXPECT_THROW(RequireSameSettings({{"model", sampled + "-0"}}, {{"model", before}}, "c"), Error);
  EXPECT_THROW(RequireSameSettings({{"model", "0123"}}, {{"model", before}}, "c"), Error);
}

}  // namespace
}  // namespace lorikeet
