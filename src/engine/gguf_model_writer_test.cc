// Tests of GGUF files of whole models: what is written is what this program reads.
#include "engine/gguf_model_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

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

// A golden that llama.cpp's code cannot compute: the keys of config.json to replace (null: to
// remove) and the tensors to leave out, by parts of their names, so that a GGUF file can hold it;
// and what the refusal names.
struct Replaced {
  const char* family;
  const char* keys;  // null: nothing helps
  const char* refusal;
  std::vector<const char*> left_out = {};
};
const Replaced kReplaced[] = {
    {"ernie4_5", R"({"use_bias": false})", "the MLPs have biases", {".bias"}},
    {"exaone4", nullptr, "not as wide as hidden_size"},
    {"gemma2", R"({"query_pre_attn_scalar": 16})", "query_pre_attn_scalar is 20"},
    {"gemma3", R"({"query_pre_attn_scalar": 16})", "query_pre_attn_scalar is 20"},
    {"gemma3_layer_types",
     R"({"attention_bias": false, "query_pre_attn_scalar": 16})",
     "o_proj has a bias",
     {".bias"}},
    {"gemma3_wrapper", R"({"query_pre_attn_scalar": 16})", "query_pre_attn_scalar is 20"},
    {"mistral_window", R"({"sliding_window": null, "layer_types": null})", "sliding_window"},
    {"mistral_layer_types", R"({"sliding_window": null, "layer_types": null})", "sliding_window"},
    {"mixtral_window", R"({"sliding_window": null})", "sliding_window"},
    {"olmo3", R"({"attention_bias": false})", "o_proj has a bias", {".bias"}},
    {"olmoe", R"({"num_key_value_heads": 4})", "fewer num_key_value_heads"},
    {"qwen2_moe",
     R"({"num_hidden_layers": 1, "mlp_only_layers": null})",
     "mixture of experts of layer 1",
     {"layers.1."}},
    {"qwen2_window", R"({"use_sliding_window": false, "layer_types": null})", "sliding_window"},
    {"qwen3_window", R"({"use_sliding_window": false, "layer_types": null})", "sliding_window"},
    {"qwen3_moe",
     R"({"num_hidden_layers": 1, "mlp_only_layers": null})",
     "mixture of experts of layer 1",
     {"layers.1.", "layers.2."}},
    {"qwen3_moe_plain", nullptr, "norm_topk_prob"},
    {"qwen3_moe_window", R"({"use_sliding_window": false})", "sliding_window"},
    {"smollm3", R"({"no_rope_layer_interval": null})", "no_rope_layers"},
    {"smollm3_window", R"({"use_sliding_window": false, "no_rope_layers": null})",
     "sliding_window of layer 0"},
};

const Replaced* ReplacedOf(const std::string& family) {
  const auto* const found = std::ranges::find(kReplaced, family, &Replaced::family);
  return found == std::end(kReplaced) ? nullptr : found;
}

// A folder with a golden's weights and its config.json, changed.
class GoldenCopy {
 public:
  explicit GoldenCopy(const std::string& family, const Replaced* replaced = nullptr)
      : folder_("gguf_" + family) {
    Json config = ParseJson(ReadFile(GoldenDir(family) + "/config.json"), family);
    Json& text = IsWrapper(config) ? config["text_config"] : config;
    const int64_t heads = text.value("num_key_value_heads", Json()).is_number()
                              ? text["num_key_value_heads"].get<int64_t>()
                              : 0;
    const Json keys = replaced == nullptr ? Json::object() : Json::parse(replaced->keys);
    for (const auto& [key, value] : keys.items()) {
      text.erase(key);
      if (!value.is_null() || key == "sliding_window") text[key] = value;
    }
    WriteFileAtomically(folder_ / "config.json", config.dump());
    CopyTensors(family, replaced, keys.value("num_key_value_heads", heads), heads);
  }
  ModelSource Source() const { return ModelSource::Open(folder_.path()); }
  std::string operator/(const std::string& name) const { return folder_ / name; }

