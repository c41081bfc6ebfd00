#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/cross_entropy.h"

namespace lorikeet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Roughly normal logits with spread `scale`.
std::vector<float> RandomLogits(int64_t V, uint64_t seed, double scale) {
  const RandomStream random(seed, "logits");
  std::vector<float> logits(static_cast<size_t>(V));
  for (size_t i = 0; i < logits.size(); ++i) {
    double sum = -6;
    for (uint64_t j = 0; j < 12; ++j) sum += random.Uniform(i * 12 + j);
    logits[i] = static_cast<float>(scale * sum);
  }
  return logits;
}

// The sampled distribution, the plain way: sort everything, cut, renormalise. All in double.
std::map<int32_t, double> Reference(const std::vector<float>& logits, const SamplingParams& p) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  if (p.top_k > 0 && p.top_k < static_cast<int64_t>(order.size())) order.resize(p.top_k);
  const auto weight = [&](int32_t i) {
    return std::exp((static_cast<double>(logits[i]) - logits[order[0]]) / p.temperature);
  };
  double total = 0;
  for (const int32_t i : order) total += weight(i);
  if (p.top_p < 1) {
    double sum = 0;
    size_t n = 0;
    while (n < order.size() && sum < p.top_p * total) sum += weight(order[n++]);
    order.resize(n);
  }
  std::map<int32_t, double> kept;
  total = 0;
  for (const int32_t i : order) {
    if (weight(i) >= p.min_p) total += kept[i] = weight(i);
  }
  for (auto& [token, probability] : kept) probability /= total;
  return kept;
}

struct Case {
  const char* name;
  SamplingParams params;
};

class DistributionTest : public ::testing::TestWithParam<Case> {};

// Draws 20,000 tokens and compares counts with the reference by chi-square. The seed is fixed, so
// the outcome is; the bound is the statistic's mean plus six standard deviations.
TEST_P(DistributionTest, CountsFollowTheReference) {
  const std::vector<float> logits = RandomLogits(300, 7, 2.0);
  const std::map<int32_t, double> expected = Reference(logits, GetParam().params);
  const RandomStream random(11, "draws");
  constexpr int kDraws = 20000;
  std::map<int32_t, int> counts;
  for (int i = 0; i < kDraws; ++i) {
    const SampledToken picked = PickToken(logits, GetParam().params, random.Uniform(i));
    ASSERT_TRUE(expected.contains(picked.token)) << "outside the filters: " << picked.token;
    EXPECT_NEAR(picked.sampled_logprob, std::log(expected.at(picked.token)), 1e-4);
    ++counts[picked.token];
  }
  double chi2 = 0, rest = 0;
  int bins = 0, rest_count = 0;
  for (const auto& [token, probability] : expected) {
    const double mean = probability * kDraws;
    if (mean < 5) {  // too few for the statistic: pooled
      rest += mean;
      rest_count += counts[token];
      continue;
    }
    chi2 += (counts[token] - mean) * (counts[token] - mean) / mean;
    ++bins;
  }
  if (rest >= 5) {
    chi2 += (rest_count - rest) * (rest_count - rest) / rest;
    ++bins;
  }
  const double freedom = std::max(1, bins - 1);
  EXPECT_LT(chi2, freedom + 6 * std::sqrt(2 * freedom)) << bins << " bins";
}

INSTANTIATE_TEST_SUITE_P(
    Sampler, DistributionTest,
    ::testing::Values(Case{"plain", {}}, Case{"cold", {.temperature = 0.5}},
                      Case{"hot", {.temperature = 3}}, Case{"top_k", {.top_k = 20}},
                      Case{"top_k_1", {.top_k = 1}}, Case{"top_k_all", {.top_k = 1000}},
                      Case{"top_p", {.top_p = 0.8}}, Case{"top_p_tiny", {.top_p = 1e-9}},
                      Case{"top_p_hot", {.temperature = 5, .top_p = 0.95}},
                      Case{"min_p", {.min_p = 0.1}},
                      Case{"all", {.temperature = 1.5, .top_k = 50, .top_p = 0.9, .min_p = 0.05}}),
    [](const auto& param) { return std::string(param.param.name); });

// The filters' sets and probabilities at the size of a real vocabulary, where every short cut runs.
TEST(SamplerTest, LargeVocabularyFollowsTheReference) {
  const std::vector<float> logits = RandomLogits(151936, 3, 1.5);
  const SamplingParams cases[] = {{},
                                  {.top_k = 40},
                                  {.top_k = 100000},
                                  {.top_p = 0.3},
                                  {.top_p = 0.999},
                                  {.min_p = 0.01},
                                  {.temperature = 0.7, .top_k = 500, .top_p = 0.9, .min_p = 1e-3}};
  const RandomStream random(5, "draws");
  for (const SamplingParams& params : cases) {
    const std::map<int32_t, double> expected = Reference(logits, params);
    for (uint64_t i = 0; i < 5; ++i) {
      const SampledToken picked = PickToken(logits, params, random.Uniform(i));
      ASSERT_TRUE(expected.contains(picked.token)) << picked.token;
      EXPECT_NEAR(picked.sampled_logprob, std::log(expected.at(picked.token)), 1e-4);
    }
  }
}

