#include "checkpoint/model_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "checkpoint/gguf_golden_for_test.h"
#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kGolden = GgufGolden("");

// A temporary folder, and the environment variables that make it the cache.
class ModelSourceTest : public testing::Test {
 protected:
  ModelSourceTest() {
    fs::create_directories(dir_);
    setenv("HF_HOME", (dir_ / "home").c_str(), 1);
    unsetenv("HF_HUB_CACHE");
  }
  ~ModelSourceTest() override {
    fs::remove_all(dir_);
    unsetenv("HF_HOME");
  }
  std::string Path(const std::string& name) const { return (dir_ / name).string(); }
  void Put(const std::string& name, const std::string& content) const {
    fs::create_directories(fs::path(Path(name)).parent_path());
    WriteFileAtomically(Path(name), content);
  }
  // A model with one tensor, and its config.
  void PutModel(const std::string& folder, float value) const {
    Put(folder + "/config.json", R"({"model_type":"llama"})");
    Put(folder + "/tokenizer.json", "tokens");
    WriteSafetensors(Path(folder + "/model.safetensors"), {{"w", DType::kF32, {1, 1}, &value}},
                     {{"format", "pt"}});
  }

 private:
  fs::path dir_ = fs::temp_directory_path() / ("model_source_test." + std::to_string(getpid()));
};

std::string ErrorOf(const std::string& name) {
  try {
    ModelSource::Open(name);
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "";
}

template <class T>
std::vector<T> ReadAs(const ModelSource& source, const std::string& name) {
  int64_t size = 1;
  for (const int64_t dim : source.Find(name)->shape) size *= dim;
  std::vector<T> values(static_cast<size_t>(size));
  source.Read(name, kDTypeOf<T>, values.data());
  return values;
}

float ValueOf(const std::string& name) { return ReadAs<float>(ModelSource::Open(name), "w")[0]; }

class GgufModelTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Architectures, GgufModelTest,
                         testing::ValuesIn(GgufGoldenArchitectures()));

// Names, shapes and values, q and k in Hugging Face's row order, against the tensors before they
// were permuted.
TEST_P(GgufModelTest, WeightsAreThoseOfHuggingFace) {
  const std::string stem = kGolden + "tiny_" + GetParam();
  const ModelSource source = ModelSource::Open(stem + ".gguf");
  const auto expected = OpenSafetensors(stem + ".safetensors");
  EXPECT_TRUE(source.IsGguf());
  EXPECT_EQ(source.entries().size(), expected->tensors().size());
  for (const auto& [name, tensor] : expected->tensors()) {
    ASSERT_TRUE(source.Has(name)) << name;
    ASSERT_EQ(source.Find(name)->shape,
              std::vector<int64_t>(tensor.shape.begin(), tensor.shape.begin() + tensor.rank));
    const std::vector<float> values = ReadAs<float>(source, name);
    const std::vector<bfloat16> rounded = ReadAs<bfloat16>(source, name);
    const std::vector<float16> halves = ReadAs<float16>(source, name);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(values[i], tensor.as<float>()[i]) << name << " [" << i << "]";
      ASSERT_EQ(rounded[i].bits, ToBfloat16(values[i]).bits);
      ASSERT_EQ(halves[i].bits, ToFloat16(values[i]).bits);
    }
    if (const Tensor mapped = source.Mapped(name)) {
      EXPECT_EQ(mapped.dtype, source.Find(name)->dtype);
    }
  }
}

