#include "kernels/expert_rows.h"

#include <gmock/gmock.h>

#include <set>

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;

struct Routed {
  TestTensor logits, probs, experts, weights, tokens, rows, begins;
  Routing routing;

  Routed(const TestTensor& from, int64_t k, bool normalise)
      : logits(from),
        probs(DType::kF32, {T(), E()}),
        experts(DType::kF32, {T(), k}),
        weights(DType::kF32, {T() * k}),
        tokens(DType::kF32, {T() * k}),
        rows(DType::kF32, {T(), k}),
        begins(DType::kF32, {E() + 1}) {
    const auto ints = [](const TestTensor& memory) {
      Tensor tensor = memory;
      tensor.dtype = DType::kI32;
      return tensor;
    };
    routing = {probs, ints(experts), weights, ints(tokens), ints(rows), ints(begins)};
    RouteForward(logits, normalise, routing);
  }
  int64_t T() const { return logits.tensor().rows(); }
  int64_t E() const { return logits.tensor().cols(); }
  int64_t k() const { return routing.experts.cols(); }
  std::vector<int32_t> ExpertsOf(int64_t t) const {
    const int32_t* at = routing.experts.as<int32_t>() + t * k();
    return {at, at + k()};
  }
  float WeightOf(int64_t t, int64_t j) const {
    return weights.Get(routing.rows.as<int32_t>()[t * k() + j]);
  }
};

// The weights of one token by its logits, in the order of its experts.
template <class T>
std::vector<T> Weights(const std::vector<T>& logits, const std::vector<int32_t>& experts,
                       bool normalise) {
  const T lse = reference::LogSumExp(logits);
  std::vector<T> weights;
  T sum = 0;
  for (const int32_t e : experts) {
    weights.push_back(std::exp(logits[static_cast<size_t>(e)] - lse));
    sum += weights.back();
  }
  for (T& w : weights) w = normalise ? w / sum : w;
  return weights;
}

TEST(Route, WeightsAreTheLargestProbabilities) {
  ForEachTarget([] {
    for (const int64_t E : {1, 4, 5, 16, 33, 128}) {
      for (const bool normalise : {false, true}) {
        const int64_t k = std::min<int64_t>(E, 3);
        const Routed r(TestTensor::Random(DType::kF32, {7, E}, "logits", 6.0), k, normalise);
        for (int64_t t = 0; t < 7; ++t) {
          const std::vector<double> row = r.logits.RowValues(t);
          const std::vector<int32_t> experts = r.ExpertsOf(t);
          const std::vector<double> expected = Weights(row, experts, normalise);
          for (int64_t j = 0; j < k; ++j) {
            EXPECT_NEAR(r.WeightOf(t, j), expected[static_cast<size_t>(j)], 1e-6);
          }
          std::vector<double> sorted = row;
          std::sort(sorted.rbegin(), sorted.rend());
          for (int64_t j = 0; j < k; ++j) {
            EXPECT_EQ(row[static_cast<size_t>(experts[static_cast<size_t>(j)])],
                      sorted[static_cast<size_t>(j)]);
          }
        }
      }
    }
  });
}

TEST(Route, OfEqualOnesTheLowerIndexAndOfNaNWhateverIsThere) {
  const TestTensor logits(DType::kF32, {3, 5});
  for (int64_t e = 0; e < 5; ++e) {
    logits.Set(e, e == 3 ? 1.0F : 0.5F);
    logits.Set(5 + e, 2.0F);
    logits.Set(10 + e, NAN);
  }
  const Routed r(logits, 3, true);
  EXPECT_THAT(r.ExpertsOf(0), ElementsAre(3, 0, 1));
  EXPECT_THAT(r.ExpertsOf(1), ElementsAre(0, 1, 2));
  const std::vector<int32_t> any = r.ExpertsOf(2);
  EXPECT_EQ(std::set<int32_t>(any.begin(), any.end()).size(), 3U);
}

