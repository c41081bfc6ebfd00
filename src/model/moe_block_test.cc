// Mixtures of experts beyond the goldens: other layouts of the same weights, experts that share a
// factor, routers that learn, and dense models turned into mixtures.
#include "model/moe_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "checkpoint/upcycle.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "model/export.h"
#include "model/model_for_test.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

LoraConfig Config(std::vector<std::string> targets, int r, bool shared_outer = false) {
  LoraConfig config;
  config.r = r;
  config.target_modules = std::move(targets);
  config.shared_outer = shared_outer;
  return config;
}

std::vector<float> Logprobs(const Model& model, const Adapted& adapter = nullptr) {
  Arena arena(size_t{256} << 20);
  return RunBatch(model, adapter, RandomBatch({40, 9, 77}, model.config().vocab_size),
                  Recompute::kNone, false, arena);
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::abs(a[i] - b[i])));
  }
  return largest;
}

// The golden folder with its experts in one tensor each, as a state dict of transformers has them.
void WriteFused(const std::string& family, const TemporaryFolder& to) {
  const auto file = OpenSafetensors(GoldenDir(family));
  const bool mixtral = family == "mixtral";
  std::map<std::string, std::vector<float>> fused;
  std::map<std::string, std::vector<int64_t>> shapes;
  const Json config = ParseJson(ReadFile(GoldenDir(family) + "/config.json"), "config");
  const int64_t E = config.value(mixtral ? "num_local_experts" : "num_experts", 0);
  const std::string block = mixtral ? "block_sparse_moe" : "mlp";
  for (const NamedTensor& t : file->tensors()) {
    std::string name = t.name;
    const size_t at = name.find(block + ".");
    if (at != std::string::npos) name.replace(at, block.size(), "mlp");
    if (name.find(".experts.") != std::string::npos) continue;
    fused[name].assign(t.tensor.as<float>(), t.tensor.as<float>() + t.tensor.size());
    shapes[name] = {t.tensor.shape.begin(), t.tensor.shape.begin() + t.tensor.rank};
  }
  const std::vector<std::string> names =
      mixtral ? std::vector<std::string>{"w1", "w3", "w2"}
              : std::vector<std::string>{"gate_proj", "up_proj", "down_proj"};
  for (int64_t l = 0; l < 3; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    const auto append = [&](const std::string& to_name, int64_t e, size_t part) {
      const Tensor t = file->Find(layer + block + ".experts." + std::to_string(e) + "." +
                                  names[part] + ".weight");
      if (!t) return;
      auto& values = fused[layer + "mlp.experts." + to_name];
      values.insert(values.end(), t.as<float>(), t.as<float>() + t.size());
      shapes[layer + "mlp.experts." + to_name] = {E, t.rows() * (part < 2 ? 2 : 1), t.cols()};
    };
    for (int64_t e = 0; e < E; ++e) {
      append("gate_up_proj", e, 0);
      append("gate_up_proj", e, 1);
      append("down_proj", e, 2);
    }
  }
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, values] : fused) {
    tensors.push_back({name, DType::kF32, shapes[name], values.data()});
  }
  WriteSafetensors(to / "model.safetensors", tensors, {});
  WriteFileAtomically(to / "config.json", config.dump());
}

TEST(Experts, FusedTensorsAreTheSameModel) {
  for (const char* family : {"qwen3_moe", "mixtral"}) {
    const TemporaryFolder folder(std::string("fused_") + family);
    WriteFused(family, folder);
    const auto fused = Model::Load(folder.path(), DType::kF32);
    const auto plain = Model::Load(GoldenDir(family), DType::kF32);
    EXPECT_EQ(Logprobs(*fused), Logprobs(*plain)) << family;
    EXPECT_EQ(fused->NumParameters(), plain->NumParameters());
  }
}