TEST(GgufConfigTest, Llama) {
  const ModelSource source = ModelSource::Open(kGolden + "tiny_llama.gguf");
  const Json& config = source.config();
  EXPECT_EQ(config["architectures"], Json({"LlamaForCausalLM"}));
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["vocab_size"], 24);
  EXPECT_EQ(config["hidden_size"], 32);
  EXPECT_EQ(config["intermediate_size"], 64);
  EXPECT_EQ(config["num_hidden_layers"], 2);
  EXPECT_EQ(config["num_attention_heads"], 4);
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["head_dim"], 16);
  EXPECT_EQ(config["max_position_embeddings"], 131072);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["rope_theta"], 500000.0);
  EXPECT_EQ(config["attention_bias"], true);
  EXPECT_EQ(config["mlp_bias"], false);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(config["bos_token_id"], 1);
  EXPECT_EQ(config["eos_token_id"], 2);
  EXPECT_EQ(config["rope_scaling"], Json({{"rope_type", "llama3"},
                                          {"factor", 8.0},
                                          {"low_freq_factor", 1.0},
                                          {"high_freq_factor", 4.0},
                                          {"original_max_position_embeddings", 8192}}));
  EXPECT_FALSE(source.Mapped("model.layers.0.self_attn.q_proj.bias"));  // f32, but permuted
  EXPECT_TRUE(source.Mapped("model.norm.weight"));
}

TEST(GgufConfigTest, Qwen) {
  const Json qwen2 = ModelSource::Open(kGolden + "tiny_qwen2.gguf").config();
  EXPECT_EQ(qwen2["tie_word_embeddings"], false);
  EXPECT_EQ(qwen2["torch_dtype"], "float16");
  EXPECT_EQ(
      qwen2["rope_scaling"],
      Json({{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}}));
  const Json qwen3 = ModelSource::Open(kGolden + "tiny_qwen3.gguf").config();
  EXPECT_EQ(qwen3["head_dim"], 32);  // not hidden / heads
  EXPECT_EQ(qwen3["attention_bias"], false);
  EXPECT_FALSE(qwen3.contains("rope_scaling"));
}

// The file does not list the layers without rope. config.json's default is every fourth.
TEST(GgufConfigTest, SmolLM3) {
  const Json config = ModelSource::Open(kGolden + "tiny_smollm3.gguf").config();
  EXPECT_EQ(config["architectures"], Json({"SmolLM3ForCausalLM"}));
  EXPECT_EQ(config["model_type"], "smollm3");
  EXPECT_EQ(config["attention_bias"], false);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_FALSE(config.contains("no_rope_layers"));
  EXPECT_FALSE(config.contains("no_rope_layer_interval"));
}

TEST(GgufConfigTest, Qwen3Moe) {
  const Json config = ModelSource::Open(kGolden + "tiny_qwen3moe.gguf").config();
  EXPECT_EQ(config["architectures"], Json({"Qwen3MoeForCausalLM"}));
  EXPECT_EQ(config["model_type"], "qwen3_moe");
  EXPECT_EQ(config["num_experts"], 3);
  EXPECT_EQ(config["num_experts_per_tok"], 2);
  EXPECT_EQ(config["moe_intermediate_size"], 32);
  EXPECT_EQ(config["intermediate_size"], 64);
  EXPECT_EQ(config["norm_topk_prob"], true);
  EXPECT_EQ(config["rope_scaling"], Json({{"rope_type", "yarn"},
                                          {"factor", 4.0},
                                          {"attention_factor", 1.25},
                                          {"original_max_position_embeddings", 1024}}));
}

// The file's norms hold 1 + w; pattern of windows and rope of layers with a window are
// config.json's defaults.
TEST(GgufConfigTest, Gemma) {
  const ModelSource first = ModelSource::Open(kGolden + "tiny_gemma.gguf");
  EXPECT_EQ(first.config()["model_type"], "gemma");
  EXPECT_EQ(first.config()["hidden_act"], "gelu_pytorch_tanh");
  EXPECT_FALSE(first.Mapped("model.norm.weight"));  // 1 is subtracted
  const Json second = ModelSource::Open(kGolden + "tiny_gemma2.gguf").config();
  EXPECT_EQ(second["hidden_activation"], "gelu_pytorch_tanh");
  EXPECT_EQ(second["query_pre_attn_scalar"], 32);
  EXPECT_EQ(second["sliding_window"], 512);
  EXPECT_EQ(second["attn_logit_softcapping"], 50.0);
  EXPECT_EQ(second["final_logit_softcapping"], 30.0);
  const Json third = ModelSource::Open(kGolden + "tiny_gemma3.gguf").config();
  EXPECT_EQ(third["architectures"], Json({"Gemma3ForCausalLM"}));
  EXPECT_EQ(third["model_type"], "gemma3_text");
  EXPECT_EQ(third["rope_scaling"], Json({{"rope_type", "linear"}, {"factor", 8.0}}));
  EXPECT_FALSE(third.contains("hidden_act"));
  EXPECT_FALSE(third.contains("sliding_window_pattern"));
}