TEST(SamplerTest, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(PickToken(std::vector<float>{1, 3, 2, 3}, {.temperature = 0}, 0.99).token, 1);
  EXPECT_EQ(PickToken(std::vector<float>{1, 3, 2, 3}, {.temperature = 0}, 0.99).sampled_logprob, 0);
}

TEST(SamplerTest, EqualLogitsRankByIndex) {
  const std::vector<float> logits(1000, 0.5F);
  for (const double u : {0.0, 0.5, 0.999999}) {
    const SampledToken picked = PickToken(logits, {.top_k = 3}, u);
    EXPECT_EQ(picked.token, static_cast<int32_t>(u * 3));
    EXPECT_FLOAT_EQ(picked.sampled_logprob, std::log(1.0F / 3));
  }
}

TEST(SamplerTest, TheLargestRandomNumberStaysInside) {
  const double last = 1 - 0x1p-53;
  const std::vector<float> logits = {0, 0, -kInfinity, 0, -kInfinity};
  for (const SamplingParams& params :
       {SamplingParams{}, SamplingParams{.top_p = 0.999}, SamplingParams{.min_p = 1e-6}}) {
    EXPECT_EQ(PickToken(logits, params, last).token, 3);
    EXPECT_EQ(PickToken(logits, params, 0).token, 0);
  }
}

TEST(SamplerTest, NotANumberIsReportedAndHarmless) {
  std::vector<float> logits = RandomLogits(500, 1, 1);
  logits[77] = std::numeric_limits<float>::quiet_NaN();
  const Tensor row(logits.data(), DType::kF32, {1, 500});
  for (const SamplingParams& params :
       {SamplingParams{.temperature = 0}, SamplingParams{}, SamplingParams{.top_k = 5},
        SamplingParams{.top_p = 0.5}, SamplingParams{.min_p = 0.5}}) {
    const RowToSample to_sample{&params, 0.5};
    SampledToken picked;
    SampleRows(row, std::span(&to_sample, 1), std::span(&picked, 1));
    EXPECT_TRUE(std::isnan(picked.logprob));
  }
}

TEST(SamplerTest, RowsWithoutADistributionAreHarmless) {
  for (const float value : {-kInfinity, kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> logits(300, value);
    for (const SamplingParams& params : {SamplingParams{}, SamplingParams{.top_p = 0.5},
                                         SamplingParams{.top_k = 3, .min_p = 0.5}}) {
      EXPECT_EQ(PickToken(logits, params, 0.5).token, 0);
    }
  }
}

TEST(SamplerTest, RowsDoNotDependOnEachOtherOrOnThreads) {
  constexpr int64_t kRows = 9, kVocab = 5000;
  std::vector<float> logits = RandomLogits(kRows * kVocab, 2, 2);
  std::vector<SamplingParams> params(kRows);
  params[1] = {.temperature = 0};
  params[2] = {.top_k = 10};
  params[3] = {.top_p = 0.7};
  params[4] = {.temperature = 0.3, .min_p = 0.2};
  std::vector<RowToSample> rows;
  for (int64_t i = 0; i < kRows; ++i) rows.push_back({&params[i], 0.1 * static_cast<double>(i)});
  const Tensor all(logits.data(), DType::kF32, {kRows, kVocab});
  const int threads = NumThreads();
  for (const int n : {1, 2}) {
    SetNumThreads(n);
    std::vector<SampledToken> together(kRows);
    SampleRows(all, rows, together);
    for (int64_t i = 0; i < kRows; ++i) {
      SampledToken alone;
      SampleRows(all.Rows(i, i + 1), std::span(rows).subspan(i, 1), std::span(&alone, 1));
      EXPECT_EQ(alone.token, together[i].token);
      EXPECT_EQ(alone.logprob, together[i].logprob);
      EXPECT_EQ(alone.sampled_logprob, together[i].sampled_logprob);
    }
    EXPECT_EQ(together[0].sampled_logprob, together[0].logprob);  // one distribution, one number
    EXPECT_LT(together[1].logprob, together[1].sampled_logprob);
  }
  SetNumThreads(threads);
}

TEST(SamplerTest, ImpossibleParametersAreRefusedByName) {
  const auto message = [](const SamplingParams& params) -> std::string {
    try {
      CheckSamplingParams(params, 100);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
      return e.what();
    }
    return "";
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(message({}), "");
  EXPECT_NE(message({.max_tokens = 0}).find("max_tokens"), std::string::npos);
  EXPECT_NE(message({.temperature = -1}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.temperature = 1e-9}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.temperature = nan}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.top_k = -1}).find("top_k"), std::string::npos);
  EXPECT_NE(message({.top_p = 0}).find("top_p"), std::string::npos);
  EXPECT_NE(message({.top_p = nan}).find("top_p"), std::string::npos);
  EXPECT_NE(message({.min_p = 1.5}).find("min_p"), std::string::npos);
  EXPECT_NE(message({.stop_tokens = {100}}).find("stop token 100"), std::string::npos);
}

}  // namespace
}  // namespace lorikeet
