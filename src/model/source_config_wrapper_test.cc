// Models with a vision tower (checkpoint/text_names.h): the language model is read and trained, the
// other parts are written as they are. What the language model computes is compared in golden_test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "model/export.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const char* const kWrappers[] = {"gemma3_wrapper", "mistral3_ministral3", "mistral3_mistral"};

Json ConfigOf(const std::string& dir) {
  return ParseJson(ReadFile(dir + "/config.json"), dir + "/config.json");
}

void WriteConfig(const std::string& dir, const Json& config) {
  WriteFileAtomically(dir + "/config.json", config.dump());
}

// A copy of a model's folder with its tensors under other names.
void CopyRenamed(const std::string& from, const std::string& to,
                 const std::function<std::string(std::string)>& rename) {
  const auto file = OpenSafetensors(from);
  std::vector<TensorToWrite> tensors;
  for (const NamedTensor& t : file->tensors()) {
    const Tensor& tensor = t.tensor;
    tensors.push_back({rename(t.name),
                       tensor.dtype,
                       {tensor.shape.begin(), tensor.shape.begin() + tensor.rank},
                       tensor.data});
  }
  WriteSafetensors(to + "/model.safetensors", tensors, {{"format", "pt"}});
  WriteConfig(to, ConfigOf(from));
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  if (text.starts_with(from)) text.replace(0, from.size(), to);
  return text;
}

std::vector<float> LogprobsOf(const Model& model, const Adapted& adapter) {
  Arena arena(size_t{64} << 20);
  const RandomBatch batch({40, 9}, model.config().vocab_size);
  return RunBatch(model, adapter, batch, Recompute::kNone, /*backward=*/false, arena);
}

TEST(Wrapper, IsReadUnderEveryPrefix) {
  const std::string golden = GoldenDir("gemma3_wrapper");
  const std::vector<float> expected = LogprobsOf(*Model::Load(golden, DType::kF32), nullptr);
  for (const char* prefix : {"model.language_model.", "model."}) {
    const TemporaryFolder folder("wrapper");
    CopyRenamed(golden, folder.path(), [&](const std::string& name) {
      return Replaced(Replaced(name, "language_model.model.", prefix), "vision_tower.",
                      "model.vision_tower.");
    });
    const auto model = Model::Load(folder.path(), DType::kF32);
    EXPECT_EQ(LogprobsOf(*model, nullptr), expected) << prefix;
    EXPECT_EQ(model->weights().layers[0].sublayers[0].norm.name,
              "model.language_model.layers.0.input_layernorm");
  }
}

// Tensors of other parts and names are those of the base, byte for byte.
void ExpectOtherPartsUntouched(const Model& model, const std::string& dir, DType dtype,
                               const std::string& base) {
  const auto written = OpenSafetensors(dir), given = OpenSafetensors(base);
  ASSERT_EQ(written->tensors().size(), given->tensors().size());
  int others = 0;
  for (const ModelSource::Entry& entry : model.source().entries()) {
    const Tensor got = written->Find(entry.NameInFile()), old = given->Find(entry.NameInFile());
    ASSERT_TRUE(got) << entry.NameInFile();
    EXPECT_EQ(got.dtype, entry.other_part ? old.dtype : dtype) << entry.name;
    if (!entry.other_part) continue;
    ++others;
    EXPECT_EQ(std::memcmp(got.data, old.data, static_cast<size_t>(old.bytes())), 0) << entry.name;
  }
  EXPECT_GT(others, 5);
}

TEST(Wrapper, MergedItKeepsItsOtherPartsAndConfig) {
  for (const char* name : kWrappers) {
    const std::string base = GoldenDir(name);
    const auto model = Model::Load(base, DType::kF32);
    const LoraAdapter adapter = LoraAdapter::Load(*model, base + "/adapter");
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const TemporaryFolder folder("wrapper_merged");
      WriteModel(model->source(), dtype, MergeAdapter(adapter), folder.path());
      ExpectOtherPartsUntouched(*model, folder.path(), dtype, base);
      Json expected = ConfigOf(base);
      expected["torch_dtype"] = dtype == DType::kF32 ? "float32" : "bfloat16";
      EXPECT_EQ(ConfigOf(folder.path()), expected) << name;
      if (dtype != DType::kF32) continue;
      const std::vector<float> merged = LogprobsOf(*Model::Load(folder.path(), dtype), nullptr);
      const std::vector<float> adapted = LogprobsOf(*model, &adapter);
      for (size_t i = 0; i < merged.size(); ++i) ASSERT_NEAR(merged[i], adapted[i], 1e-4) << name;
    }
  }
}

