// Tiny random models of every family against numbers written by transformers and peft
// (tools/make_goldens.py): logits, loss, and the gradient of every weight and every LoRA factor.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "core/parallel.h"
#include "kernels/cast.h"
#include "kernels/matmul/matmul.h"
#include "model/loss_head.h"
#include "model/model_for_test.h"
#include "model/transformer.h"

namespace lorikeet {
namespace {

struct Error2 {
  double relative = 0, cosine = 1;
};

// ||got - expected|| / ||expected||, and the cosine between them.
Error2 Compare(const Tensor& got, const Tensor& expected) {
  EXPECT_EQ(got.size(), expected.size());
  double difference = 0, dot = 0, norm_got = 0, norm = 0;
  for (int64_t i = 0; i < expected.size(); ++i) {
    const double a = got.as<float>()[i], b = expected.as<float>()[i];
    difference += (a - b) * (a - b);
    dot += a * b;
    norm_got += a * a;
    norm += b * b;
  }
  return {std::sqrt(difference / norm), dot / std::sqrt(norm_got * norm)};
}

double LargestDifference(const Tensor& got, const Tensor& expected) {
  double largest = 0;
  for (int64_t i = 0; i < expected.size(); ++i) {
    largest = std::max<double>(largest, std::abs(got.as<float>()[i] - expected.as<float>()[i]));
  }
  return largest;
}

class GoldenTest : public ::testing::TestWithParam<std::tuple<std::string, DType, Recompute>> {
 protected:
  void SetUp() override {
    dtype_ = std::get<1>(GetParam());
    if (dtype_ == DType::kBF16 && !HasNativeBf16())
      GTEST_SKIP() << "this CPU has no native bf16 products";
    dir_ = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/" + std::get<0>(GetParam());
    expected_ = OpenSafetensors(dir_ + "/expected.safetensors");
    model_ = Model::Load(dir_, dtype_);
    ReadBatch();
  }
  Tensor Expected(const std::string& name) const {
    const Tensor t = expected_->Find(name);
    EXPECT_TRUE(t) << name;
    return t;
  }
  void ReadBatch() {
    const auto ints = [&](const char* name) {
      const Tensor t = Expected(name);
      return std::vector<int32_t>(t.as<int32_t>(), t.as<int32_t>() + t.size());
    };
    batch_.tokens = ints("tokens");
    batch_.cu_seqlens = ints("offsets");
    targets_ = ints("targets");
    for (int64_t s = 0; s < batch_.num_sequences(); ++s) {
      for (int32_t i = 0; i < batch_.cu_seqlens[s + 1] - batch_.cu_seqlens[s]; ++i)
        batch_.positions.push_back(i);
    }
    const Tensor w = Expected("weights");
    weights_.assign(w.as<float>(), w.as<float>() + w.size());
  }
  // Forward, loss and backward; compares logits, logprobs and loss under `prefix`.
  void RunAndCompareForward(const Adapted& adapter, const std::string& prefix) {
    Arena arena(size_t{256} << 20);
    Activations kept;
    kept.recompute = std::get<2>(GetParam());
    const Tensor hidden =
        Forward(*model_, batch_, {.adapter = adapter.weights, .keep = &kept}, arena);
    const Tensor logits =
        arena.Take("logits", DType::kF32, {batch_.num_tokens(), model_->config().vocab_size});
    HeadLogits(*model_, AllRows(adapter.weights, batch_.num_tokens()), hidden, logits, arena);
    ExpectClose(prefix + "logits", logits, Expected(prefix + "logits"));
    // For the table of docs/models.md, by tools/golden_table.py.
    RecordProperty(prefix + "logits_difference",
                   fmt::format("{:.3g}", LargestDifference(logits, Expected(prefix + "logits"))));
    double weight_sum = 0;
    for (const float w : weights_) weight_sum += w;
    const TokenLoss loss = [&](int64_t row, float logprob) {
      const double weight = weights_[row] / weight_sum;
      return TokenGrad{-weight * logprob, static_cast<float>(-weight)};
    };
    const LossHeadOutput output = LossHead(
        *model_, adapter.weights,
        {.hidden = hidden, .targets = targets_, .weights = weights_, .training = adapter.training},
        loss, /*backward=*/true, arena);
    EXPECT_NEAR(output.loss_sum, Expected(prefix + "loss").as<float>()[0],
                dtype_ == DType::kF32 ? 1e-5 : 2e-2);
    Backward(*model_, batch_, adapter.training, kept, output.dhidden, arena);
  }
  void ExpectClose(const std::string& name, const Tensor& got, const Tensor& expected) const {
    const Error2 error = Compare(got, expected);
    EXPECT_LT(error.relative, dtype_ == DType::kF32 ? 1e-4 : 2e-2) << name;
    EXPECT_GT(error.cosine, 0.999) << name;
  }