TEST(Experts, RanksAreTheTotalOverTheActiveOnes) {
  const auto model = Model::Load(GoldenDir("qwen3_moe"), DType::kF32);  // 2 of 5 active
  const auto rank_of = [&](const LoraConfig& config, const std::string& module) {
    const LoraAdapter adapter = LoraAdapter::Create(*model, config, 1);
    for (const LoraPair& pair : adapter.pairs()) {
      if (pair.module == module) return std::pair(pair.r, pair.scale);
    }
    return std::pair(int64_t{0}, 0.0F);
  };
  const std::string expert = "model.layers.2.mlp.experts.4.down_proj";
  LoraConfig config = Config({"all-linear"}, 8);
  EXPECT_EQ(rank_of(config, expert), std::pair(int64_t{4}, 8.0F));  // alpha 32 / its own rank
  EXPECT_EQ(rank_of(config, "model.layers.2.self_attn.q_proj"), std::pair(int64_t{8}, 4.0F));
  EXPECT_EQ(rank_of(config, "model.layers.1.mlp.down_proj"), std::pair(int64_t{8}, 4.0F));
  EXPECT_EQ(rank_of(config, "model.layers.2.mlp.gate").first, 0);  // routers only when named
  EXPECT_EQ(rank_of(Config({"router"}, 8), "model.layers.2.mlp.gate").first, 8);
  EXPECT_EQ(rank_of(Config({"experts"}, 1), expert).first, 1);
  EXPECT_EQ(rank_of(Config({"experts"}, 1), "model.layers.1.mlp.down_proj").first, 0);
  config.expert_r = 3;
  EXPECT_EQ(rank_of(config, expert).first, 3);
}

TEST(Experts, AdaptersComeBackFromTheirFolder) {
  for (const char* family : {"qwen3_moe", "mixtral"}) {
    for (const bool shared_outer : {false, true}) {
      const TemporaryFolder folder(std::string("adapter_") + family);
      const auto model = Model::Load(GoldenDir(family), DType::kF32);
      const LoraAdapter adapter = LoraAdapter::Create(
          *model, Config({"all-linear", "router", "lm_head"}, 6, shared_outer), 1);
      for (const LoraPair& pair : adapter.pairs()) {
        const RandomStream random(3, "b", pair.module.substr(0, 24));
        for (int64_t i = 0; i < pair.bt.size(); ++i) {
          pair.bt.as<float>()[i] =
              static_cast<float>(0.2 * random.Uniform(static_cast<uint64_t>(i)) - 0.1);
        }
      }
      adapter.Save(folder.path());
      const LoraAdapter again = LoraAdapter::Load(*model, folder.path());
      EXPECT_EQ(again.NumParameters(), adapter.NumParameters()) << family << shared_outer;
      EXPECT_EQ(Logprobs(*model, &again), Logprobs(*model, &adapter)) << family;
      EXPECT_NE(Logprobs(*model, &again), Logprobs(*model));
    }
  }
}

// The model's log-probabilities of the targets in the golden's batch.
std::vector<float> GoldenLogprobs(const Model& model, const LoraAdapter& adapter,
                                  const TensorFile& golden) {
  const auto ints = [&](const char* name) {
    const Tensor t = golden.Find(name);
    return std::vector<int32_t>(t.as<int32_t>(), t.as<int32_t>() + t.size());
  };
  RandomBatch batch({}, model.config().vocab_size);
  batch.batch.tokens = ints("tokens");
  batch.batch.cu_seqlens = ints("offsets");
  batch.targets = ints("targets");
  batch.weights.assign(batch.targets.size(), 1.0F);
  for (int64_t s = 0; s < batch.batch.num_sequences(); ++s) {
    const auto begin = static_cast<size_t>(s);
    const int32_t length = batch.batch.cu_seqlens[begin + 1] - batch.batch.cu_seqlens[begin];
    for (int32_t i = 0; i < length; ++i) batch.batch.positions.push_back(i);
  }
  Arena arena(size_t{256} << 20);
  return RunBatch(model, &adapter, batch, Recompute::kNone, false, arena);
}

// tools/make_goldens.py: what peft writes of experts' fused parameters.
TEST(Experts, FusedAdaptersOfPeftAreRead) {
  const std::string dir = GoldenDir("qwen3_moe");
  const auto model = Model::Load(dir, DType::kF32);
  const auto golden = OpenSafetensors(dir + "/expected.safetensors");
  // The pairs that peft fused are the pairs that they were.
  const LoraAdapter pairs = LoraAdapter::Load(*model, dir + "/adapter");
  const LoraAdapter fused = LoraAdapter::Load(*model, dir + "/adapter_pairs_fused");
  EXPECT_EQ(fused.NumParameters(), pairs.NumParameters());
  EXPECT_EQ(GoldenLogprobs(*model, fused, *golden), GoldenLogprobs(*model, pairs, *golden));
  // And one where gate and up have the same A, and the router is adapted.
  const TemporaryFolder folder("peft_fused");
  const Tensor expected = golden->Find("fused_logprobs");
  const LoraAdapter native = LoraAdapter::Load(*model, dir + "/adapter_fused");
  native.Save(folder.path());
  const LoraAdapter again = LoraAdapter::Load(*model, folder.path());
  for (const LoraAdapter* adapter : {&native, &again}) {
    EXPECT_LT(LargestDifference(GoldenLogprobs(*model, *adapter, *golden),
                                {expected.as<float>(), expected.as<float>() + expected.size()}),
              2e-5);
  }
}