TEST(Wrapper, AHeadOfItsOwnGetsTheNameThatTheFilesWouldHave) {
  const std::string base = GoldenDir("gemma3_wrapper");
  const auto model = Model::Load(base, DType::kF32);
  const TemporaryFolder folder("wrapper_head");
  WriteModel(model->source(), DType::kF32, {}, folder.path(), /*untie_head=*/true);
  EXPECT_TRUE(OpenSafetensors(folder.path())->Find("language_model.lm_head.weight"));
  const Json config = ConfigOf(folder.path());
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["text_config"]["tie_word_embeddings"], false);
  EXPECT_FALSE(Model::Load(folder.path(), DType::kF32)->config().tie_word_embeddings);
}

// peft would adapt modules of the same names in the vision tower.
TEST(Wrapper, AnAdapterNamesTheLanguageModelsModulesAlone) {
  for (const char* name : kWrappers) {
    const auto model = Model::Load(GoldenDir(name), DType::kF32);
    LoraConfig config;
    config.target_modules = {"all-linear"};
    const LoraAdapter adapter = LoraAdapter::Create(*model, config, 1);
    EXPECT_THAT(adapter.pairs(), SizeIs(7 * model->config().layers.size()));
    const TemporaryFolder folder("wrapper_adapter");
    adapter.Save(folder.path());
    const Json saved = ParseJson(ReadFile(folder.path() + "/adapter_config.json"), "");
    EXPECT_THAT(saved["target_modules"],
                Contains("model.language_model.layers.0.self_attn.q_proj"));
    EXPECT_TRUE(OpenSafetensors(folder.path() + "/adapter_model.safetensors")
                    ->Find("base_model.model.model.language_model.layers.1.mlp.up_proj.lora_A."
                           "weight"));
    EXPECT_EQ(LogprobsOf(*model, &adapter), LogprobsOf(*model, nullptr));
    const LoraAdapter again = LoraAdapter::Load(*model, folder.path());
    EXPECT_THAT(again.pairs(), SizeIs(adapter.pairs().size()));
  }
}

// As peft named the modules with transformers before 4.52, and as of a GGUF file's adapter.
TEST(Wrapper, AdaptersWithOtherPrefixesAreRead) {
  const std::string golden = GoldenDir("gemma3_wrapper") + "/adapter";
  const auto model = Model::Load(GoldenDir("gemma3_wrapper"), DType::kF32);
  const LoraAdapter plain = LoraAdapter::Load(*model, golden);
  for (const std::string prefix : {"language_model.model.", "model."}) {
    const TemporaryFolder folder("wrapper_names");
    const auto file = OpenSafetensors(golden + "/adapter_model.safetensors");
    std::vector<TensorToWrite> tensors;
    for (const NamedTensor& t : file->tensors()) {
      tensors.push_back(
          {Replaced(t.name, "base_model.model.model.language_model.", "base_model.model." + prefix),
           t.tensor.dtype,
           {t.tensor.rows(), t.tensor.cols()},
           t.tensor.data});
    }
    WriteSafetensors(folder.path() + "/adapter_model.safetensors", tensors, {{"format", "pt"}});
    Json config = ParseJson(ReadFile(golden + "/adapter_config.json"), "");
    config["target_modules"] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                "gate_proj", "up_proj", "down_proj"};
    WriteFileAtomically(folder.path() + "/adapter_config.json", config.dump());
    const LoraAdapter adapter = LoraAdapter::Load(*model, folder.path());
    EXPECT_EQ(LogprobsOf(*model, &adapter), LogprobsOf(*model, &plain)) << prefix;
    const TemporaryFolder again("wrapper_saved");
    adapter.Save(again.path());
    EXPECT_EQ(LoraAdapter::Load(*model, again.path()).pairs()[0].module,
              "model.language_model.layers.0.self_attn.q_proj");
  }
}

