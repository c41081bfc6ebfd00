// Adapters as peft saves them (tests/golden/adapters, made by tools/adapter_goldens.py) against
// what peft computes with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/temporary_folder_for_test.h"
#include "kernels/cast.h"
#include "model/export.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string AdapterDir(const std::string& name) {
  return std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/adapters/" + name;
}

// A case's batch, all of whose targets count, and what peft computed.
struct Golden {
  std::unique_ptr<TensorFile> file;
  RandomBatch batch{{}, 1};

  explicit Golden(const std::string& name)
      : file(OpenSafetensors(AdapterDir(name) + "/expected.safetensors")) {
    const auto ints = [&](const char* key) {
      const Tensor t = At(key);
      return std::vector<int32_t>(t.as<int32_t>(), t.as<int32_t>() + t.size());
    };
    batch.batch.tokens = ints("tokens");
    batch.batch.cu_seqlens = ints("offsets");
    batch.targets = ints("targets");
    for (size_t s = 0; s + 1 < batch.batch.cu_seqlens.size(); ++s) {
      for (int32_t i = 0; i < batch.batch.cu_seqlens[s + 1] - batch.batch.cu_seqlens[s]; ++i) {
        batch.batch.positions.push_back(i);
      }
    }
    batch.weights.assign(batch.targets.size(), 1.0F / static_cast<float>(batch.targets.size()));
  }
  Tensor At(const std::string& name) const {
    const Tensor t = file->Find(name);
    EXPECT_TRUE(t) << name;
    return t;
  }
};

double RelativeError(const float* got, const Tensor& expected) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < expected.size(); ++i) {
    const double e = expected.as<float>()[i];
    difference += (got[i] - e) * (got[i] - e);
    norm += e * e;
  }
  return std::sqrt(difference / norm);
}

std::vector<float> Logprobs(const Model& model, const Adapted& adapter, const Golden& golden,
                            bool backward = false, Recompute recompute = Recompute::kNone) {
  Arena arena(size_t{64} << 20);
  return RunBatch(model, adapter, golden.batch, recompute, backward, arena);
}

struct Case {
  const char *name, *base;
};

class AdapterGoldenTest : public ::testing::TestWithParam<Case> {};

// adapter_placement_keys_refused, adapter_pattern_order, adapter_with_embedding_copies, and DoRA:
// after saving as well.
TEST_P(AdapterGoldenTest, LogprobsAreThoseOfPeft) {
  const auto [name, base] = GetParam();
  const auto model = Model::Load(GoldenDir(base), DType::kF32);
  const Golden golden(name);
  const LoraAdapter adapter = LoraAdapter::Load(*model, AdapterDir(name));
  const std::vector<float> logprobs = Logprobs(*model, &adapter, golden);
  EXPECT_LT(RelativeError(logprobs.data(), golden.At("logprobs")), 1e-5);
  EXPECT_GT(RelativeError(Logprobs(*model, nullptr, golden).data(), golden.At("logprobs")), 1e-3);
  const TemporaryFolder folder("adapter_golden");
  adapter.Save(folder.path());
  const LoraAdapter again = LoraAdapter::Load(*model, folder.path());
  EXPECT_EQ(Logprobs(*model, &again, golden), logprobs);
}

