#include "checkpoint/text_names.h"

#include <gtest/gtest.h>

namespace lorikeet {
namespace {

TextNames NamesIn(const std::vector<std::string>& names) {
  std::vector<NamedTensor> tensors;
  for (const std::string& name : names) tensors.push_back({name, {}});
  return TextNames(tensors);
}

struct Case {
  const char *file, *module;  // module "": not the language model's
};

void ExpectNames(const TextNames& names, const std::vector<Case>& cases) {
  for (const auto& [file, module] : cases) {
    EXPECT_EQ(names.OfModule(file), module) << file;
    if (module[0] == '\0') continue;
    EXPECT_EQ(names.InFile(module), file) << module;
  }
}

TEST(TextNames, FollowThePlaceOfTheEmbedding) {
  ExpectNames(
      NamesIn({"model.language_model.embed_tokens.weight", "model.vision_tower.x.weight"}),
      {{"model.language_model.embed_tokens.weight", "model.language_model.embed_tokens.weight"},
       {"model.language_model.layers.1.mlp.up_proj.weight",
        "model.language_model.layers.1.mlp.up_proj.weight"},
       {"lm_head.weight", "lm_head.weight"},
       {"model.vision_tower.x.weight", ""},
       {"model.multi_modal_projector.norm.weight", ""},
       {"mtp.norm.weight", ""}});
  ExpectNames(NamesIn({"vision_tower.x.weight", "language_model.model.embed_tokens.weight"}),
              {{"language_model.model.norm.weight", "model.language_model.norm.weight"},
               {"language_model.lm_head.weight", "lm_head.weight"},
               {"vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight", ""},
               {"multi_modal_projector.linear_1.weight", ""}});
  ExpectNames(NamesIn({"model.embed_tokens.weight"}),
              {{"model.layers.0.input_layernorm.weight",
                "model.language_model.layers.0.input_layernorm.weight"},
               {"model.norm.weight", "model.language_model.norm.weight"},
               {"lm_head.weight", "lm_head.weight"},
               {"model.vision_tower.x.weight", ""}});
}

TEST(TextNames, OfAFileWithoutAnEmbeddingAreOtherParts) {
  EXPECT_EQ(NamesIn({"model.layers.0.norm.weight"}).OfModule("model.layers.0.norm.weight"), "");
}

TEST(TextNames, WithoutTheWrapper) {
  EXPECT_EQ(WithoutWrapper("model.language_model.layers.0.mlp.up_proj"),
            "model.layers.0.mlp.up_proj");
  EXPECT_EQ(WithoutWrapper("language_model.model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(WithoutWrapper("language_model.lm_head.weight"), "lm_head.weight");
  EXPECT_EQ(WithoutWrapper("model.layers.0.mlp.up_proj"), "model.layers.0.mlp.up_proj");
}

TEST(IsWrapper, HasATextConfig) {
  EXPECT_TRUE(IsWrapper({{"text_config", Json::object()}}));
  EXPECT_FALSE(IsWrapper({{"text_config", nullptr}}));
  EXPECT_FALSE(IsWrapper({{"model_type", "llama"}}));
}

}  // namespace
}  // namespace lorikeet