std::string ErrorOf(const std::string& path) {
  try {
    Model::Load(path, DType::kF32);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Wrapper, RefusesFp8ByName) {
  const std::string golden = GoldenDir("mistral3_ministral3");
  for (const bool inside : {false, true}) {
    const TemporaryFolder folder("wrapper_fp8");
    fs::copy_file(golden + "/model.safetensors", folder.path() + "/model.safetensors");
    Json config = ConfigOf(golden);
    (inside ? config["text_config"] : config)["quantization_config"] = {{"quant_method", "fp8"}};
    WriteConfig(folder.path(), config);
    EXPECT_THAT(ErrorOf(folder.path()), HasSubstr("its weights are FP8"));
  }
}

ModelConfig Read(const Json& config) { return ReadModelConfig(config, "config.json"); }

// As the 4B model's, whose text_config says nothing else.
TEST(WrapperConfig, ANearlyEmptyTextConfigHasItsFamilysDefaults) {
  const ModelConfig c = Read({{"architectures", {"Gemma3ForConditionalGeneration"}},
                              {"boi_token_index", 255999},
                              {"eoi_token_index", 256000},
                              {"eos_token_id", {1, 106}},
                              {"image_token_index", 262144},
                              {"initializer_range", 0.02},
                              {"mm_tokens_per_image", 256},
                              {"model_type", "gemma3"},
                              {"text_config",
                               {{"hidden_size", 2560},
                                {"intermediate_size", 10240},
                                {"model_type", "gemma3_text"},
                                {"num_hidden_layers", 34},
                                {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                                {"sliding_window", 1024}}},
                              {"torch_dtype", "bfloat16"},
                              {"vision_config", {{"hidden_size", 1152}}}});
  EXPECT_THAT(std::tuple(c.num_attention_heads, c.num_key_value_heads, c.head_dim),
              std::tuple(8, 4, 256));
  EXPECT_THAT(std::tuple(c.vocab_size, c.max_position_embeddings), std::tuple(262208, 131072));
  EXPECT_EQ(c.rms_norm_eps, 1e-6F);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_THAT(std::tuple(c.rope_theta, c.rope_local_base_freq, c.rope_scaling.factor),
              std::tuple(1e6, 1e4, 8.0));
  EXPECT_THAT(std::tuple(c.window(4), c.window(5)), std::tuple(1024, 0));
  EXPECT_EQ(c.prefix, "model.language_model.");
  EXPECT_EQ(c.model_type, "gemma3_text");
  EXPECT_EQ(c.architecture, "Gemma3ForConditionalGeneration");
  EXPECT_THAT(c.notes, IsEmpty());
}

TEST(WrapperConfig, TheTopLevelDecidesAboutTheHead) {
  Json config = ConfigOf(GoldenDir("mistral3_ministral3"));
  config["text_config"]["tie_word_embeddings"] = true;
  config["tie_word_embeddings"] = false;
  EXPECT_FALSE(Read(config).tie_word_embeddings);
  config.erase("tie_word_embeddings");
  config["text_config"]["tie_word_embeddings"] = false;
  EXPECT_TRUE(Read(config).tie_word_embeddings);
}

TEST(WrapperConfig, RefusalsAndNotes) {
  const auto error = [](const Json& config) -> std::string {
    try {
      Read(config);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  Json config = ConfigOf(GoldenDir("mistral3_ministral3"));
  config["text_config"]["model_type"] = "llama";
  EXPECT_THAT(error(config),
              HasSubstr("a 'mistral3' around 'llama' is not supported, only around mistral, "
                        "ministral3"));
  config = ConfigOf(GoldenDir("gemma3_wrapper"));
  config["use_bidirectional_attention"] = true;
  EXPECT_THAT(error(config), HasSubstr("use_bidirectional_attention"));
  config = ConfigOf(GoldenDir("gemma3_wrapper"));
  config["text_config"]["hidden_size"] = "large";
  EXPECT_THAT(error(config), HasSubstr("config.json: text_config"));
  config = ConfigOf(GoldenDir("gemma3_wrapper"));
  config["deepstack"] = 3;
  EXPECT_THAT(Read(config).notes, ElementsAre(HasSubstr("not used for gemma3: deepstack")));
}

Json Ministral3(const Json& rope) {
  Json config = {{"model_type", "ministral3"},
                 {"hidden_size", 64},
                 {"vocab_size", 96},
                 {"intermediate_size", 96},
                 {"num_hidden_layers", 2}};
  if (!rope.is_null()) config["rope_parameters"] = rope;
  return config;
}

TEST(Ministral3Config, TheTemperatureOfQueries) {
  const ModelConfig standard = Read(Ministral3(nullptr));  // the class's own rope
  EXPECT_EQ(standard.rope_scaling.type, "yarn");
  EXPECT_EQ(standard.rope_scaling.original_max_position_embeddings, 16384);
  EXPECT_THAT(std::tuple(standard.rope_theta, standard.llama_4_scaling_beta), std::tuple(1e6, 0.1));
  const auto spec = [](const ModelConfig& c) {
    return std::get<AttentionSpec>(c.layers[0].sublayers[0].branches[0]);
  };
  EXPECT_THAT(std::tuple(spec(standard).rope, spec(standard).query_rope), std::tuple(0, 1));
  const ModelConfig none = Read(Ministral3({{"rope_type", "default"}, {"rope_theta", 1e6}}));
  EXPECT_EQ(none.llama_4_scaling_beta, 0);
  EXPECT_EQ(spec(none).query_rope, 0);
  EXPECT_THROW(Read(Ministral3({{"rope_type", "default"}, {"llama_4_scaling_beta", 0.1}})), Error);
}

}  // namespace
}  // namespace lorikeet
