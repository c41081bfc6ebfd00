// The rotary embedding of GGUF files, from metadata that no golden file has.
#include "checkpoint/gguf_rope.h"

#include <gmock/gmock.h>

#include <cmath>

#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_writer.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/temporary_folder_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

// config.json of a file of `architecture` with 4 heads of 8 and these further keys, named without
// the architecture.
Json ConfigWith(const std::string& architecture, const GgufMetadata& keys) {
  GgufMetadata metadata = {{"general.architecture", architecture}};
  const auto add = [&](const std::string& key, const auto& value) {
    metadata.emplace_back(architecture + "." + key, value);
  };
  add("embedding_length", uint32_t{32});
  add("attention.head_count", uint32_t{4});
  add("feed_forward_length", uint32_t{64});
  add("block_count", uint32_t{32});
  add("context_length", uint32_t{4096});
  add("attention.layer_norm_rms_epsilon", 1e-5F);
  for (const auto& [key, value] : keys) metadata.emplace_back(architecture + "." + key, value);
  const Buffer embedding(DType::kF32, {16, 32});
  const TemporaryFolder folder("gguf_rope");
  const std::string path = folder.path() + "/x.gguf";
  WriteGguf(path, metadata,
            {{"token_embd.weight", DType::kF32, {16, 32}, embedding.tensor().data}});
  return ConfigFromGguf(GgufFile(path));
}

std::string ErrorOf(const std::string& architecture, const GgufMetadata& keys) {
  try {
    ConfigWith(architecture, keys);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

const std::string kType = "rope.scaling.type", kFactor = "rope.scaling.factor",
                  kAttn = "rope.scaling.attn_factor";
const GgufMetadata kYarn = {{kType, std::string("yarn")},
                            {kFactor, 4.0F},
                            {"rope.scaling.original_context_length", uint32_t{1024}}};

GgufMetadata Yarn(const GgufMetadata& more) {
  GgufMetadata keys = kYarn;
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

// llama.cpp multiplies what yarn gives by attn_factor; yarn_attn_factor is what config.json has.
TEST(GgufRope, TheFactorOfAttentionIsAMultiplierOfYarns) {
  EXPECT_FALSE(ConfigWith("llama", kYarn)["rope_scaling"].contains("attention_factor"));
  EXPECT_FALSE(
      ConfigWith("llama", Yarn({{kAttn, 1.0F}}))["rope_scaling"].contains("attention_factor"));
  EXPECT_DOUBLE_EQ(ConfigWith("llama", Yarn({{kAttn, 0.5F}}))["rope_scaling"]["attention_factor"],
                   0.5 * (0.1 * std::log(4.0) + 1));
  EXPECT_DOUBLE_EQ(ConfigWith("llama", Yarn({{"rope.scaling.yarn_attn_factor",
                                              0.5F}}))["rope_scaling"]["attention_factor"],
                   0.5);
}

TEST(GgufRope, AFactorOfAttentionThatIsNotComputedIsRefused) {
  EXPECT_THAT(ErrorOf("llama", Yarn({{kAttn, 0.5F}, {"rope.scaling.yarn_attn_factor", 0.5F}})),
              HasSubstr("'llama.rope.scaling.attn_factor' is 0.5 beside"));
  EXPECT_THAT(ErrorOf("llama", {{kAttn, 1.5F}}), HasSubstr("is 1.5 without yarn"));
  EXPECT_THAT(ErrorOf("llama", {{kType, std::string("linear")}, {kFactor, 2.0F}, {kAttn, 1.5F}}),
              HasSubstr("is 1.5 without yarn"));
  EXPECT_EQ(ErrorOf("llama", {{kAttn, 1.0F}}), "");
}

TEST(GgufRope, APartOfAHeadWhereTheArchitectureHasIt) {
  const GgufMetadata part = {{"rope.dimension_count", uint32_t{6}}};
  EXPECT_EQ(ConfigWith("phi3", part)["partial_rotary_factor"], 0.75);
  EXPECT_THAT(ErrorOf("llama", part), HasSubstr("'llama.rope.dimension_count' is 6"));
  EXPECT_EQ(ConfigWith("glm4", {})["partial_rotary_factor"], 1.0);  // not its class's default
  EXPECT_FALSE(ConfigWith("llama", {}).contains("partial_rotary_factor"));
}

TEST(GgufStableLm, ItsParallelBranchesAreRefusedByTheModel) {
  const GgufMetadata eps = {{"attention.layer_norm_epsilon", 1e-5F}};
  EXPECT_FALSE(ConfigWith("stablelm", eps).contains("use_parallel_residual"));
  EXPECT_EQ(ConfigWith("stablelm", eps)["layer_norm_eps"], 1e-5);
}

TEST(GgufPhi3, OldFilesDoNotHaveTheWindow) {
  EXPECT_EQ(ConfigWith("phi3", {})["sliding_window"], 2047);
  EXPECT_EQ(ConfigWith("phi3", {{"attention.sliding_window", uint32_t{0}}})["sliding_window"],
            nullptr);
  EXPECT_EQ(ConfigWith("phi3", {{"attention.sliding_window", uint32_t{8}}})["sliding_window"], 8);
}

}  // namespace
}  // namespace lorikeet