 private:
  // With more heads of keys and values than there were, each is repeated: the same function.
  void CopyTensors(const std::string& family, const Replaced* replaced, int64_t heads,
                   int64_t heads_before) {
    const auto file = OpenSafetensors(GoldenDir(family));
    std::vector<TensorToWrite> tensors;
    std::vector<Buffer> storage;
    for (const auto& [name, t] : file->tensors()) {
      const auto in_name = [&](const char* part) { return name.find(part) != name.npos; };
      if (replaced != nullptr && std::ranges::any_of(replaced->left_out, in_name)) continue;
      TensorToWrite to = {name, t.dtype, {t.shape.begin(), t.shape.begin() + t.rank}, t.data};
      const bool of_heads = in_name(".k_proj.") || in_name(".v_proj.") || in_name(".k_norm.");
      if (heads > heads_before && of_heads) {
        const int64_t times = heads / heads_before, bytes = t.bytes() / heads_before;
        to.shape[0] *= times;
        storage.emplace_back(t.dtype, std::initializer_list<int64_t>{times * t.size()});
        to.data = storage.back().tensor().data;
        for (int64_t h = 0; h < heads; ++h) {
          std::memcpy(static_cast<std::byte*>(storage.back().tensor().data) + h * bytes,
                      static_cast<const std::byte*>(t.data) + h / times * bytes,
                      static_cast<size_t>(bytes));
        }
      }
      tensors.push_back(std::move(to));
    }
    WriteSafetensors(folder_ / "model.safetensors", tensors, {{"format", "pt"}});
  }

  TemporaryFolder folder_;
};

// The values and the shape that a tensor of the file must have.
struct Expected {
  std::vector<float> values;
  std::vector<int64_t> shape;
};

Expected ExpectedOf(const ModelSource& source, const ModelConfig& config, const std::string& name) {
  std::string from = config.prefix + name.substr(kPlainPrefix.size());
  if (name.starts_with("lm_head.")) from = name;
  const bool split = config.model_type == "granitemoehybrid" && name.find(".mlp.") != name.npos;
  const bool down = name.ends_with(".mlp.down_proj.weight");
  if (split) {
    from = name.substr(0, name.find(".mlp.")) +
           (down ? ".shared_mlp.output_linear.weight" : ".shared_mlp.input_linear.weight");
  }
  EXPECT_NE(source.Find(from), nullptr) << name;
  if (source.Find(from) == nullptr) return {};
  Expected expected = {ValuesOf(source, from), source.Find(from)->shape};
  if (split && !down) {
    const auto half = static_cast<std::ptrdiff_t>(expected.values.size() / 2);
    auto& values = expected.values;
    if (name.ends_with(".mlp.up_proj.weight")) values.erase(values.begin(), values.begin() + half);
    values.resize(static_cast<size_t>(half));
    expected.shape[0] /= 2;
  }
  if (config.norm_kind == NormKind::kRmsOnePlus && name.ends_with("norm.weight")) {
    for (float& w : expected.values) w = (w + 1) - 1;  // 1 + w in the file
  }
  return expected;
}

int64_t SizeOf(const std::vector<ModelSource::Entry>& entries, bool tied) {
  int64_t sum = 0;
  for (const ModelSource::Entry& entry : entries) {
    if (entry.other_part || (tied && entry.name == "lm_head.weight")) continue;
    int64_t size = 1;
    for (const int64_t dim : entry.shape) size *= dim;
    sum += size;
  }
  return sum;
}

std::vector<std::string> RefusedGoldens() {
  std::vector<std::string> families;
  for (const Replaced& row : kReplaced) families.emplace_back(row.family);
  return families;
}

// Those that are written as they are, and changed copies of the others.
std::vector<std::string> WrittenGoldens() {
  std::vector<std::string> families = GoldenFamilies();
  std::erase_if(families, [](const std::string& family) {
    const Replaced* replaced = ReplacedOf(family);
    return replaced != nullptr && replaced->keys == nullptr;
  });
  return families;
}