// The gradients of shared factors are the sums of those that the experts have without sharing.
TEST(Experts, SharedFactorsCollectTheGradientsOfAll) {
  const auto model = Model::Load(GoldenDir("qwen3_moe"), DType::kF32);
  const RandomBatch random({60, 33}, model->config().vocab_size);
  Arena arena(size_t{256} << 20);
  LoraAdapter shared = LoraAdapter::Create(*model, Config({"all-linear"}, 8, true), 1);
  LoraAdapter apart = LoraAdapter::Create(*model, Config({"all-linear"}, 8), 1);
  EXPECT_LT(shared.NumParameters(), apart.NumParameters());
  for (size_t i = 0; i < shared.pairs().size(); ++i) {
    const LoraPair &from = shared.pairs()[i], &to = apart.pairs()[i];
    if (!from.shares_b) {
      const RandomStream b(5, "b", from.module);
      for (int64_t k = 0; k < from.bt.size(); ++k) {
        from.bt.as<float>()[k] =
            static_cast<float>(0.2 * b.Uniform(static_cast<uint64_t>(k)) - 0.1);
      }
    }
    std::memcpy(to.a.data, from.a.data, static_cast<size_t>(to.a.bytes()));
    std::memcpy(to.bt.data, from.bt.data, static_cast<size_t>(to.bt.bytes()));
  }
  const LoraTraining shared_training(std::move(shared)), apart_training(std::move(apart));
  EXPECT_EQ(RunBatch(*model, &shared_training, random, Recompute::kNone, true, arena),
            RunBatch(*model, &apart_training, random, Recompute::kNone, true, arena));
  std::map<const float*, std::vector<double>> sums;  // by the shared gradient
  const auto add = [&](const Tensor& to, const Tensor& from) {
    std::vector<double>& sum = sums[to.as<float>()];
    sum.resize(static_cast<size_t>(to.size()));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += from.as<float>()[i];
  };
  ForEachLinear(model->weights(), [&](const Linear& linear) {
    const LoraGradients* of_shared = shared_training.Gradients(linear);
    if (of_shared == nullptr) return;
    add(of_shared->da, apart_training.Gradients(linear)->da);
    add(of_shared->dbt, apart_training.Gradients(linear)->dbt);
  });
  for (const auto& [gradient, sum] : sums) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < sum.size(); ++i) {
      difference += std::pow(gradient[i] - sum[i], 2);
      norm += std::pow(sum[i], 2);
    }
    EXPECT_LE(difference, 1e-10 * norm);
  }
}

TEST(Experts, AnAdaptedRouterLearns) {
  const auto model = Model::Load(GoldenDir("qwen3_moe"), DType::kF32);
  const LoraTraining adapter(LoraAdapter::Create(*model, Config({"router"}, 4), 1));
  const std::vector<Param>& params = adapter.params();
  ASSERT_EQ(params.size(), 4U);
  Arena arena(size_t{256} << 20);
  RunBatch(*model, &adapter, RandomBatch({60}, model->config().vocab_size), Recompute::kNone, true,
           arena);
  for (const Param& param : params) {
    double norm = 0;
    for (int64_t i = 0; i < param.grad.size(); ++i) norm += std::pow(param.grad.as<float>()[i], 2);
    EXPECT_EQ(norm > 0, param.name.ends_with("lora_B")) << param.name;  // B is still 0
  }
}