  // Softmax does not feel a shift that all scores of a query share, so the gradient of a key's bias
  // is the small rest of terms that cancel: in bf16 its error is measured by those terms, the query
  // bias's gradient.
  void ExpectCloseToLayersQueryBias(const std::string& name, const Tensor& got) const {
    std::string query_name = name;
    query_name.replace(query_name.find("k_proj"), 6, "q_proj");
    const Tensor expected = Expected(name), query = Expected(query_name);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < got.size(); ++i)
      difference += std::pow(got.as<float>()[i] - expected.as<float>()[i], 2);
    for (int64_t i = 0; i < query.size(); ++i) norm += std::pow(query.as<float>()[i], 2);
    EXPECT_LT(std::sqrt(difference / norm), 2e-2) << name;
    EXPECT_GT(Compare(got, expected).cosine, 0.999) << name;
  }

  std::string dir_;
  DType dtype_ = DType::kF32;
  std::unique_ptr<TensorFile> expected_;
  std::unique_ptr<Model> model_;
  Batch batch_;
  std::vector<int32_t> targets_;
  std::vector<float> weights_;
};

TEST_P(GoldenTest, EveryWeightsGradient) {
  const std::vector<Param> params = model_->MakeTrainable();
  RunAndCompareForward(nullptr, "");
  size_t compared = 0;
  for (const Param& param : params) {
    const std::string name = "grad." + param.name;
    ++compared;
    if (dtype_ == DType::kBF16 && param.name.ends_with("k_proj.bias")) {
      ExpectCloseToLayersQueryBias(name, param.grad);
    } else {
      ExpectClose(name, param.grad, Expected(name));
    }
  }
  size_t given = 0;
  for (const NamedTensor& t : expected_->tensors()) given += t.name.starts_with("grad.") ? 1 : 0;
  EXPECT_EQ(compared, given);
}

TEST_P(GoldenTest, EveryLoraFactorsGradient) {
  const LoraTraining adapter(LoraAdapter::Load(*model_, dir_ + "/adapter"));
  const std::vector<Param>& params = adapter.params();
  RunAndCompareForward(&adapter, "lora_");
  for (const Param& param : params) {
    const bool is_b = param.name.ends_with(".lora_B");
    const Buffer transposed(DType::kF32, {param.grad.cols(), param.grad.rows()});
    if (is_b) Transpose(param.grad, transposed.tensor());  // B is kept transposed
    const std::string key = "lora_grad.base_model.model." + param.name + ".weight";
    ExpectClose(key, is_b ? transposed.tensor() : param.grad, Expected(key));
  }
  size_t given = 0;
  for (const NamedTensor& t : expected_->tensors()) given += t.name.starts_with("lora_grad.");
  EXPECT_EQ(params.size(), given);
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTest,
                         ::testing::Combine(::testing::ValuesIn(GoldenFamilies()),
                                            ::testing::Values(DType::kF32, DType::kBF16),
                                            ::testing::Values(Recompute::kNone, Recompute::kBlock)),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" +
                                  DTypeName(std::get<1>(param.param)) +
                                  (std::get<2>(param.param) == Recompute::kBlock ? "_recompute"
                                                                                 : "");
                         });

}  // namespace
}  // namespace lorikeet