INSTANTIATE_TEST_SUITE_P(Cases, AdapterGoldenTest,
                         ::testing::Values(Case{"layers", "llama"}, Case{"layers_pattern", "llama"},
                                           Case{"exclude", "llama"}, Case{"order", "llama"},
                                           Case{"copies", "llama"}, Case{"copies_tied", "qwen2"},
                                           Case{"saved_unchanged", "llama"}, Case{"dora", "llama"},
                                           Case{"dora_bias", "llama_bias"}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(AdapterCopies, ThatDifferAreRefusedByName) {
  const auto error = [](const char* family, const char* name) -> std::string {
    const auto model = Model::Load(GoldenDir(family), DType::kF32);
    try {
      LoraAdapter::Load(*model, AdapterDir(name));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error("llama", "copies_differ"),
              AllOf(HasSubstr("'model.embed_tokens.weight' differs from the base"),
                    HasSubstr("only copies that equal the base's")));
  EXPECT_EQ(error("llama", "copies"), "");
  EXPECT_THAT(error("llama3", "copies"), HasSubstr("'lm_head.weight' is 96 x 64 where the base"));
}

class DoraTest : public ::testing::TestWithParam<Case> {};

TEST_P(DoraTest, GradientsAreThoseOfPeft) {
  const auto [name, base] = GetParam();
  const auto model = Model::Load(GoldenDir(base), DType::kF32);
  const Golden golden(name);
  for (const Recompute recompute : {Recompute::kNone, Recompute::kBlock}) {
    const LoraTraining training(LoraAdapter::Load(*model, AdapterDir(name)));
    Logprobs(*model, &training, golden, /*backward=*/true, recompute);
    size_t given = 0;
    for (const NamedTensor& t : golden.file->tensors()) given += t.name.starts_with("grad.");
    EXPECT_EQ(training.params().size(), given);
    for (const Param& param : training.params()) {
      const bool is_b = param.name.ends_with(".lora_B");
      const Buffer transposed(DType::kF32, {param.grad.cols(), param.grad.rows()});
      if (is_b) Transpose(param.grad, transposed.tensor());  // B is kept transposed
      const char* suffix = param.name.ends_with("_vector") ? "" : ".weight";
      const std::string key = "grad.base_model.model." + param.name + suffix;
      const Tensor& got = is_b ? transposed.tensor() : param.grad;
      EXPECT_LT(RelativeError(got.as<float>(), golden.At(key)), 1e-4) << key;
    }
  }
}

TEST_P(DoraTest, MergedItIsPeftsMergedModel) {
  const auto [name, base] = GetParam();
  const auto model = Model::Load(GoldenDir(base), DType::kF32);
  const Golden golden(name);
  const LoraAdapter adapter = LoraAdapter::Load(*model, AdapterDir(name));
  const TemporaryFolder folder("dora_merged");
  WriteModel(model->source(), DType::kF32, MergeAdapter(adapter), folder.path(),
             /*untie_head=*/false);
  const auto written = OpenSafetensors(folder.path());
  int compared = 0;
  for (const NamedTensor& t : golden.file->tensors()) {
    if (!t.name.starts_with("merged.")) continue;
    ++compared;
    const Tensor got = written->Find(t.name.substr(7));
    EXPECT_LT(RelativeError(got.as<float>(), t.tensor), 1e-6) << t.name;
  }
  EXPECT_EQ(compared, 3);
  const auto merged = Model::Load(folder.path(), DType::kF32);
  EXPECT_LT(RelativeError(Logprobs(*merged, nullptr, golden).data(), golden.At("logprobs")), 1e-5);
}

// Rows of several adapters in one pass have the bits of each adapter alone.
TEST_P(DoraTest, ItsRowsAreTheSameBitsBesideOtherAdapters) {
  const auto [name, base] = GetParam();
  for (const DType dtype : ComputeDtypes()) {
    const auto model = Model::Load(GoldenDir(base), dtype);
    const LoraAdapter dora = LoraAdapter::Load(*model, AdapterDir(name));
    const LoraAdapter plain = LoraAdapter::Load(*model, GoldenDir(base) + "/adapter");
    const RandomBatch random({20, 9, 33, 5}, model->config().vocab_size);
    const std::vector<int32_t>& ends = random.batch.cu_seqlens;
    const std::vector<AdapterRows> rows = {{0, ends[1], &plain.weights()},
                                           {ends[1], ends[2], &dora.weights()},
                                           {ends[3], ends[4], &dora.weights()}};
    Arena arena(size_t{64} << 20);
    const auto logits_of = [&](std::span<const AdapterRows> adapters) {
      const ArenaScope scope(arena);
      const Tensor hidden = Forward(*model, random.batch, {.adapter_rows = adapters}, arena);
      const Tensor logits =
          arena.Take("logits", DType::kF32, {hidden.rows(), model->config().vocab_size});
      HeadLogits(*model, adapters, hidden, logits, arena);
      return std::vector<float>(logits.as<float>(), logits.as<float>() + logits.size());
    };
    const std::vector<float> mixed = logits_of(rows);
    const int64_t T = random.batch.num_tokens(), V = model->config().vocab_size;
    const LoraWeights* const of_sequence[] = {&plain.weights(), &dora.weights(), nullptr,
                                              &dora.weights()};
    for (size_t s = 0; s < 4; ++s) {
      const std::vector<float> alone = logits_of(AllRows(of_sequence[s], T));
      const auto begin = static_cast<ptrdiff_t>(ends[s] * V), end = ends[s + 1] * V;
      EXPECT_TRUE(std::equal(mixed.begin() + begin, mixed.begin() + end, alone.begin() + begin))
          << s;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, DoraTest,
                         ::testing::Values(Case{"dora", "llama"}, Case{"dora_bias", "llama_bias"}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(DoraDeathTest, AnAdapterWhoseModelIsGoneIsNotChanged) {
  auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  LoraConfig config;
  config.r = 4;
  config.target_modules = {"all-linear"};
  LoraTraining plain(LoraAdapter::Create(*model, config, 3));
  config.use_dora = true;
  LoraTraining dora(LoraAdapter::Create(*model, config, 3));
  dora.ValuesChanged();
  model.reset();
  plain.ValuesChanged();  // does not read the model's weights
  EXPECT_DEATH(dora.ValuesChanged(), "model_.expired");
  EXPECT_DEATH(dora.RefreshWorkingCopies(), "model_.expired");
}

TEST(Dora, ANewAdapterLeavesTheModelAsItIsAndFollowsItsValues) {
  const auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  LoraConfig config;
  config.r = 4;
  config.use_dora = true;
  config.target_modules = {"all-linear"};
  LoraTraining training(LoraAdapter::Create(*model, config, 3));
  const Golden golden("dora");
  const std::vector<float> base = Logprobs(*model, nullptr, golden);
  const std::vector<float> fresh = Logprobs(*model, &training, golden);
  double difference = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    difference = std::max<double>(difference, std::abs(base[i] - fresh[i]));
  }
  EXPECT_LT(difference, 1e-5);
  const auto before = training.Snapshot();
  for (const Param& param : training.params()) {
    if (!param.name.ends_with(".lora_B")) continue;
    for (int64_t i = 0; i < param.value.size(); ++i) param.value.as<float>()[i] = 0.1F;
  }
  training.ValuesChanged();
  EXPECT_EQ(Logprobs(*model, before.get(), golden), fresh);
  EXPECT_NE(Logprobs(*model, &training, golden), fresh);
}

}  // namespace
}  // namespace lorikeet