// Lists of longrope are tensors; qkv_proj and gate_up_proj stay one matrix each.
TEST(GgufConfigTest, Phi3) {
  const ModelSource source = ModelSource::Open(kGolden + "tiny_phi3.gguf");
  const Json& config = source.config();
  EXPECT_EQ(config["architectures"], Json({"Phi3ForCausalLM"}));
  EXPECT_EQ(config["model_type"], "phi3");
  EXPECT_EQ(config["partial_rotary_factor"], 0.75);
  EXPECT_EQ(config["original_max_position_embeddings"], 4096);
  EXPECT_EQ(config["sliding_window"], 262144);
  EXPECT_EQ(config["rope_scaling"], Json({{"rope_type", "longrope"},
                                          {"attention_factor", 1.1902381},
                                          {"short_factor", {1.0, 1.25, 1.5}},
                                          {"long_factor", {1.0, 5.0, 9.0}}}));
  EXPECT_EQ(source.Find("model.layers.0.self_attn.qkv_proj.weight")->shape[0], 64);
  EXPECT_EQ(source.Find("model.layers.0.mlp.gate_up_proj.weight")->shape[0], 64);
}

TEST(GgufConfigTest, LayerNormsAndMlpsWithoutAGate) {
  const Json code = ModelSource::Open(kGolden + "tiny_starcoder2.gguf").config();
  EXPECT_EQ(code["norm_epsilon"], 1e-5);
  EXPECT_EQ(code["use_bias"], true);
  EXPECT_EQ(code["hidden_act"], "gelu_pytorch_tanh");
  EXPECT_EQ(code["sliding_window"], nullptr);
  EXPECT_FALSE(code.contains("rms_norm_eps") || code.contains("attention_bias"));
  const Json stable = ModelSource::Open(kGolden + "tiny_stablelm.gguf").config();
  EXPECT_EQ(stable["layer_norm_eps"], 1e-5);
  EXPECT_EQ(stable["use_qkv_bias"], true);
  EXPECT_EQ(stable["partial_rotary_factor"], 0.25);
  EXPECT_EQ(stable["use_parallel_residual"], false);
  const Json command = ModelSource::Open(kGolden + "tiny_cohere2.gguf").config();
  EXPECT_EQ(command["logit_scale"], 0.25);
  EXPECT_EQ(command["sliding_window"], 4096);
  EXPECT_FALSE(command.contains("sliding_window_pattern") || command.contains("rope_scaling"));
  const Json arcee = ModelSource::Open(kGolden + "tiny_arcee.gguf").config();
  EXPECT_EQ(arcee["hidden_act"], "relu2");
  EXPECT_EQ(arcee["mlp_bias"], false);
}

TEST(GgufConfigTest, PairsOfNeighbours) {
  const Json ernie = ModelSource::Open(kGolden + "tiny_ernie4_5.gguf").config();
  EXPECT_EQ(ernie["architectures"], Json({"Ernie4_5ForCausalLM"}));
  EXPECT_EQ(ernie["use_bias"], false);
  EXPECT_EQ(ernie["tie_word_embeddings"], true);
  const Json glm = ModelSource::Open(kGolden + "tiny_glm4.gguf").config();
  EXPECT_EQ(glm["partial_rotary_factor"], 0.5);
  EXPECT_EQ(glm["attention_bias"], true);
  EXPECT_EQ(glm["tie_word_embeddings"], false);
}