TEST(Route, RowsLieByExpertAndThenByToken) {
  const Routed r(TestTensor::Random(DType::kF32, {50, 6}, "logits"), 2, false);
  int64_t rows = 0;
  for (int64_t e = 0; e < 6; ++e) {
    const auto tokens = r.routing.TokensOf(e);
    rows += r.routing.Count(e);
    EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::vector<int32_t> experts = r.ExpertsOf(tokens[i]);
      const auto at = std::find(experts.begin(), experts.end(), e);
      ASSERT_NE(at, experts.end());
      const int64_t j = at - experts.begin();
      EXPECT_EQ(r.routing.rows.as<int32_t>()[tokens[i] * 2 + j],
                r.routing.Begin(e) + static_cast<int64_t>(i));
    }
  }
  EXPECT_EQ(rows, 100);
}

TEST(Route, BackwardIsTheComplexStep) {
  for (const DType dtype : kComputeTypes) {
    for (const bool normalise : {false, true}) {
      const Routed r(TestTensor::Random(DType::kF32, {5, 7}, "logits"), 3, normalise);
      const TestTensor dweights = TestTensor::Random(DType::kF32, {15}, "dweights");
      const TestTensor dlogits(dtype, {5, 7});
      RouteBackward(r.routing, dweights, normalise, dlogits);
      for (int64_t t = 0; t < 5; ++t) {
        const auto expected = reference::ComplexStep(r.logits.RowValues(t), [&](const auto& z) {
          const auto weights = Weights(z, r.ExpertsOf(t), normalise);
          auto sum = 0.0 * z[0];
          for (size_t j = 0; j < 3; ++j) {
            sum += static_cast<double>(dweights.Get(
                       r.routing.rows.as<int32_t>()[t * 3 + static_cast<int64_t>(j)])) *
                   weights[j];
          }
          return sum;
        });
        EXPECT_LT(RelativeError(dlogits.RowValues(t), expected), Tolerance(dtype));
      }
    }
  }
}

TEST(Route, ATokenDependsOnItsOwnRowAlone) {
  const TestTensor all = TestTensor::Random(DType::kF32, {300, 19}, "logits");
  const Routed together(all, 4, true);
  for (const int64_t t : {0, 17, 299}) {
    const TestTensor one(DType::kF32, {1, 19});
    for (int64_t e = 0; e < 19; ++e) one.Set(e, all.Get(t * 19 + e));
    const Routed alone(one, 4, true);
    EXPECT_EQ(alone.ExpertsOf(0), together.ExpertsOf(t));
    for (int64_t j = 0; j < 4; ++j) EXPECT_EQ(alone.WeightOf(0, j), together.WeightOf(t, j));
  }
  ExpectSameBitsOnAnyThreads([&] { return Routed(all, 4, true).weights; });
}

TEST(ExpertRows, GatherAndAddUndoEachOther) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t D : {1, 7, 16, 67}) {
        const TestTensor x = TestTensor::Random(DType::kF32, {6, D}, "x");
        const std::vector<int32_t> tokens = {4, 0, 5};
        const TestTensor out(dtype, {3, D}), sums = x.Copy();
        GatherRows(x, tokens, out);
        for (int64_t i = 0; i < 3 * D; ++i) {
          const float from = x.Get(tokens[static_cast<size_t>(i / D)] * D + i % D);
          EXPECT_EQ(out.Get(i), dtype == DType::kF32 ? from : ToFloat(ToBfloat16(from)));
        }
        const TestTensor rows = TestTensor::Random(DType::kF32, {3, D}, "rows");
        AddToRows(rows, tokens, sums);
        for (int64_t d = 0; d < D; ++d) {
          EXPECT_EQ(sums.Get(4 * D + d), x.Get(4 * D + d) + rows.Get(d));
          EXPECT_EQ(sums.Get(1 * D + d), x.Get(1 * D + d));
        }
      }
    }
  });
}

}  // namespace
}  // namespace lorikeet
