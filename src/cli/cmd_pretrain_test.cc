#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "core/parallel.h"
#include "model/weights.h"
#include "plan/memory_plan.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

class Pretrain : public ::testing::Test {
 protected:
  void SetUp() override {
    SetNumThreads(1);  // more threads would only wait in a model this small
    std::string rows;
    for (int i = 0; i < 40; ++i) {
      const std::string n = std::to_string(i);
      rows += R"({"text": "Sheep number )" + n + R"( jumps over the fence, and so does )" + n +
              R"( plus one. Then they sleep."})"
              "\n";
    }
    WriteFileAtomically(folder_ / "text.jsonl", rows);
    WriteShape("");
  }
  void TearDown() override { SetNumThreads(threads_); }

  void WriteShape(const std::string& more) const {
    WriteFileAtomically(folder_ / "shape.json",
                        R"({"model_type": "llama", "hidden_size": 32, "intermediate_size": 64,
      "num_hidden_layers": 2, "num_attention_heads": 2, "tie_word_embeddings": true)" +
                            more + "}");
  }
  CommandOutcome Run(const std::string& out, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "--config_name",    folder_ / "shape.json",
        "--tokenizer_name", std::string(LORIKEET_SOURCE_DIR) + "/examples/pretrain/tokenizer",
        "--data",           folder_ / "text.jsonl",
        "--eval_split",     "0.2",
        "--max_length",     "16",
        "--batch_size",     "4",
        "--max_steps",      "12",
        "--learning_rate",  "1e-2",
        "--dtype",          "f32",
        "--quiet",          "--json",
        "--report_to",      "none",
        "--output_dir",     folder_ / out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(RunPretrain, arguments);
  }
  std::string Weights(const std::string& out) const {
    return ReadFile((folder_ / out) + "/model.safetensors");
  }

  TemporaryFolder folder_;
  int threads_ = NumThreads();
};

TEST_F(Pretrain, LearnsTextAndLeavesAModelThatLoads) {
  const CommandOutcome outcome = Run("out", {"--save_steps", "0"});
  ASSERT_EQ(outcome.error, "");
  const OrderedJson summary = outcome.Json();
  EXPECT_EQ(summary["steps"], 12);
  EXPECT_NEAR(summary["heldout_nll_before"].get<double>(), 8.3, 0.1);  // log of the vocabulary
  EXPECT_LT(summary["heldout_nll_after"], 6.5);
  EXPECT_GT(summary["heldout_bits_per_byte_after"], 1);
  EXPECT_LT(summary["heldout_bits_per_byte_after"], 8);
  const auto model = Model::Load(folder_ / "out", DType::kF32);
  EXPECT_EQ(model->config().vocab_size, 4096);
  EXPECT_EQ(model->config().max_position_embeddings, 16);
  const Json config = ParseJson(ReadFile((folder_ / "out") + "/config.json"), "config.json");
  EXPECT_EQ(config["eos_token_id"], 0);
  EXPECT_TRUE(std::filesystem::exists((folder_ / "out") + "/tokenizer.json"));
}

TEST_F(Pretrain, AResumedRunIsTheUninterruptedOne) {
  ASSERT_EQ(Run("whole", {"--save_steps", "5", "--save_total_limit", "5"}).error, "");
  ASSERT_EQ(
      Run("resumed", {"--resume_from_checkpoint", (folder_ / "whole") + "/checkpoint-5"}).error,
      "");
  EXPECT_TRUE(Weights("whole") == Weights("resumed"));
  // Resumes with the run's config file, as its message advises.
  std::filesystem::remove_all((folder_ / "whole") + "/checkpoint-12");
  std::filesystem::remove((folder_ / "resumed") + "/model.safetensors");
  const CommandOutcome again = RunCommand(
      RunPretrain, {"--config", (folder_ / "whole") + "/config.yaml", "--resume_from_checkpoint",
                    (folder_ / "whole") + "/checkpoint-10", "--output_dir", folder_ / "again"});
  ASSERT_EQ(again.error, "");
  EXPECT_TRUE(Weights("whole") == Weights("again"));
}

TEST_F(Pretrain, AnotherSeedIsAnotherModel) {
  ASSERT_EQ(Run("a", {"--max_steps", "1", "--seed", "1"}).error, "");
  ASSERT_EQ(Run("b", {"--max_steps", "1", "--seed", "2"}).error, "");
  EXPECT_FALSE(Weights("a") == Weights("b"));
}

TEST_F(Pretrain, DryRunWritesNothing) {
  const CommandOutcome outcome = Run("out", {"--dry_run"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.Json()["method"], "full");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST(PretrainShapes, HaveTheParametersThatAreTold) {
  const std::vector<std::pair<std::string, int64_t>> shapes = {
      {"w64", 582464},   {"w96", 1058016},  {"w128", 1730176},
      {"w192", 3443136}, {"w256", 5868800}, {"w64_moe", 1249472}};  // docs/pretrain.md
  for (const auto& [name, parameters] : shapes) {
    const std::string path =
        std::string(LORIKEET_SOURCE_DIR) + "/examples/pretrain/" + name + ".json";
    Json shape = ParseJson(ReadFile(path), path);
    shape["vocab_size"] = 4096;  // the tokenizer's
    EXPECT_EQ(CountParameters(ReadModelConfig(shape, path)), parameters) << name;
  }
}

TEST_F(Pretrain, ShapesThatDoNotFitTheTokenizerOrTheBlocksAreRefused) {
  WriteShape(R"(, "vocab_size": 100)");
  EXPECT_THAT(Run("out").error, HasSubstr("vocab_size 100 is less than the 4096 tokens"));
  WriteShape(R"(, "max_position_embeddings": 8)");
  EXPECT_THAT(Run("out").error, HasSubstr("max_length 16 is more than max_position_embeddings 8"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(Pretrain, AFolderWithAnEarlierRunIsLeftAloneUnlessAsked) {
  ASSERT_EQ(Run("out", {"--max_steps", "1"}).error, "");
  EXPECT_THAT(Run("out").error, HasSubstr("is not empty"));
  EXPECT_EQ(Run("out", {"--max_steps", "1", "--overwrite"}).error, "");
}

}  // namespace
}  // namespace lorikeet