// Both are llama.cpp's olmo2; the window tells.
TEST(GgufConfigTest, Olmo) {
  const Json second = ModelSource::Open(kGolden + "tiny_olmo2.gguf").config();
  EXPECT_EQ(second["model_type"], "olmo2");
  EXPECT_FALSE(second.contains("sliding_window"));
  const Json third = ModelSource::Open(kGolden + "tiny_olmo3.gguf").config();
  EXPECT_EQ(third["architectures"], Json({"Olmo3ForCausalLM"}));
  EXPECT_EQ(third["model_type"], "olmo3");
  EXPECT_EQ(third["sliding_window"], 512);
  EXPECT_EQ(third["layer_types"], Json({"sliding_attention"}));
}

TEST(GgufConfigTest, GraniteSeedExaoneAndHunyuan) {
  const ModelSource granite = ModelSource::Open(kGolden + "tiny_granite.gguf");
  EXPECT_EQ(granite.config()["attention_multiplier"], 0.015625);
  EXPECT_EQ(granite.config()["embedding_multiplier"], 12.0);
  EXPECT_EQ(granite.config()["residual_multiplier"], 0.22);
  EXPECT_EQ(granite.config()["logits_scaling"], 8.0);
  const Json seed = ModelSource::Open(kGolden + "tiny_seed_oss.gguf").config();
  EXPECT_EQ(seed["attention_bias"], true);
  EXPECT_EQ(seed["attention_out_bias"], false);
  const Json exaone = ModelSource::Open(kGolden + "tiny_exaone4.gguf").config();
  EXPECT_EQ(exaone["sliding_window"], 256);
  EXPECT_EQ(exaone["layer_types"], Json({"full_attention"}));
  const ModelSource hunyuan = ModelSource::Open(kGolden + "tiny_hunyuan_dense.gguf");
  EXPECT_EQ(hunyuan.config()["model_type"], "hunyuan_v1_dense");
  EXPECT_EQ(hunyuan.config()["rope_theta"], 500000.0);
  EXPECT_TRUE(hunyuan.Has("model.layers.0.self_attn.query_layernorm.weight"));
}

TEST(GgufConfigTest, Mistral3) {
  const Json config = ModelSource::Open(kGolden + "tiny_mistral3.gguf").config();
  EXPECT_EQ(config["model_type"], "ministral3");
  EXPECT_EQ(config["rope_scaling"], Json({{"rope_type", "yarn"},
                                          {"factor", 16.0},
                                          {"original_max_position_embeddings", 16384},
                                          {"beta_fast", 32.0},
                                          {"beta_slow", 1.0},
                                          {"mscale", 1},
                                          {"mscale_all_dim", 1.0},
                                          {"llama_4_scaling_beta", 0.1}}));
}

TEST(GgufConfigTest, OtherMixturesOfExperts) {
  const Json olmoe = ModelSource::Open(kGolden + "tiny_olmoe.gguf").config();
  EXPECT_EQ(olmoe["model_type"], "olmoe");
  EXPECT_EQ(olmoe["intermediate_size"], 32);
  EXPECT_EQ(olmoe["norm_topk_prob"], false);
  EXPECT_FALSE(olmoe.contains("moe_intermediate_size"));
  const Json qwen = ModelSource::Open(kGolden + "tiny_qwen2moe.gguf").config();
  EXPECT_EQ(qwen["moe_intermediate_size"], 32);
  EXPECT_EQ(qwen["shared_expert_intermediate_size"], 64);
  EXPECT_EQ(qwen["norm_topk_prob"], false);
  EXPECT_EQ(qwen["qkv_bias"], true);
}

