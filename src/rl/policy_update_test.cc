// Policy updates, and their basis: sampler and trainer compute the same log-probabilities.
#include "rl/policy_update.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "model/model_for_test.h"
#include "model/weights.h"
#include "sample/generator.h"

namespace lorikeet {
namespace {

// A toy reward: the share of even token ids in a completion.
void RewardEvenTokens(std::span<Group> groups) {
  for (Group& group : groups) {
    for (Rollout& rollout : group.rollouts) {
      double even = 0;
      for (const int32_t token : rollout.generation.tokens) even += token % 2 == 0 ? 1 : 0;
      const auto n = static_cast<double>(rollout.generation.tokens.size());
      rollout.grade = {Verdict::kWrong, even / n, ""};
    }
  }
}

struct Toy {
  std::unique_ptr<Model> model;
  std::unique_ptr<TrainingRun> run;
  std::unique_ptr<Generator> generator;

  Toy(const std::string& family, DType dtype, int rank, int64_t slots = 16)
      : model(Model::Load(GoldenDir(family), dtype)) {
    const RunOptions options = {.tokens_per_microbatch = 256};
    if (rank == 0) {
      run = std::make_unique<TrainingRun>(*model, options);
    } else {
      LoraConfig config;
      config.r = rank;
      config.target_modules = {"all-linear"};
      run = std::make_unique<TrainingRun>(*model, LoraAdapter::Create(*model, config, 3), options);
    }
    generator = std::make_unique<Generator>(
        *model, GeneratorLimits{.slots = slots, .capacity = 48, .tokens_per_step = 64},
        run->workspace());
  }

  // Groups for random prompts; prompts and completions have mixed lengths.
  std::vector<Group> Sample(uint64_t step, int64_t count, int64_t size,
                            double temperature = 1) const {
    std::vector<Group> groups(static_cast<size_t>(count));
    std::vector<GenerateRequest> requests;
    for (int64_t g = 0; g < count; ++g) {
      const RandomStream random(11, "toy", {}, step * 100 + static_cast<uint64_t>(g));
      for (int64_t i = 0; i < 3 + 5 * g; ++i) {
        groups[static_cast<size_t>(g)].prompt.push_back(static_cast<int32_t>(
            random.Below(static_cast<uint64_t>(i), model->config().vocab_size)));
      }
      for (int64_t i = 0; i < size; ++i) {
        GenerateRequest request;
        request.prompt = groups[static_cast<size_t>(g)].prompt;
        request.adapter = run->Snapshot();
        request.params = {.max_tokens = 4 + 3 * (i % 3), .temperature = temperature, .seed = step};
        request.key = static_cast<uint64_t>(g * size + i);
        requests.push_back(std::move(request));
      }
    }
    std::vector<Generation> generations = generator->Run(std::move(requests));
    for (size_t i = 0; i < generations.size(); ++i) {
      groups[i / static_cast<size_t>(size)].rollouts.push_back({std::move(generations[i]), "", {}});
    }
    RewardEvenTokens(groups);
    return groups;
  }