TEST(ExpertConfig, SaysWhichLayersHaveExpertsAndRefusesWhatCannotBe) {
  const std::string dir = GoldenDir("qwen3_moe");
  const Json good = ParseJson(ReadFile(dir + "/config.json"), dir);
  const auto with = [&](const char* key, const Json& value) {
    Json json = good;
    json[key] = value;
    return json;
  };
  const auto layers = [](const Json& json) {
    const ModelConfig c = ReadModelConfig(json, "test");
    std::vector<int64_t> found;
    for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
      if (c.has_experts(l)) found.push_back(l);
    }
    EXPECT_EQ(static_cast<int64_t>(found.size()), c.num_expert_layers());
    return found;
  };
  EXPECT_THAT(layers(good), ::testing::ElementsAre(0, 2));
  EXPECT_THAT(layers(with("mlp_only_layers", {2, 0, 2})), ::testing::ElementsAre(1));
  Json every_second = with("decoder_sparse_step", 2);
  EXPECT_THAT(layers(every_second), ::testing::IsEmpty());  // layer 1 is in mlp_only_layers
  every_second["mlp_only_layers"] = nullptr;
  EXPECT_THAT(layers(every_second), ::testing::ElementsAre(1));
  EXPECT_THROW(ReadModelConfig(with("mlp_only_layers", {3}), "test"), Error);
  EXPECT_THROW(ReadModelConfig(with("num_experts_per_tok", 6), "test"), Error);
  EXPECT_THROW(ReadModelConfig(with("num_experts", 0), "test"), Error);
}

class Upcycled : public ::testing::TestWithParam<const char*> {};

TEST_P(Upcycled, ComputesWhatTheDenseModelDoes) {
  const TemporaryFolder folder(std::string("upcycled_") + GetParam());
  const ModelSource source = ModelSource::Open(GoldenDir(GetParam()));
  WriteModel(Upcycle(WithExplicitConfig(source), {.experts = 4, .active = 2, .seed = 7}),
             DType::kF32, {}, folder.path());
  const auto dense = Model::Load(GoldenDir(GetParam()), DType::kF32);
  const auto mixture = Model::Load(folder.path(), DType::kF32);
  EXPECT_EQ(mixture->config().num_experts, 4);
  EXPECT_TRUE(mixture->config().norm_topk_prob);
  EXPECT_LT(LargestDifference(Logprobs(*mixture), Logprobs(*dense)), 2e-5);
}
INSTANTIATE_TEST_SUITE_P(Families, Upcycled,
                         ::testing::Values("llama", "llama3", "qwen3", "mistral_window",
                                           "llama_yarn", "llama_own_head"));

// The two families have other defaults: what the dense file leaves out is written.
TEST(Upcycle, KeepsTheDefaultsOfTheDenseFamily) {
  const TemporaryFolder folder("upcycled_defaults");
  std::filesystem::copy(GoldenDir("llama"), folder / "dense");
  Json config = ParseJson(ReadFile((folder / "dense") + "/config.json"), "config.json");
  for (const char* key : {"rms_norm_eps", "rope_theta", "max_position_embeddings"}) {
    config.erase(key);
  }
  WriteFileAtomically((folder / "dense") + "/config.json", config.dump());
  const auto dense = Model::Load(folder / "dense", DType::kF32);
  std::filesystem::create_directory(folder / "mixture");
  WriteModel(Upcycle(WithExplicitConfig(dense->source()), {.experts = 4, .active = 2}), DType::kF32,
             {}, folder / "mixture");
  const auto mixture = Model::Load(folder / "mixture", DType::kF32);
  EXPECT_EQ(mixture->config().rope_theta, 1e4);
  EXPECT_EQ(mixture->config().rms_norm_eps, 1e-6F);
  EXPECT_EQ(mixture->config().max_position_embeddings, 2048);
  EXPECT_LT(LargestDifference(Logprobs(*mixture), Logprobs(*dense)), 2e-5);
}

TEST(Upcycle, RefusesWhatNoMixtureCanHold) {
  const auto refusal = [](const std::string& family) {
    try {
      Upcycle(WithExplicitConfig(ModelSource::Open(GoldenDir(family))),
              {.experts = 4, .active = 2});
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal("llama_bias"), HasSubstr("attention_bias is set"));
  EXPECT_THAT(refusal("mistral_layer_types"), HasSubstr("only some layers have a sliding window"));
  EXPECT_THAT(refusal("qwen2"), HasSubstr("no mixture of experts to become"));
  EXPECT_THAT(refusal("qwen3_moe"), HasSubstr("no mixture of experts to become"));
  EXPECT_THROW(ParseUpcycling("8", 0), Error);
  EXPECT_THROW(ParseUpcycling("2:3", 0), Error);
  EXPECT_THROW(ParseUpcycling("1:1", 0), Error);
  EXPECT_EQ(ParseUpcycling("8:2", 0).active, 2);
}

}  // namespace
}  // namespace lorikeet