TEST_F(ModelSourceTest, GgufOfAnotherArchitectureOrWithAStrangeTensor) {
  const auto patched = [&](const std::string& from, const std::string& to) {
    std::string bytes = ReadFile(kGolden + "tiny_llama.gguf");
    for (size_t at = 0; (at = bytes.find(from, at)) != std::string::npos; at += to.size()) {
      bytes.replace(at, from.size(), to);
    }
    Put("x.gguf", bytes);
    return ErrorOf(Path("x.gguf"));
  };
  EXPECT_EQ(patched("nothing", "nothing"), "");
  EXPECT_THAT(patched("llama", "mamba"),
              AllOf(HasSubstr("x.gguf"), HasSubstr("'mamba'; supported: llama, qwen2")));
  EXPECT_THAT(patched("blk.1.ffn_up", "blk.2.ffn_up"), HasSubstr("'blk.2.ffn_up.weight'"));
  EXPECT_THAT(patched("blk.1.ffn_up", "blk.x.ffn_up"), HasSubstr("'blk.x.ffn_up.weight'"));
  EXPECT_THAT(patched("blk.1.ffn_up", "blk.1.ffn_xx"), HasSubstr("'blk.1.ffn_xx.weight'"));
  EXPECT_THAT(patched("token_embd", "token_embx"), HasSubstr("token_embd.weight"));
  EXPECT_THAT(patched("block_count", "block_xount"), HasSubstr("'llama.block_count'"));
  EXPECT_THAT(patched("head_count_kv", "head_count_xx"), HasSubstr("k_proj"));
}

TEST_F(ModelSourceTest, FolderFileAndGgufFolder) {
  PutModel("m", 3);
  const ModelSource source = ModelSource::Open(Path("m"));
  EXPECT_EQ(source.path(), Path("m"));
  EXPECT_FALSE(source.IsGguf());
  EXPECT_EQ(source.config()["model_type"], "llama");
  EXPECT_EQ(source.TextFile("tokenizer.json"), "tokens");
  EXPECT_EQ(source.TextFile("absent.json"), "");
  EXPECT_EQ(*source.Mapped("w").as<float>(), 3);
  EXPECT_THROW(source.Mapped("v"), Error);
  EXPECT_EQ(ValueOf(Path("m/model.safetensors")), 3);
  Put("g/only.gguf", ReadFile(kGolden + "tiny_qwen3.gguf"));
  EXPECT_TRUE(ModelSource::Open(Path("g")).IsGguf());
  Put("blobs/sha256-0123", ReadFile(kGolden + "tiny_qwen3.gguf"));
  EXPECT_TRUE(ModelSource::Open(Path("blobs/sha256-0123")).IsGguf());
  Put("g/second.gguf", ReadFile(kGolden + "tiny_qwen3.gguf"));
  EXPECT_THAT(ErrorOf(Path("g")), HasSubstr("2 GGUF files"));
}