  UpdateReport Learn(std::span<const Group> groups, const UpdateConfig& config) const {
    GuardedRun guarded(*run);
    const UpdateReport report = UpdatePolicy(guarded, groups, config);
    generator->ForgetPrefixes();
    return report;
  }
  UpdateReport Learn(std::span<const Group> groups, const std::string& objective,
                     double rate) const {
    return Learn(groups, {.objective = GetObjective(objective), .optim = {.learning_rate = rate}});
  }
};

double MeanReward(const std::vector<Group>& groups) {
  double sum = 0, count = 0;
  for (const Group& group : groups) {
    for (const Rollout& rollout : group.rollouts) {
      sum += rollout.grade.reward;
      count += 1;
    }
  }
  return sum / count;
}

// Sampler and trainer give each token the same log-probability, bit for bit: on every step, for
// LoRA and full fine-tuning, with any number of threads.
TEST(OnPolicy, TheSamplersLogprobsAreTheTrainers) {
  const int before = NumThreads();
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    for (const DType dtype : {DType::kF32, DefaultComputeDtype()}) {
      for (const int rank : {1, 0}) {
        SetNumThreads(2);
        const Toy toy(family, dtype, rank);
        for (uint64_t step = 0; step < 3; ++step) {
          SetNumThreads(step % 2 == 0 ? 2 : 1);
          const std::vector<Group> groups = toy.Sample(step, 3, 6);
          // At 1e-2 full fine-tuning solves the task in two steps on some CPUs: no signal remains.
          const double rate = rank > 0 ? 1e-2 : 1e-3;
          const UpdateReport report = toy.Learn(groups, "importance_sampling", rate);
          ASSERT_EQ(report.updates, 1);
          EXPECT_EQ(report.first.logp_difference, 0)
              << family << " " << DTypeName(dtype) << " rank " << rank << " step " << step;
          EXPECT_EQ(report.first.kl, 0);
          EXPECT_EQ(report.first.ratio_min, 1);
          EXPECT_EQ(report.first.ratio_max, 1);
        }
      }
    }
  }
  SetNumThreads(before);
}

// Also for any number of sequences in flight, and for temperatures other than 1.
TEST(OnPolicy, BatchSizesAndTemperaturesDoNotMatter) {
  for (const DType dtype : {DType::kF32, DefaultComputeDtype()}) {
    for (const int rank : {1, 0}) {
      for (const int64_t slots : {1, 7, 64}) {
        const double temperature = slots == 7 ? 0.6 : 1.0;
        const Toy toy("llama", dtype, rank, slots);
        UpdateConfig config = {.objective = GetObjective("ppo"), .optim = {.learning_rate = 1e-3}};
        config.objective.loss.temperature = temperature;
        for (uint64_t step = 0; step < 2; ++step) {
          const int64_t size = slots == 64 ? 32 : 6;
          const UpdateReport report = toy.Learn(toy.Sample(step, 2, size, temperature), config);
          ASSERT_EQ(report.updates, 1);
          EXPECT_EQ(report.first.logp_difference, 0)
              << DTypeName(dtype) << ", rank " << rank << ", " << slots << " slots, temperature "
              << temperature;
        }
      }
    }
  }
}

TEST(OnPolicy, AnotherTemperatureIsAnotherPolicy) {
  const Toy toy("llama", DType::kF32, 1);
  const UpdateReport report = toy.Learn(toy.Sample(0, 2, 6, 0.6), "ppo", 1e-2);
  EXPECT_GT(report.first.logp_difference, 1e-3);
}

TEST(PolicyUpdate, PassesAndMiniBatchesLagBehindTheSampler) {
  const Toy toy("llama", DType::kF32, 4);
  const std::vector<Group> groups = toy.Sample(0, 4, 6);
  UpdateConfig config = {.objective = GetObjective("ppo"),
                         .optim = {.learning_rate = 1e-2},
                         .passes = 2,
                         .minibatches = 2};
  const UpdateReport report = toy.Learn(groups, config);
  EXPECT_EQ(report.updates, 4);
  EXPECT_EQ(toy.run->optim_steps(), 4);
  EXPECT_EQ(report.first.logp_difference, 0);
  EXPECT_GT(report.last.kl, 0);
  EXPECT_GT(report.last.ratio_max, 1);
  EXPECT_LT(report.last.ratio_min, 1);
  EXPECT_FALSE(report.stopped);
}

TEST(PolicyUpdate, TargetKlEndsABatchBeforeTheUpdate) {
  const Toy toy("llama", DType::kF32, 4);
  const std::vector<Group> groups = toy.Sample(0, 4, 6);
  UpdateConfig config = {.objective = GetObjective("ppo"),
                         .optim = {.learning_rate = 3e-2},
                         .passes = 50,
                         .target_kl = 0.01};
  const UpdateReport report = toy.Learn(groups, config);
  EXPECT_TRUE(report.stopped);
  EXPECT_LT(report.updates, 50);
  EXPECT_LE(report.last.kl, 0.01);
  EXPECT_EQ(toy.run->optim_steps(), report.updates);
  // The gradient of the update that was not made has been cleared.
  EXPECT_EQ(toy.run->ParamsWithoutGradient().size(), toy.run->params().size());
}

TEST(PolicyUpdate, WithoutSignalNothingMoves) {
  const Toy toy("llama", DType::kF32, 4);
  std::vector<Group> groups = toy.Sample(0, 2, 6);
  for (Group& group : groups) {
    for (Rollout& rollout : group.rollouts) rollout.grade = Grade::Correct();
  }
  const UpdateReport report = toy.Learn(groups, "grpo", 1e-2);
  EXPECT_EQ(report.updates, 0);
  EXPECT_EQ(toy.run->optim_steps(), 0);
}

std::vector<float> WeightsOf(const Toy& toy) {
  std::vector<float> all;
  for (const Param& param : toy.run->params()) {
    all.insert(all.end(), param.value.as<float>(), param.value.as<float>() + param.value.size());
  }
  return all;
}

// A pass of GSPO in two forwards: the first one's ratios become constant coefficients of the
// tokens.
void LearnInTwoForwards(const Toy& toy, std::span<const Group> groups, double rate) {
  const Objective gspo = GetObjective("gspo");
  PolicyBatch batch = MakePolicyBatch(groups, gspo);
  std::vector<const Example*> examples;
  for (const Example& example : batch.examples) examples.push_back(&example);
  const auto logprobs = toy.run->Forward(examples).logprobs;
  for (size_t i = 0; i < examples.size(); ++i) {
    Example& example = batch.examples[i];
    std::vector<double> log_ratios;
    for (size_t t = 0; t < example.tokens.size(); ++t) {
      if (example.weights[t] == 0) continue;
      log_ratios.push_back(static_cast<double>(logprobs[i][t]) - example.logprobs[t]);
    }
    const double ratio = SequenceRatio(log_ratios), advantage = batch.rollout_advantages[i];
    const bool flat =
        advantage > 0 ? ratio > 1 + gspo.loss.clip_high : ratio < 1 - gspo.loss.clip_low;
    const double slope = flat ? 0 : ratio * advantage / static_cast<double>(log_ratios.size());
    example.advantages.assign(example.tokens.size(), slope);
  }
  toy.run->ForwardBackward(examples, {.fn = LossFn::kPolicyGradient});
  toy.run->OptimStep({.learning_rate = rate, .grad_divisor = batch.divisor});
}

// A sequence loss needs no separate forward: the weights are the same, bit for bit, on-policy and
// off-policy.
TEST(PolicyUpdate, SequenceRatiosComeFromTheForwardOfTheStep) {
  for (const int rank : {4, 0}) {
    const double rate = rank == 0 ? 1e-4 : 1e-3;
    const Toy toy("llama", DType::kF32, rank), other("llama", DType::kF32, rank);
    const std::vector<Group> groups = toy.Sample(0, 3, 6);
    const UpdateReport report = toy.Learn(
        groups, {.objective = GetObjective("gspo"), .optim = {.learning_rate = rate}, .passes = 3});
    EXPECT_EQ(report.updates, 3);
    EXPECT_EQ(report.first.ratio_min, 1);
    EXPECT_EQ(report.first.ratio_max, 1);
    EXPECT_EQ(report.first.clipped, 0);
    EXPECT_GT(report.last.ratio_max, 1);
    for (int pass = 0; pass < 3; ++pass) LearnInTwoForwards(other, groups, rate);
    EXPECT_EQ(WeightsOf(toy), WeightsOf(other));
  }
}

// Without the guard, a loss that is not finite would skip the backward but not the optimizer step.
TEST(PolicyUpdate, ALossThatIsNotFiniteIsRefusedWithTheLastGoodState) {
  const Toy toy("llama", DType::kF32, 0);
  const std::vector<Group> groups = toy.Sample(0, 2, 6);
  toy.run->params()[3].value.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  GuardedRun guarded(*toy.run);
  guarded.SetGoodCheckpoint("out/checkpoint-7");
  guarded.BeginStep(9, /*check_gradients=*/true);
  try {
    UpdatePolicy(guarded, groups, {.objective = GetObjective("ppo")});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kDiverged);
    const std::string text = e.what();
    EXPECT_EQ(text.rfind("step 9: the loss is not finite (", 0), 0) << text;
    EXPECT_NE(text.find("model.layers.0"), std::string::npos) << text;
    EXPECT_NE(text.find("the last good state is out/checkpoint-7"), std::string::npos) << text;
  }
  EXPECT_EQ(toy.run->optim_steps(), 0);
}

