#include "rl/objective.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <complex>

#include "core/error.h"
#include "core/random.h"
#include "data/packer.h"

namespace lorikeet {
namespace {

Rollout Completion(std::vector<int32_t> tokens, Grade grade) {
  Rollout rollout;
  rollout.generation.logprobs.assign(tokens.size(), -0.25F);
  rollout.generation.sampled_logprobs.assign(tokens.size(), -0.5F);
  rollout.generation.tokens = std::move(tokens);
  rollout.grade = std::move(grade);
  return rollout;
}

// Two groups: a correct, a wrong and an invalid completion; two wrong completions.
std::vector<Group> TwoGroups() {
  std::vector<Group> groups(2);
  groups[0].prompt = {7, 8, 9};
  groups[0].rollouts.push_back(Completion({1, 2}, Grade::Correct()));
  groups[0].rollouts.push_back(Completion({3, 4, 5, 6}, Grade::Wrong("no")));
  groups[0].rollouts.push_back(Completion({1}, Grade::Invalid("late")));
  groups[1].prompt = {7, 7};
  groups[1].rollouts.push_back(Completion({1, 1, 1}, Grade::Wrong("no")));
  groups[1].rollouts.push_back(Completion({2}, Grade::Wrong("no")));
  return groups;
}

TEST(Objective, ExamplesPredictTheCompletionAndNothingElse) {
  const std::vector<Group> groups = TwoGroups();
  const PolicyBatch batch = MakePolicyBatch(groups, GetObjective("importance_sampling"));
  ASSERT_EQ(batch.examples.size(), 2U);  // not the invalid one, nor the group without signal
  const Example& first = batch.examples[0];
  EXPECT_EQ(first.tokens, (std::vector<int32_t>{7, 8, 9, 1}));
  EXPECT_EQ(first.target_tokens, (std::vector<int32_t>{8, 9, 1, 2}));
  EXPECT_EQ(first.weights, (std::vector<float>{0, 0, 1, 1}));
  // Log-probabilities of the distribution that was sampled from.
  EXPECT_EQ(first.logprobs, (std::vector<float>{0, 0, -0.5F, -0.5F}));
  EXPECT_EQ(first.advantages[2], 0.5F);
  EXPECT_EQ(first.prefix_group, 0);
  EXPECT_EQ(first.shared_prefix, 2);  // the row of 9 predicts the first token of a completion
  EXPECT_EQ(batch.examples[1].advantages[2], -0.5F);
  EXPECT_EQ(batch.examples[1].prefix_group, 0);
  EXPECT_EQ(batch.rollouts[1], &groups[0].rollouts[1]);
  EXPECT_EQ(batch.divisor, 4);  // valid completions, with or without signal
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

TEST(Objective, AKlPenaltyKeepsGroupsWithoutSignal) {
  Objective objective = GetObjective("ppo");
  objective.loss.kl_coef = 0.1;
  const PolicyBatch batch = MakePolicyBatch(TwoGroups(), objective);
  EXPECT_EQ(batch.examples.size(), 4U);  // all but the invalid one
  EXPECT_EQ(batch.divisor, 4);
}

TEST(RatioStats, AreZeroAndOneOnPolicyAndFollowTheFormulaOffIt) {
  const std::vector<Group> groups = TwoGroups();
  const Objective& ppo = GetObjective("ppo");
  const PolicyBatch batch = MakePolicyBatch(groups, ppo);
  const std::vector<std::vector<float>> same = {{0, 0, -0.5F, -0.5F},
                                                {0, 0, -0.5F, -0.5F, -0.5F, -0.5F}};
  const RatioStats none = RatioStatsOf(batch, same, ppo);
  EXPECT_EQ(none.logp_difference, 0);
  EXPECT_EQ(none.kl, 0);
  EXPECT_EQ(none.ratio_min, 1);
  EXPECT_EQ(none.ratio_mean, 1);
  EXPECT_EQ(none.ratio_max, 1);
  EXPECT_EQ(none.clipped, 0);
  // log r: 0.5 and 0.1 in the correct completion; -1, -0.1, 0 and 0 in the wrong one.
  const std::vector<std::vector<float>> moved = {{0, 0, 0.0F, -0.4F},
                                                 {0, 0, -1.5F, -0.6F, -0.5F, -0.5F}};
  const RatioStats stats = RatioStatsOf(batch, moved, ppo);
  EXPECT_NEAR(stats.logp_difference, 1, 1e-6);
  double kl = 0, ratios = 0;
  for (const double d : {0.5, 0.1, -1.0, -0.1, 0.0, 0.0}) {
    kl += std::exp(d) - 1 - d;
    ratios += std::exp(d);
  }
  EXPECT_NEAR(stats.kl, kl / 6, 1e-6);
  EXPECT_NEAR(stats.ratio_mean, ratios / 6, 1e-6);
  EXPECT_NEAR(stats.ratio_min, std::exp(-1), 1e-6);
  EXPECT_NEAR(stats.ratio_max, std::exp(0.5), 1e-6);
  EXPECT_NEAR(stats.clipped, 2.0 / 6, 1e-9);  // exp(0.5) and exp(-1)
}

using Complex = std::complex<double>;

// GSPO's objective by its formula, with one log-probability moved by `step`.
Complex SequenceObjective(const PolicyBatch& batch, const std::vector<std::vector<float>>& logprobs,
                          const Objective& objective, size_t moved, size_t token, Complex step) {
  Complex loss = 0;
  for (size_t i = 0; i < batch.examples.size(); ++i) {
    const Example& example = batch.examples[i];
    Complex sum = 0;
    double n = 0;
    for (size_t t = 0; t < example.tokens.size(); ++t) {
      if (example.weights[t] == 0) continue;
      Complex logp = static_cast<double>(logprobs[i][t]);
      if (i == moved && t == token) logp += step;
      sum += logp - static_cast<double>(example.logprobs[t]);
      n += 1;
    }
    const Complex ratio = std::exp(sum / n);
    const double low = 1 - objective.loss.clip_low, high = 1 + objective.loss.clip_high;
    const Complex clipped = ratio.real() < low ? low : ratio.real() > high ? high : ratio;
    const double a = batch.rollout_advantages[i];
    loss -= (ratio * a).real() <= (clipped * a).real() ? ratio * a : clipped * a;
  }
  return loss;
}

// The loss for these log-probabilities of the policy, and its derivatives by example and token.
struct LossOfExamples {
  double value = 0;
  std::vector<std::vector<float>> slopes;

  LossOfExamples(const PolicyBatch& batch, const Objective& objective,
                 const std::vector<std::vector<float>>& logprobs)
      : slopes(logprobs.size()) {
    std::vector<const Example*> examples;
    for (const Example& example : batch.examples) examples.push_back(&example);
    const PackedBatch packed = Pack(examples, 1024).at(0);
    const Loss loss = MakeLoss(objective.loss, packed);
    std::vector<float> rows(packed.weights.size()), of_rows(packed.weights.size());
    for (int64_t s = 0; s < packed.batch.num_sequences(); ++s) {
      const int example = packed.example_of_sequence[static_cast<size_t>(s)];
      if (example < 0) continue;
      const std::vector<float>& own = logprobs[static_cast<size_t>(example)];
      const auto n = packed.batch.cu_seqlens[s + 1] - packed.batch.cu_seqlens[s];
      std::copy(own.end() - n, own.end(), rows.begin() + packed.batch.cu_seqlens[s]);
    }
    if (const auto* function = std::get_if<LossFunction>(&loss)) {
      const BatchLoss whole = (*function)(rows);
      value = whole.loss;
      of_rows = whole.dlogprob;
    } else {
      for (size_t row = 0; row < rows.size(); ++row) {
        if (packed.weights[row] == 0) continue;
        const TokenGrad grad = std::get<TokenLoss>(loss)(static_cast<int64_t>(row), rows[row]);
        value += grad.loss;
        of_rows[row] = grad.dlogprob;
      }
    }
    packed.Scatter(of_rows, slopes);
  }
};

TEST(Gspo, ValueAndGradientAreTheComplexStep) {
  const std::vector<Group> groups = TwoGroups();
  Objective objective = GetObjective("gspo");
  objective.loss.clip_low = objective.loss.clip_high = 0.2;
  const std::vector<std::vector<std::vector<float>>> policies = {
      {{0, 0, -0.45F, -0.5F}, {0, 0, -0.5F, -0.6F, -0.4F, -0.45F}},  // both within the bounds
      {{0, 0, -0.1F, -0.2F}, {0, 0, -0.1F, -0.2F, -0.4F, -0.1F}},    // the first beyond its bound
      {{0, 0, -1.5F, -0.9F}, {0, 0, -2.5F, -0.9F, -0.4F, -0.1F}},    // the second beyond its bound
  };
  for (const auto& logprobs : policies) {
    const PolicyBatch batch = MakePolicyBatch(groups, objective);
    const LossOfExamples loss(batch, objective, logprobs);
    const double value = SequenceObjective(batch, logprobs, objective, 9, 0, 0).real();
    EXPECT_NEAR(loss.value, value, 1e-9);
    for (size_t i = 0; i < batch.examples.size(); ++i) {
      for (size_t t = 0; t < batch.examples[i].tokens.size(); ++t) {
        if (batch.examples[i].weights[t] == 0) continue;
        const double slope =
            SequenceObjective(batch, logprobs, objective, i, t, Complex(0, 1e-30)).imag() / 1e-30;
        EXPECT_NEAR(loss.slopes[i][t], slope, 1e-6 * (1 + std::abs(slope)));
      }
    }
  }
}

// A bandit of three arms: a softmax policy over one token, with known rewards.
constexpr int kArms = 3;
constexpr std::array<double, kArms> kRewards = {1.0, 0.2, 0.0};
constexpr std::array<float, kArms> kLogits = {-0.7F, 0.4F, 0.1F};

std::array<double, kArms> ArmProbabilities() {
  std::array<double, kArms> p{};
  double sum = 0;
  for (int a = 0; a < kArms; ++a) sum += p[a] = std::exp(static_cast<double>(kLogits[a]));
  for (double& each : p) each /= sum;
  return p;
}

// The gradient of the expected reward with respect to the logits: p_a (R_a - sum_b p_b R_b).
std::array<double, kArms> TrueGradient() {
  const auto p = ArmProbabilities();
  double mean = 0;
  for (int a = 0; a < kArms; ++a) mean += p[a] * kRewards[a];
  std::array<double, kArms> gradient{};
  for (int a = 0; a < kArms; ++a) gradient[a] = p[a] * (kRewards[a] - mean);
  return gradient;
}

Group PlayedGroup(const std::vector<int>& arms) {
  const auto p = ArmProbabilities();
  Group group;
  group.prompt = {0, 0};
  for (const int arm : arms) {
    Rollout rollout = Completion({arm}, {Verdict::kWrong, kRewards[static_cast<size_t>(arm)], ""});
    rollout.generation.sampled_logprobs = {
        static_cast<float>(std::log(p[static_cast<size_t>(arm)]))};
    group.rollouts.push_back(std::move(rollout));
  }
  return group;
}

// The gradient-descent step on the loss of one group, in the logits.
std::array<double, kArms> Step(const std::vector<int>& arms, const Objective& objective) {
  const auto p = ArmProbabilities();
  const std::vector<Group> groups = {PlayedGroup(arms)};
  const PolicyBatch batch = MakePolicyBatch(groups, objective);
  std::array<double, kArms> step{};
  if (batch.divisor == 0) return step;
  std::vector<std::vector<float>> logprobs;
  for (const Example& example : batch.examples) logprobs.push_back(example.logprobs);
  const LossOfExamples loss(batch, objective, logprobs);
  for (size_t i = 0; i < logprobs.size(); ++i) {
    const double slope = loss.slopes[i].back() / batch.divisor;
    for (int a = 0; a < kArms; ++a) {
      step[a] -= slope * ((a == batch.examples[i].target_tokens[1] ? 1 : 0) - p[a]);
    }
  }
  return step;
}

// The exact expectation over all outcomes of a group of four.
std::array<double, kArms> ExpectedStep(const Objective& objective) {
  constexpr int kGroup = 4;
  const auto p = ArmProbabilities();
  std::array<double, kArms> expected{};
  for (int outcome = 0; outcome < 81; ++outcome) {
    std::vector<int> arms;
    double probability = 1;
    for (int i = 0, rest = outcome; i < kGroup; ++i, rest /= kArms) {
      arms.push_back(rest % kArms);
      probability *= p[static_cast<size_t>(rest % kArms)];
    }
    const auto step = Step(arms, objective);
    for (int a = 0; a < kArms; ++a) expected[a] += probability * step[a];
  }
  return expected;
}

TEST(Bandit, TheExpectedUpdateIsTheGradientOfTheExpectedReward) {
  const auto truth = TrueGradient();
  // A mean that includes the sample itself scales the expectation by (G - 1) / G.
  for (const auto& [name, scale] : std::vector<std::pair<const char*, double>>{
           {"importance_sampling", 0.75}, {"ppo", 0.75}, {"dr_grpo", 0.75}, {"rloo", 1.0}}) {
    const auto expected = ExpectedStep(GetObjective(name));
    for (int a = 0; a < kArms; ++a) {
      EXPECT_NEAR(expected[a], scale * truth[a], 1e-6) << name << " arm " << a;
    }
  }
}

// Every objective raises the expected reward. Division by the deviation biases the direction
// towards prompts and arms whose rewards hardly differ, so it is off by default.
TEST(Bandit, EveryObjectiveClimbsAndDeviationsBendTheDirection) {
  const auto truth = TrueGradient();
  for (const Objective& objective : Objectives()) {
    const auto expected = ExpectedStep(objective);
    double along = 0, squares = 0, true_squares = 0;
    for (int a = 0; a < kArms; ++a) {
      along += expected[a] * truth[a];
      squares += expected[a] * expected[a];
      true_squares += truth[a] * truth[a];
    }
    const double cosine = along / std::sqrt(squares * true_squares);
    EXPECT_GT(cosine, 0) << objective.name;
    if (objective.advantages == AdvantageKind::kStandardised) {
      EXPECT_LT(cosine, 0.95) << objective.name;
    } else {
      EXPECT_NEAR(cosine, 1, 1e-6) << objective.name;
    }
  }
}

// The same with random samples: the mean over many groups is within 4 standard errors of the closed
// form.
TEST(Bandit, SampledUpdatesAgreeWithTheClosedForm) {
  constexpr int kGroups = 20000, kGroup = 4;
  const RandomStream random(5, "bandit");
  const Objective& objective = GetObjective("rloo");
  std::array<double, kArms> sum{}, squares{};
  for (int g = 0; g < kGroups; ++g) {
    std::vector<int> arms;
    for (int i = 0; i < kGroup; ++i) {
      const double u = random.Uniform(static_cast<uint64_t>(g * kGroup + i));
      arms.push_back(PickToken(kLogits, {.temperature = 1}, u).token);
    }
    const auto step = Step(arms, objective);
    for (int a = 0; a < kArms; ++a) {
      sum[a] += step[a];
      squares[a] += step[a] * step[a];
    }
  }
  const auto truth = TrueGradient();
  for (int a = 0; a < kArms; ++a) {
    const double mean = sum[a] / kGroups;
    const double error = std::sqrt((squares[a] / kGroups - mean * mean) / kGroups);
    EXPECT_NEAR(mean, truth[a], 4 * error) << "arm " << a;
    EXPECT_LT(4 * error, 0.1 * std::abs(truth[0]));  // so that the check means something
  }
}

}  // namespace
}  // namespace lorikeet