TEST_F(ModelSourceTest, HubCache) {
  PutModel("home/hub/models--org--name/snapshots/abc123", 1);
  PutModel("home/hub/models--org--name/snapshots/def456", 2);
  Put("home/hub/models--org--name/refs/main", "abc123");
  Put("home/hub/models--org--name/refs/pr/7", "def456\n");
  Put("home/hub/models--evil/refs/main", "../../../m");
  EXPECT_EQ(ValueOf("org/name"), 1);
  EXPECT_EQ(ValueOf("org/name@pr/7"), 2);
  EXPECT_EQ(ValueOf("org/name@def456"), 2);
  EXPECT_THAT(ErrorOf("org/name@v2"), AllOf(HasSubstr("'v2'"), HasSubstr(Path("home/hub"))));
  EXPECT_THAT(ErrorOf("org/other"), HasSubstr(Path("home/hub/models--org--other")));
  EXPECT_THAT(ErrorOf("evil"), HasSubstr("not in the Hugging Face cache"));
  EXPECT_THAT(ErrorOf("org/name@../x"), HasSubstr("not a model's name"));
  EXPECT_THAT(ErrorOf("/no/such/folder"), HasSubstr("no such file"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no such file"));
  EXPECT_THAT(ErrorOf(std::string(100000, 'x')), HasSubstr("no such file"));
  setenv("HF_HUB_CACHE", Path("elsewhere").c_str(), 1);
  PutModel("elsewhere/models--org--name/snapshots/fff", 5);
  Put("elsewhere/models--org--name/refs/main", "fff");
  EXPECT_EQ(ValueOf("org/name"), 5);
  unsetenv("HF_HUB_CACHE");
}

TEST_F(ModelSourceTest, FoldersThatAreNoModel) {
  Put("adapter/adapter_config.json", R"({"base_model_name_or_path":"org/base"})");
  EXPECT_THAT(ErrorOf(Path("adapter")), AllOf(HasSubstr("adapter"), HasSubstr("'org/base'")));
  Put("bad/adapter_config.json", "[1]");
  EXPECT_THAT(ErrorOf(Path("bad")), HasSubstr("an adapter, not a model"));
  PutModel("m", 1);
  Put("m/config.json", R"({"quantization_config":{"quant_method":"gptq"}})");
  EXPECT_THAT(ErrorOf(Path("m")), HasSubstr("quantization_config"));
  Put("m/config.json", "[]");
  EXPECT_THAT(ErrorOf(Path("m")), HasSubstr("config.json: not a JSON object"));
  Put("m/config.json", "{");
  EXPECT_THAT(ErrorOf(Path("m")), HasSubstr("config.json"));
  fs::remove(Path("m/config.json"));
  EXPECT_THAT(ErrorOf(Path("m")), HasSubstr("config.json"));
  Put("empty/config.json", "{}");
  EXPECT_THAT(ErrorOf(Path("empty")), HasSubstr("model.safetensors"));
}

// A vision tower has tensors of five dimensions, old checkpoints have masks and counters: whoever
// does not ask for them is not concerned.
TEST_F(ModelSourceTest, TensorsThatNobodyReadsMayHaveAnyRankAndDtype) {
  const float value = 3;
  const std::vector<uint8_t> zeros(64);
  Put("m/config.json", "{}");
  WriteSafetensors(Path("m/model.safetensors"),
                   {{"w", DType::kF32, {1, 1}, &value},
                    {"visual.patch_embed.proj.weight", DType::kBF16, {2, 1, 2, 2, 2}, zeros.data()},
                    {"mask", DType::kBool, {1, 1, 1, 1, 1, 8}, zeros.data()},
                    {"scale", DType::kF8E4M3, {4}, zeros.data()},
                    {"count", DType::kF64, {}, zeros.data()}},
                   {});
  const ModelSource source = ModelSource::Open(Path("m"));
  EXPECT_EQ(ReadAs<float>(source, "w")[0], 3);
  EXPECT_EQ(source.Find("visual.patch_embed.proj.weight")->shape.size(), 5U);
  float out = 0;
  EXPECT_THROW(source.Read("count", DType::kF32, &out), Error);
}

TEST_F(ModelSourceTest, ReadConvertsHalvesAndRefusesIntegers) {
  const float16 half[] = {ToFloat16(1.5F), ToFloat16(-65504), {0x7c00}, {0x0001}};
  const int32_t integer = 3;
  Put("m/config.json", "{}");
  WriteSafetensors(Path("m/model.safetensors"),
                   {{"h", DType::kF16, {4}, half}, {"i", DType::kI32, {1}, &integer}}, {});
  const ModelSource source = ModelSource::Open(Path("m"));
  const std::vector<float> values = ReadAs<float>(source, "h");
  EXPECT_EQ(values[0], 1.5F);
  EXPECT_EQ(values[1], -65504);
  EXPECT_EQ(values[2], INFINITY);
  EXPECT_EQ(values[3], 0x1p-24F);
  EXPECT_EQ(ReadAs<float16>(source, "h")[1].bits, half[1].bits);
  float out = 0;
  EXPECT_THROW(source.Read("i", DType::kF32, &out), Error);
  EXPECT_FALSE(source.Mapped("i"));
}

}  // namespace
}  // namespace lorikeet
