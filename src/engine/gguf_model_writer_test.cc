// Tests of GGUF files of whole models: what is written is what this program reads.
#include "engine/gguf_model_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "model/gguf_config.h"
#include "model/model_for_test.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string ErrorOf(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "";
}

std::vector<float> ValuesOf(const ModelSource& source, const std::string& name) {
  int64_t size = 1;
  for (const int64_t dim : source.Find(name)->shape) size *= dim;
  std::vector<float> values(static_cast<size_t>(size));
  source.Read(name, DType::kF32, values.data());
  return values;
}

// A golden whose config.json asks for something that llama.cpp's code fixes otherwise: the keys to
// replace (null: to remove) so that a GGUF file can hold it, and the key that the refusal names.
struct Replaced {
  const char* family;
  const char* keys;
  const char* refusal;
};
constexpr Replaced kReplaced[] = {
    {"gemma2", R"({"query_pre_attn_scalar": 16})", "query_pre_attn_scalar is 20"},
    {"gemma3", R"({"query_pre_attn_scalar": 16})", "query_pre_attn_scalar is 20"},
    {"gemma3_layer_types", nullptr, "attention_bias is true"},
    {"mistral_window", R"({"sliding_window": null, "layer_types": null})", "sliding_window"},
    {"mistral_layer_types", R"({"sliding_window": null, "layer_types": null})", "sliding_window"},
    {"mixtral_window", R"({"sliding_window": null})", "sliding_window"},
    {"qwen2_window", R"({"use_sliding_window": false, "layer_types": null})", "sliding_window"},
    {"qwen3_window", R"({"use_sliding_window": false, "layer_types": null})", "sliding_window"},
    {"qwen3_moe", nullptr, "mixture of experts of layer 1"},
    {"qwen3_moe_plain", nullptr, "norm_topk_prob"},
    {"qwen3_moe_window", R"({"use_sliding_window": false})", "sliding_window"},
    {"smollm3", R"({"no_rope_layer_interval": null})", "no_rope_layers"},
    {"smollm3_window", R"({"use_sliding_window": false, "no_rope_layers": null})",
     "sliding_window of layer 0"},
};

// A folder with a golden's weights and its config.json, changed.
class GoldenCopy {
 public:
  GoldenCopy(const std::string& family, const char* keys) : folder_("gguf_" + family) {
    fs::copy(GoldenDir(family) + "/model.safetensors", folder_ / "model.safetensors");
    Json config = ParseJson(ReadFile(GoldenDir(family) + "/config.json"), family);
    const Json replaced = keys == nullptr ? Json::object() : Json::parse(keys);
    for (const auto& [key, value] : replaced.items()) {
      config.erase(key);
      if (!value.is_null() || key == "sliding_window") config[key] = value;
    }
    WriteFileAtomically(folder_ / "config.json", config.dump());
  }
  ModelSource Source() const { return ModelSource::Open(folder_.path()); }
  std::string operator/(const std::string& name) const { return folder_ / name; }

 private:
  TemporaryFolder folder_;
};

// Whether models of a golden's family are written at all; another one is refused by name.
bool IsWritten(const std::string& family) {
  const ModelSource source = ModelSource::Open(GoldenDir(family));
  if (IsWrapper(source.config())) return false;
  const ModelConfig config = ReadModelConfig(source);
  try {
    return GgufArchitectureOf(config.model_type, family).written;
  } catch (const Error&) {
    return false;
  }
}

class WriteGolden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, WriteGolden, ::testing::ValuesIn(GoldenFamilies()));

TEST_P(WriteGolden, IsReadWithTheSameConfigAndBits) {
  if (!IsWritten(GetParam())) {
    const ModelSource source = ModelSource::Open(GoldenDir(GetParam()));
    const std::string error = ErrorOf([&] { WriteGgufModel(source, {.path = "/nowhere/x.gguf"}); });
    EXPECT_THAT(error, ::testing::AnyOf(HasSubstr("not written to"), HasSubstr("supported:")));
    return;
  }
  const Replaced* replaced = nullptr;
  for (const Replaced& row : kReplaced) {
    if (GetParam() == row.family) replaced = &row;
  }
  if (replaced != nullptr && *replaced->refusal != '\0') {
    const GoldenCopy original(GetParam(), nullptr);
    const ModelSource source = original.Source();
    EXPECT_THAT(ErrorOf([&] { WriteGgufModel(source, {.path = original / "x.gguf"}); }),
                HasSubstr(replaced->refusal));
    EXPECT_FALSE(fs::exists(original / "x.gguf"));
    EXPECT_FALSE(fs::exists(original / "x.gguf.tmp"));
    if (replaced->keys == nullptr) return;
  }
  const GoldenCopy golden(GetParam(), replaced == nullptr ? nullptr : replaced->keys);
  const ModelSource source = golden.Source();
  const GgufFacts facts =
      WriteGgufModel(source, {.path = golden / "f32.gguf", .types = GgufTypes::kF32});
  EXPECT_EQ(facts.bytes, static_cast<int64_t>(fs::file_size(golden / "f32.gguf")));
  const ModelSource written = ModelSource::Open(golden / "f32.gguf");
  const ModelConfig a = ReadModelConfig(source), b = ReadModelConfig(written);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.tie_word_embeddings, b.tie_word_embeddings);
  EXPECT_TRUE(b.notes.empty()) << b.notes[0];
  EXPECT_EQ(
      written.entries().size(),
      source.entries().size() - (a.tie_word_embeddings && source.Has("lm_head.weight") ? 1 : 0));
  const bool gemma = a.norm_kind == NormKind::kRmsOnePlus;
  for (const ModelSource::Entry& entry : written.entries()) {
    const ModelSource::Entry* from = source.Find(entry.name);
    ASSERT_NE(from, nullptr) << entry.name;
    ASSERT_EQ(from->shape, entry.shape) << entry.name;
    std::vector<float> expected = ValuesOf(source, entry.name);
    const std::vector<float> got = ValuesOf(written, entry.name);
    if (gemma && entry.name.ends_with("norm.weight")) {  // 1 + w in the file
      for (float& w : expected) w = (w + 1) - 1;
    }
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
        << entry.name;
  }
}

