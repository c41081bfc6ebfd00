// Losses of single rows and of whole batches through the head.
#include "model/loss_head.h"

#include <gtest/gtest.h>

#include <cstring>

#include "model/model_for_test.h"

namespace lorikeet {
namespace {

// Results of a pass over the head.
struct Outcome {
  double loss_sum = 0;
  std::vector<float> logprobs, dhidden, gradients;

  bool SameBitsAs(const Outcome& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() &&
             (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
    };
    return same(logprobs, other.logprobs) && same(dhidden, other.dhidden) &&
           same(gradients, other.gradients);
  }
};

std::vector<float> ValuesOf(const Tensor& t) { return {t.as<float>(), t.as<float>() + t.size()}; }

// All weights of a model are trained, or those of an adapter.
Outcome RunHead(const RandomBatch& random, DType dtype, bool lora, const Loss& loss,
                bool backward) {
  const std::unique_ptr<Model> model = Model::Load(GoldenDir("llama"), dtype);
  std::optional<LoraTraining> adapter;
  std::vector<Param> params;
  if (lora) {
    LoraConfig config{.r = 4};
    config.target_modules = {"all-linear", "lm_head"};
    adapter.emplace(LoraAdapter::Create(*model, config, 1));
    params = adapter->params();
  } else {
    params = model->MakeTrainable();
  }
  const Adapted trained(adapter ? &*adapter : nullptr);
  Arena arena(size_t{256} << 20);
  const Tensor hidden = Forward(*model, random.batch, {.adapter = trained.weights}, arena);
  const LossHeadOutput output = LossHead(*model, trained.weights,
                                         {.hidden = hidden,
                                          .targets = random.targets,
                                          .weights = random.weights,
                                          .temperature = 0.7,
                                          .training = trained.training},
                                         loss, backward, arena);
  Outcome outcome{output.loss_sum, output.logprobs, {}, {}};
  if (!backward) return outcome;
  outcome.dhidden = ValuesOf(output.dhidden);
  for (const Param& param : params) {
    const std::vector<float> values = ValuesOf(param.grad);
    outcome.gradients.insert(outcome.gradients.end(), values.begin(), values.end());
  }
  return outcome;
}

// A loss of the whole batch that equals a loss of tokens gives the same bits, whether the rows fit
// into one chunk or not.
TEST(LossHead, ALossOfTheBatchHasTheBitsOfItsTokens) {
  constexpr int64_t kVocab = 90;
  for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{5, 9}, {400, 300, 300}}) {
    const RandomBatch random(lengths, kVocab);
    int calls = 0;
    const LossFunction of_batch = [&](std::span<const float> logprobs) {
      ++calls;
      BatchLoss loss;
      for (size_t row = 0; row < logprobs.size(); ++row) {
        const TokenGrad grad = random.Loss()(static_cast<int64_t>(row), logprobs[row]);
        loss.loss += grad.loss;
        loss.dlogprob.push_back(grad.dlogprob);
      }
      return loss;
    };
    for (const DType dtype : ComputeDtypes()) {
      for (const bool lora : {true, false}) {
        for (const bool backward : {true, false}) {
          const Outcome tokens = RunHead(random, dtype, lora, random.Loss(), backward);
          calls = 0;
          const Outcome batch = RunHead(random, dtype, lora, of_batch, backward);
          EXPECT_EQ(calls, 1);
          EXPECT_EQ(batch.loss_sum, tokens.loss_sum);
          EXPECT_TRUE(batch.SameBitsAs(tokens))
              << lengths[0] << " " << DTypeName(dtype) << " lora " << lora << " " << backward;
        }
      }
    }
  }
}

TEST(LossHead, ALossOfTheBatchSeesNoRowOfWeightZero) {
  const RandomBatch random({7}, 90);
  std::vector<float> seen;
  const LossFunction loss = [&](std::span<const float> logprobs) {
    seen.assign(logprobs.begin(), logprobs.end());
    return BatchLoss{1.5, std::vector<float>(logprobs.size(), 1.0F)};
  };
  const Outcome outcome = RunHead(random, DType::kF32, true, loss, true);
  EXPECT_EQ(outcome.loss_sum, 1.5);
  EXPECT_EQ(seen, outcome.logprobs);
  const auto width = outcome.dhidden.size() / seen.size();
  for (size_t row = 0; row < seen.size(); ++row) {
    const bool masked = random.weights[row] == 0;
    EXPECT_EQ(seen[row] == 0, masked);
    for (size_t i = 0; i < width; ++i) {
      EXPECT_EQ(outcome.dhidden[row * width + i] == 0, masked);
    }
  }
}

}  // namespace
}  // namespace lorikeet
