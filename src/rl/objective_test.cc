#include "rl/objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "model/weights.h"
#include "sample/generator.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

std::string GoldenDir(const std::string& family) {
  return std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/" + family;
}

Rollout Said(std::vector<int32_t> tokens, Grade grade) {
  Rollout rollout;
  rollout.generation.logprobs.assign(tokens.size(), -0.5F);
  rollout.generation.tokens = std::move(tokens);
  rollout.grade = std::move(grade);
  return rollout;
}

// Two groups: one of a right, a wrong and an invalid completion, one without a difference.
std::vector<Group> TwoGroups() {
  std::vector<Group> groups(2);
  groups[0].prompt = {7, 8, 9};
  groups[0].rollouts.push_back(Said({1, 2}, Grade::Correct()));
  groups[0].rollouts.push_back(Said({3, 4, 5, 6}, Grade::Wrong("no")));
  groups[0].rollouts.push_back(Said({1}, Grade::Invalid("late")));
  groups[1].prompt = {7, 7};
  groups[1].rollouts.push_back(Said({1, 1, 1}, Grade::Wrong("no")));
  groups[1].rollouts.push_back(Said({2}, Grade::Wrong("no")));
  return groups;
}

TEST(Objective, ExamplesPredictTheCompletionAndNothingElse) {
  const std::vector<Group> groups = TwoGroups();
  const PolicyBatch batch = MakePolicyBatch(groups, GetObjective("importance_sampling"));
  ASSERT_EQ(batch.examples.size(), 2U);  // without the invalid one and the group without signal
  const Example& first = batch.examples[0];
  EXPECT_EQ(first.tokens, (std::vector<int32_t>{7, 8, 9, 1}));
  EXPECT_EQ(first.target_tokens, (std::vector<int32_t>{8, 9, 1, 2}));
  EXPECT_EQ(first.weights, (std::vector<float>{0, 0, 1, 1}));
  EXPECT_EQ(first.logprobs, (std::vector<float>{0, 0, -0.5F, -0.5F}));
  EXPECT_EQ(first.advantages[2], 0.5F);
  EXPECT_EQ(batch.examples[1].advantages[2], -0.5F);
  EXPECT_EQ(batch.rollouts[1], &groups[0].rollouts[1]);
  EXPECT_EQ(batch.divisor, 4);  // completions that count, with or without signal
}

TEST(Objective, NormalisationsDivideAsTheTableSays) {
  const std::vector<Group> groups = TwoGroups();
  const PolicyBatch lengths = MakePolicyBatch(groups, GetObjective("grpo"));
  EXPECT_EQ(lengths.divisor, 4);
  EXPECT_EQ(lengths.examples[0].weights.back(), 0.5F);
  EXPECT_EQ(lengths.examples[1].weights.back(), 0.25F);
  const PolicyBatch tokens = MakePolicyBatch(groups, GetObjective("dapo"));
  EXPECT_EQ(tokens.divisor, 2 + 4 + 3 + 1);
  EXPECT_EQ(tokens.examples[1].weights.back(), 1);
}

TEST(Objective, NoSignalNoBatch) {
  const std::vector<Group> groups = TwoGroups();
  const PolicyBatch batch = MakePolicyBatch(std::span(groups).subspan(1), GetObjective("ppo"));
  EXPECT_TRUE(batch.examples.empty());
  EXPECT_EQ(batch.divisor, 0);
}

TEST(Objective, AnUnknownNameNamesTheNearest) {
  try {
    GetObjective("dr-grpo2");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("dr_grpo"), std::string::npos);
  }
}

// A toy task: the share of even tokens in a completion.
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

  Toy(const std::string& family, DType dtype, int rank)
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
        *model, run->adapter(),
        GeneratorLimits{.slots = 16, .capacity = 48, .tokens_per_step = 64});
  }

  // Groups of completions of random prompts, of mixed lengths.
  std::vector<Group> Sample(uint64_t step, int64_t count, int64_t size) const {
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
        request.params = {.max_tokens = 4 + 3 * (i % 3), .temperature = 1, .seed = step};
        request.key = static_cast<uint64_t>(g * size + i);
        requests.push_back(std::move(request));
      }
    }
    std::vector<Generation> said = generator->Run(std::move(requests));
    for (size_t i = 0; i < said.size(); ++i) {
      groups[i / static_cast<size_t>(size)].rollouts.push_back({std::move(said[i]), "", {}});
    }
    RewardEvenTokens(groups);
    return groups;
  }

  // One step; the largest difference between the sampler and the trainer.
  double Learn(std::span<const Group> groups, const Objective& objective, double rate) const {
    const PolicyBatch batch = MakePolicyBatch(groups, objective);
    std::vector<const Example*> examples;
    for (const Example& example : batch.examples) examples.push_back(&example);
    const ForwardBackwardOutput output = run->ForwardBackward(examples, objective.loss);
    run->OptimStep({.learning_rate = rate, .grad_divisor = batch.divisor});
    generator->ForgetPrefixes();
    return LargestLogprobDifference(batch, output.logprobs);
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

// What the sampler said of a token is, bit for bit, what the trainer says of it: on every step, for
// adapters and all weights, whatever the number of threads.
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
          EXPECT_EQ(toy.Learn(groups, GetObjective("importance_sampling"), 1e-2), 0)
              << family << " " << DTypeName(dtype) << " rank " << rank << " step " << step;
        }
      }
    }
  }
  SetNumThreads(before);
}

TEST(OnPolicy, AStaleBatchIsNoticed) {
  const Toy toy("llama", DType::kF32, 4);
  const std::vector<Group> groups = toy.Sample(0, 2, 6);
  toy.Learn(groups, GetObjective("ppo"), 1e-2);
  EXPECT_GT(toy.Learn(groups, GetObjective("ppo"), 1e-2), 0);
}

// Rank 1 and all weights learn the toy task from its rewards alone. The mean of a sample's 64
// completions is known to 0.025 (one standard error), so that 0.1 is no chance.
TEST(SlowOnPolicy, EveryObjectiveRaisesTheReward) {
  for (const Objective& objective : Objectives()) {
    for (const int rank : {1, 0}) {
      const Toy toy("llama", DType::kF32, rank);
      const double first = MeanReward(toy.Sample(1000, 4, 16));
      for (uint64_t step = 0; step < 60; ++step) {
        toy.Learn(toy.Sample(step, 4, 16), objective, rank == 0 ? 1e-3 : 1e-2);
      }
      const double last = MeanReward(toy.Sample(1000, 4, 16));
      EXPECT_GT(last, first + 0.1) << objective.name << " rank " << rank;
    }
  }
}

}  // namespace
}  // namespace lorikeet