class RefuseGolden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, RefuseGolden, ::testing::ValuesIn(RefusedGoldens()));

TEST_P(RefuseGolden, NamesWhatLlamaCppDoesNotCompute) {
  const Replaced* replaced = ReplacedOf(GetParam());
  const GoldenCopy original(GetParam());
  const ModelSource source = original.Source();
  EXPECT_THAT(ErrorOf([&] { WriteGgufModel(source, {.path = original / "x.gguf"}); }),
              HasSubstr(replaced->refusal));
  EXPECT_FALSE(fs::exists(original / "x.gguf"));
  EXPECT_FALSE(fs::exists(original / "x.gguf.tmp"));
}

class WriteGolden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, WriteGolden, ::testing::ValuesIn(WrittenGoldens()));

TEST_P(WriteGolden, IsReadWithTheSameConfigBitsAndLogits) {
  const Replaced* replaced = ReplacedOf(GetParam());
  const GoldenCopy golden(GetParam(), replaced);
  const ModelSource source = golden.Source();
  const GgufFacts facts =
      WriteGgufModel(source, {.path = golden / "f32.gguf", .types = GgufTypes::kF32});
  EXPECT_EQ(facts.bytes, static_cast<int64_t>(fs::file_size(golden / "f32.gguf")));
  const ModelSource written = ModelSource::Open(golden / "f32.gguf");
  const ModelConfig a = ReadModelConfig(source), b = ReadModelConfig(written);
  if (a.mlp_names == b.mlp_names) {
    EXPECT_EQ(a.layers, b.layers);
  }
  EXPECT_EQ(a.tie_word_embeddings, b.tie_word_embeddings);
  EXPECT_TRUE(b.notes.empty()) << b.notes[0];
  EXPECT_EQ(SizeOf(written.entries(), false), SizeOf(source.entries(), a.tie_word_embeddings));
  for (const ModelSource::Entry& entry : written.entries()) {
    const Expected expected = ExpectedOf(source, a, entry.name);
    ASSERT_EQ(expected.shape, entry.shape) << entry.name;
    const std::vector<float> got = ValuesOf(written, entry.name);
    EXPECT_EQ(std::memcmp(got.data(), expected.values.data(), got.size() * sizeof(float)), 0)
        << entry.name;
  }
  const RandomBatch batch({70, 30}, a.vocab_size);
  const auto logprobs = [&](const ModelSource& of) {
    Arena arena(size_t{1} << 24);
    const auto model = Model::Load(of, DType::kF32);
    return RunBatch(*model, nullptr, batch, Recompute::kNone, /*backward=*/false, arena);
  };
  EXPECT_THAT(logprobs(written), Pointwise(FloatNear(2e-6F), logprobs(source)));
}

TEST(WriteGguf, RoundsOnceToHalfTypes) {
  const GoldenCopy golden("llama");
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
  const GoldenCopy golden("llama");
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

// Rows of 32: Q4_K becomes Q5_0, and Q6_K, which the last eighth of the layers gets, Q8_0.
TEST(WriteGguf, AFusedProjectionHasTheTypeOfValues) {
  const GoldenCopy golden("phi3_window");
  WriteGgufModel(golden.Source(), {.path = golden / "q.gguf", .types = GgufTypes::kQ4_K_M});
  const GgufFile file(golden / "q.gguf");
  EXPECT_EQ(file.Find("blk.0.attn_qkv.weight").dtype, DType::kQ5_0);
  EXPECT_EQ(file.Find("blk.1.attn_qkv.weight").dtype, DType::kQ8_0);
}

TEST(WriteGguf, NotesWhatIsLeftOut) {
  const GoldenCopy golden("mistral3_ministral3");
  const GgufFacts facts = WriteGgufModel(golden.Source(), {.path = golden / "x.gguf"});
  EXPECT_THAT(facts.notes, ::testing::ElementsAre(HasSubstr("without the vision tower")));
}

TEST(WriteGguf, ACheckThatFailsLeavesNoFile) {
  const GoldenCopy golden("llama");
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
  const GoldenCopy golden("llama");
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