// The KL to the base is 0 at first and grows; a penalty keeps it small.
TEST(PolicyUpdate, AKlPenaltyHoldsOnToTheBase) {
  std::vector<double> last;
  for (const double coefficient : {0.0, 1.0}) {
    const Toy toy("llama", DType::kF32, 4);
    UpdateConfig config = {.objective = GetObjective("importance_sampling"),
                           .optim = {.learning_rate = 1e-2},
                           .measure_base_kl = true};
    config.objective.loss.kl_coef = coefficient;
    for (uint64_t step = 0; step < 8; ++step) {
      const UpdateReport report = toy.Learn(toy.Sample(step, 3, 8), config);
      ASSERT_TRUE(report.base_kl.has_value());
      if (step == 0) {
        EXPECT_EQ(*report.base_kl, 0);
      }
      if (step == 7) last.push_back(*report.base_kl);
    }
  }
  EXPECT_GT(last[0], 0.01);
  EXPECT_LT(last[1], last[0] / 2);
}

TEST(PolicyUpdate, FullFineTuningMeasuresAgainstASecondCopy) {
  const Toy toy("llama", DType::kF32, 0);
  UpdateConfig config = {.objective = GetObjective("importance_sampling"),
                         .optim = {.learning_rate = 1e-3},
                         .measure_base_kl = true};
  EXPECT_FALSE(toy.Learn(toy.Sample(0, 3, 6), config).base_kl.has_value());
  const std::unique_ptr<Model> base = Model::Load(GoldenDir("llama"), DType::kF32);
  toy.run->SetReference(base.get());
  const std::optional<double> moved = toy.Learn(toy.Sample(1, 3, 6), config).base_kl;
  ASSERT_TRUE(moved.has_value());
  EXPECT_GT(*moved, 0);
}

// Rank 1 and full fine-tuning learn the toy task from rewards alone. The mean over 64 completions
// has a standard error of 0.025, so an increase of 0.1 is significant.
TEST(SlowOnPolicy, EveryObjectiveRaisesTheReward) {
  for (const Objective& objective : Objectives()) {
    for (const int rank : {1, 0}) {
      const Toy toy("llama", DType::kF32, rank);
      const double first = MeanReward(toy.Sample(1000, 4, 16));
      for (uint64_t step = 0; step < 60; ++step) {
        toy.Learn(toy.Sample(step, 4, 16), objective.name, rank == 0 ? 1e-3 : 1e-2);
      }
      const double last = MeanReward(toy.Sample(1000, 4, 16));
      EXPECT_GT(last, first + 0.1) << objective.name << " rank " << rank;
    }
  }
}

}  // namespace
}  // namespace lorikeet
