#include "recipes/expert_notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

ModelConfig Config(int64_t experts, int64_t active) {
  Json json = {{"model_type", experts > 0 ? "qwen3_moe" : "qwen3"},
               {"hidden_size", 64},
               {"intermediate_size", 128},
               {"num_hidden_layers", 2},
               {"vocab_size", 100},
               {"num_attention_heads", 4},
               {"num_key_value_heads", 4}};
  if (experts > 0) {
    json["num_experts"] = experts;
    json["num_experts_per_tok"] = active;
    json["moe_intermediate_size"] = 32;
  }
  return ReadModelConfig(json, "test");
}

std::vector<std::string> Notes(int r, int expert_rank, const std::vector<std::string>& targets,
                               Method method = Method::kLora) {
  TrainingShape shape;
  shape.method = method;
  shape.lora_r = r;
  shape.lora_expert_rank = expert_rank;
  shape.target_modules = targets;
  return ExpertNotes(Config(128, 8), shape);
}

TEST(ExpertNotes, SayTheRankAndWhatIsOdd) {
  EXPECT_THAT(Notes(32, 0, {"all-linear"}),
              ElementsAre("rank 4 in each of 128 experts: lora_r 32 / 8 active"));
  EXPECT_THAT(Notes(12, 0, {"mlp"}),
              ElementsAre(StartsWith("rank 1 "), HasSubstr("lora_r 16 or lora_expert_rank")));
  EXPECT_THAT(Notes(1, 0, {"experts"}),
              ElementsAre(StartsWith("rank 1 "), HasSubstr("1 at least")));
  EXPECT_THAT(Notes(256, 2, {"all-linear"}),
              ElementsAre(StartsWith("rank 2 "), HasSubstr("over all 128 experts")));
  EXPECT_THAT(Notes(256, 32, {"all-linear"}), ElementsAre(StartsWith("rank 32 ")));
  EXPECT_THAT(Notes(32, 0, {"attention"}), ElementsAre(HasSubstr("get no adapters")));
}

TEST(ExpertNotes, SayThatPeftLeavesOutExpertsOfQwen2Moe) {
  Json json = {
      {"model_type", "qwen2_moe"}, {"hidden_size", 64},        {"vocab_size", 100},
      {"intermediate_size", 128},  {"num_hidden_layers", 1},   {"num_attention_heads", 16},
      {"num_experts", 8},          {"num_experts_per_tok", 2}, {"moe_intermediate_size", 32}};
  TrainingShape shape;
  shape.lora_r = 8;
  shape.target_modules = {"all-linear"};
  EXPECT_THAT(ExpertNotes(ReadModelConfig(json, "test"), shape),
              ElementsAre(StartsWith("rank 4 "), HasSubstr("leaves out adapters of qwen2_moe")));
  shape.target_modules = {"attention"};
  EXPECT_THAT(ExpertNotes(ReadModelConfig(json, "test"), shape),
              ElementsAre(HasSubstr("get no adapters")));
}

TEST(ExpertNotes, AreSilentWithoutExpertsOrAdapters) {
  EXPECT_THAT(Notes(32, 0, {}, Method::kFull), IsEmpty());
  EXPECT_THAT(ExpertNotes(Config(0, 0), {}), IsEmpty());
}

}  // namespace
}  // namespace lorikeet