TEST(WriteGguf, RoundsOnceToHalfTypes) {
  const GoldenCopy golden("llama", nullptr);
  const ModelSource source = golden.Source();
  WriteGgufModel(source, {.path = golden / "b.gguf", .types = GgufTypes::kBF16});
  WriteGgufModel(source, {.path = golden / "h.gguf", .types = GgufTypes::kF16});
  const ModelSource b = ModelSource::Open(golden / "b.gguf"),
                    h = ModelSource::Open(golden / "h.gguf");
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  const std::vector<float> exact = ValuesOf(source, name);
  const std::vector<float> of_b = ValuesOf(b, name), of_h = ValuesOf(h, name);
  for (size_t i = 0; i < exact.size(); ++i) {
    ASSERT_EQ(of_b[i], ToFloat(ToBfloat16(exact[i])));
    ASSERT_EQ(of_h[i], ToFloat(ToFloat16(exact[i])));
  }
  EXPECT_EQ(b.Find("model.norm.weight")->dtype, DType::kF32);
}

// Rows of 32 and 80 elements: Q4_K has 256 in a block.
TEST(WriteGguf, RowsThatAreNotWholeBlocksGetAnotherType) {
  const GoldenCopy golden("llama", nullptr);
  const ModelSource source = golden.Source();
  const auto dtypes = [&](GgufTypes types) {
    WriteGgufModel(source, {.path = golden / "q.gguf", .types = types});
    const GgufFile file(golden / "q.gguf");
    return std::tuple(file.Find("blk.0.attn_q.weight").dtype,
                      file.Find("blk.0.ffn_down.weight").dtype,
                      file.Find("token_embd.weight").dtype);
  };
  const bool tied = ReadModelConfig(source).tie_word_embeddings;
  EXPECT_EQ(dtypes(GgufTypes::kQ8_0), std::tuple(DType::kQ8_0, DType::kF16, DType::kQ8_0));
  EXPECT_EQ(dtypes(GgufTypes::kQ4_0),
            std::tuple(DType::kQ4_0, DType::kF16, tied ? DType::kQ8_0 : DType::kQ4_0));
  EXPECT_EQ(dtypes(GgufTypes::kQ4_K_M),
            std::tuple(DType::kQ5_0, DType::kF16, tied ? DType::kQ8_0 : DType::kQ5_0));
}

TEST(WriteGguf, ACheckThatFailsLeavesNoFile) {
  const GoldenCopy golden("llama", nullptr);
  const ModelSource source = golden.Source();
  const std::string path = golden / "x.gguf";
  const auto check = [&](const ModelSource& written) {
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(written.path(), path + ".tmp");
    Fail(ErrorCode::kCorruptFile, "wrong");
  };
  EXPECT_EQ(ErrorOf([&] { WriteGgufModel(source, {.path = path, .check = check}); }), "wrong");
  EXPECT_FALSE(fs::exists(path));
  EXPECT_FALSE(fs::exists(path + ".tmp"));
}

TEST(WriteGguf, AValueThatATypeCannotHoldIsNamed) {
  const TemporaryFolder tmp;
  fs::copy(GoldenDir("llama"), tmp / "m", fs::copy_options::recursive);
  const auto file = OpenSafetensors(GoldenDir("llama"));
  std::vector<TensorToWrite> tensors;
  std::vector<float> large;
  for (const auto& [name, t] : file->tensors()) {
    const float* data = t.as<float>();
    if (name == "model.layers.0.mlp.up_proj.weight") {
      large.assign(data, data + t.size());
      large[3] = 1e6F;
      data = large.data();
    }
    tensors.push_back({name, t.dtype, {t.shape.begin(), t.shape.begin() + t.rank}, data});
  }
  WriteSafetensors(tmp / "m/model.safetensors", tensors, {{"format", "pt"}});
  const ModelSource source = ModelSource::Open(tmp / "m");
  for (const GgufTypes types : {GgufTypes::kF16, GgufTypes::kQ8_0}) {
    EXPECT_THAT(
        ErrorOf([&] { WriteGgufModel(source, {.path = tmp / "x.gguf", .types = types}); }),
        AllOf(HasSubstr("'model.layers.0.mlp.up_proj.weight'"), HasSubstr("wider --dtype")));
  }
  EXPECT_FALSE(fs::exists(tmp / "x.gguf.tmp"));
  EXPECT_EQ(ErrorOf([&] { WriteGgufModel(source, {.path = tmp / "x.gguf"}); }), "");
}

TEST(WriteGguf, NothingThatIsThereIsLost) {
  const GoldenCopy golden("llama", nullptr);
  const ModelSource source = golden.Source();
  const std::string path = golden / "x.gguf";
  WriteGgufModel(source, {.path = path});
  EXPECT_THAT(ErrorOf([&] { CheckOutputGguf(path, false, source); }), HasSubstr("exists already"));
  EXPECT_EQ(ErrorOf([&] { CheckOutputGguf(path, true, source); }), "");
  EXPECT_THAT(ErrorOf([&] { CheckOutputGguf(path, true, ModelSource::Open(path)); }),
              HasSubstr("would be lost"));
  EXPECT_THAT(ErrorOf([&] { CheckOutputGguf(golden / "", true, source); }),
              HasSubstr("not a file"));
}

}  // namespace
}  // namespace lorikeet
