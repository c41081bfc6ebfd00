// Examples that share a prompt, computed once per micro-batch, against the same examples whole:
// equal log-probabilities bit for bit, equal gradients up to the order of their sums.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/matmul/matmul.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

constexpr int64_t kLongest = 110;

// `count` answers of 1 to 30 tokens to one prompt, as a policy loss takes them.
void AppendGroup(int64_t group, int64_t prompt, int64_t count, int64_t vocab,
                 std::vector<Example>* examples) {
  const auto token = [vocab](const RandomStream& random, int64_t i) {
    return static_cast<int32_t>(
        random.Below(static_cast<uint64_t>(i), static_cast<uint64_t>(vocab)));
  };
  const RandomStream prompt_random(static_cast<uint64_t>(group), "training_run_prefix_test");
  for (int64_t c = 0; c < count; ++c) {
    const RandomStream random(static_cast<uint64_t>(group), "training_run_prefix_test", "answer",
                              static_cast<uint64_t>(c));
    const auto answer = static_cast<int64_t>(1 + random.Below(1000, 30));
    Example example;
    for (int64_t t = 0; t < prompt + answer; ++t) {
      const int32_t id = t < prompt ? token(prompt_random, t) : token(random, t);
      const bool trained = t >= prompt;
      if (t + 1 < prompt + answer) example.tokens.push_back(id);
      if (t == 0) continue;
      example.target_tokens.push_back(id);
      example.weights.push_back(trained ? 1.0F : 0.0F);
      example.advantages.push_back(trained ? static_cast<float>(c) - 1.5F : 0.0F);
      example.logprobs.push_back(trained ? -4.0F : 0.0F);
    }
    example.prefix_group = group;
    example.shared_prefix = prompt - 1;
    examples->push_back(std::move(example));
  }
}

struct Setting {
  Method method;
  DType dtype;
  Recompute recompute = Recompute::kNone;
  int64_t micro_batch = 4096;
  LossFn loss = LossFn::kImportanceSampling;
};

struct Trainee {
  explicit Trainee(const Setting& setting) : loss(setting.loss) {
    const std::string dir = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama";
    model = Model::Load(dir, setting.dtype);
    const RunOptions options{.recompute = setting.recompute,
                             .tokens_per_microbatch = setting.micro_batch};
    run = setting.method == Method::kFull
              ? std::make_unique<TrainingRun>(*model, options)
              : std::make_unique<TrainingRun>(*model, LoraAdapter::Load(*model, dir + "/adapter"),
                                              options);
  }
  ForwardBackwardOutput Train(const std::vector<Example>& examples) const {
    std::vector<const Example*> pointers;
    for (const Example& example : examples) pointers.push_back(&example);
    return run->ForwardBackward(pointers, {.fn = loss});
  }
  LossFn loss;
  std::unique_ptr<Model> model;
  std::unique_ptr<TrainingRun> run;
};

double RelativeError(const Tensor& a, const Tensor& b) {
  double error = 0, norm = 0;
  for (int64_t i = 0; i < b.size(); ++i) {
    error += std::pow(static_cast<double>(a.as<float>()[i]) - b.as<float>()[i], 2);
    norm += std::pow(static_cast<double>(b.as<float>()[i]), 2);
  }
  return std::sqrt(error / norm);
}

class SharedPrefix : public ::testing::Test {
 protected:
  void SetUp() override {
    SetNumThreads(1);  // a team would only wait for itself in models this small
    AppendGroup(3, 64, 4, 90, &shared_);
    AppendGroup(0, 80, 5, 90, &shared_);
    AppendGroup(1, 2, 2, 90, &shared_);
    AppendGroup(7, 33, 1, 90, &shared_);
    AppendGroup(2, 1, 3, 90, &shared_);   // a prompt of one token: no row to share
    AppendGroup(3, 64, 1, 90, &shared_);  // apart from the rest of its group
    whole_ = shared_;
    for (Example& example : whole_) example.prefix_group = -1;
  }
  void TearDown() override { SetNumThreads(threads_); }
  void Expect(const Setting& setting, double tolerance) {
    if (setting.dtype == DType::kBF16 && !HasNativeBf16()) return;
    const Trainee a(setting), b(setting);
    const ForwardBackwardOutput shared = a.Train(shared_), whole = b.Train(whole_);
    EXPECT_LT(shared.tokens, whole.tokens);
    EXPECT_EQ(shared.trained_tokens, whole.trained_tokens);
    EXPECT_EQ(shared.weight_sum, whole.weight_sum);
    EXPECT_NEAR(shared.loss_sum, whole.loss_sum, 1e-9 * std::abs(whole.loss_sum));
    for (size_t i = 0; i < whole_.size(); ++i) {
      ASSERT_EQ(shared.logprobs[i].size(), whole.logprobs[i].size());
      EXPECT_EQ(std::memcmp(shared.logprobs[i].data(), whole.logprobs[i].data(),
                            whole.logprobs[i].size() * sizeof(float)),
                0)
          << "example " << i;
    }
    for (size_t i = 0; i < a.run->params().size(); ++i) {
      const Param& param = b.run->params()[i];
      EXPECT_LT(RelativeError(a.run->params()[i].grad, param.grad), tolerance) << param.name;
    }
  }
  std::vector<Example> shared_, whole_;
  int threads_ = NumThreads();
};

TEST_F(SharedPrefix, GivesTheGradientsOfWholeExamples) {
  for (const Method method : {Method::kLora, Method::kFull}) {
    Expect({method, DType::kF32}, 1e-5);
    Expect({method, DType::kBF16}, 3e-2);
  }
}

TEST_F(SharedPrefix, InMicroBatchesThatSplitGroups) {
  Expect({Method::kLora, DType::kF32, Recompute::kNone, 2 * kLongest}, 1e-5);
  Expect({Method::kFull, DType::kF32, Recompute::kNone, kLongest + 20}, 1e-5);
}

// A ratio of a whole completion: an example is never cut, so its rows are always in one
// micro-batch.
TEST_F(SharedPrefix, InSequenceLosses) {
  Expect({Method::kLora, DType::kF32, Recompute::kNone, 4096, LossFn::kGspo}, 1e-5);
  Expect({Method::kLora, DType::kF32, Recompute::kNone, 2 * kLongest, LossFn::kGspo}, 1e-5);
  Expect({Method::kFull, DType::kF32, Recompute::kBlock, kLongest + 20, LossFn::kGspo}, 1e-5);
}

TEST_F(SharedPrefix, WithRecomputedBlocks) {
  Expect({Method::kLora, DType::kF32, Recompute::kBlock, 2 * kLongest}, 1e-5);
  Expect({Method::kFull, DType::kF32, Recompute::kBlock}, 1e-5);
}

}  // namespace
}  // namespace lorikeet
