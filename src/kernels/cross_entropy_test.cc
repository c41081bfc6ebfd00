#include "kernels/cross_entropy.h"

#include <limits>

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kVocabularies[] = {1, 2, 3, 15, 16, 17, 31, 33, 64, 67, 130, 2047, 2049, 6001};

struct Chunk {
  TestTensor logits, logprob, lse;
  std::vector<int32_t> targets;

  Chunk(int64_t rows, int64_t V, double range = 10.0)
      : logits(TestTensor::Random(DType::kF32, {rows, V}, "logits", range)),
        logprob(DType::kF32, {rows}),
        lse(DType::kF32, {rows}) {
    const RandomStream random(7, "test", "targets");
    for (int64_t r = 0; r < rows; ++r) targets.push_back(static_cast<int32_t>(random.Below(r, V)));
    Run();
  }
  void Run() const { TargetLogprobs(logits, targets, logprob, lse); }
};

TEST(CrossEntropy, LogprobsAreTheFormula) {
  ForEachTarget([] {
    for (const int64_t V : kVocabularies) {
      const Chunk c(3, V);
      for (int64_t r = 0; r < 3; ++r) {
        const auto x = c.logits.RowValues(r);
        const double lse = reference::LogSumExp(x);
        EXPECT_NEAR(c.lse.Get(r), lse, 2e-6) << V;
        EXPECT_NEAR(c.logprob.Get(r), x[c.targets[r]] - lse, 3e-6) << V;
      }
    }
  });
}

TEST(CrossEntropy, AWholeVocabularyKeepsTheAccuracyOfF64) {
  ForEachTarget([] {
    const Chunk c(1, 151936, 4.0);
    const auto x = c.logits.Values();
    const double expected = x[c.targets[0]] - reference::LogSumExp(x);
    EXPECT_NEAR(c.logprob.Get(0), expected, 2e-7 * std::abs(expected));
  });
}

TEST(CrossEntropy, MaskedAndHugeLogits) {
  ForEachTarget([] {
    const int64_t V = 5000;
    const Chunk c(1, V);
    for (int64_t i = 0; i < V; ++i) c.logits.Set(i, -kInfinity);
    c.logits.Set(4500, 3e38F);
    c.logits.Set(4700, 3e38F);
    TargetLogprobs(c.logits, std::vector<int32_t>{4500}, c.logprob, c.lse);
    EXPECT_NEAR(c.logprob.Get(0), -std::log(2.0), 1e-6);
    TargetLogprobs(c.logits, std::vector<int32_t>{0}, c.logprob, c.lse);
    EXPECT_EQ(c.logprob.Get(0), -kInfinity);
    c.logits.Set(4500, 1.0F);
    c.logits.Set(4700, 1.0F);
    TargetLogprobs(c.logits, std::vector<int32_t>{4500}, c.logprob, c.lse);
    const TestTensor entropy(DType::kF32, {1});
    RowEntropy(c.logits, c.lse, entropy);
    EXPECT_NEAR(entropy.Get(0), std::log(2.0), 1e-6);
  });
}

TEST(CrossEntropy, NaNAndInfinityAreNotLost) {
  ForEachTarget([] {
    for (const float bad : {NAN, kInfinity}) {
      for (const int64_t at : {0, 5, 16, 2047, 2050, 4998, 4999}) {
        const Chunk c(1, 5000);
        c.logits.Set(at, bad);
        c.Run();
        EXPECT_TRUE(std::isnan(c.logprob.Get(0))) << at;
      }
    }
  });
}

TEST(CrossEntropy, BackwardIsTheComplexStep) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t V : {1, 3, 16, 17, 67, 130}) {
        const Chunk c(2, V);
        const TestTensor g = TestTensor::Random(DType::kF32, {2}, "g"), dlogits(dtype, {2, V});
        LogprobBackward(c.logits, c.targets, c.lse, g, dlogits);
        for (int64_t r = 0; r < 2; ++r) {
          const double factor = g.Get(r);
          const auto expected = reference::ComplexStep(c.logits.RowValues(r), [&](const auto& z) {
            return factor * (z[c.targets[r]] - reference::LogSumExp(z));
          });
          if (V == 1) {
            EXPECT_EQ(dlogits.Get(r), 0.0F);
          } else {
            EXPECT_LT(RelativeError(dlogits.RowValues(r), expected), Tolerance(dtype)) << V;
          }
        }
      }
    }
  });
}

TEST(CrossEntropy, BackwardInPlaceAndNearCertainty) {
  ForEachTarget([] {
    const int64_t V = 33;
    const Chunk c(1, V);
    c.logits.Set(c.targets[0], 30.0F);  // 1 - softmax cancels to nothing in f32
    c.Run();
    const TestTensor g(DType::kF32, {1}), dlogits(DType::kF32, {1, V});
    g.Set(0, 1.0F);
    LogprobBackward(c.logits, c.targets, c.lse, g, dlogits);
    double others = 0;
    for (int64_t i = 0; i < V; ++i) others += i == c.targets[0] ? 0.0 : dlogits.Get(i);
    EXPECT_LT(others, 0.0);
    EXPECT_GE(dlogits.Get(c.targets[0]), 0.0F);
    LogprobBackward(c.logits, c.targets, c.lse, g, c.logits);
    EXPECT_TRUE(SameBits(c.logits, dlogits));
  });
}

TEST(CapLogits, IsTheFormula) {
  ForEachTarget([] {
    for (const double range : {0.01, 50.0, 2000.0}) {
      const TestTensor logits = TestTensor::Random(DType::kF32, {3, 67}, "logits", range);
      const TestTensor capped = logits.Copy();
      CapLogits(capped, 30.0F);
      for (int64_t i = 0; i < logits.size(); ++i) {
        const double expected = reference::SoftCap<double>(logits.Get(i), 30.0);
        EXPECT_NEAR(capped.Get(i), expected, 1e-6 * std::abs(expected)) << logits.Get(i);
      }
    }
    const TestTensor bad(DType::kF32, {1, 3});
    bad.Set(0, NAN);
    bad.Set(1, kInfinity);
    bad.Set(2, -kInfinity);
    CapLogits(bad, 30.0F);
    EXPECT_TRUE(std::isnan(bad.Get(0)));
    EXPECT_EQ(bad.Get(1), 30.0F);
    EXPECT_EQ(bad.Get(2), -30.0F);
  });
  ExpectSameBitsOnAnyThreads([] {
    const TestTensor logits = TestTensor::Random(DType::kF32, {7, 6001}, "logits", 50.0);
    CapLogits(logits, 30.0F);
    return logits;
  });
}

// The gradient of the logits before the cap, also when a temperature follows it.
TEST(CapLogits, BackwardIsTheComplexStep) {
  ForEachTarget([] {
    constexpr double kCap = 5.0;
    for (const float temperature : {1.0F, 0.5F}) {
      for (const DType dtype : kComputeTypes) {
        for (const int64_t V : {3, 16, 17, 67}) {
          const Chunk c(2, V);
          const TestTensor before = c.logits.Copy(), dlogits(dtype, {2, V});
          CapLogits(c.logits, static_cast<float>(kCap));
          ScaleLogits(c.logits, 1 / temperature);
          c.Run();
          const TestTensor g = TestTensor::Random(DType::kF32, {2}, "g"), scaled = g.Copy();
          for (int64_t r = 0; r < 2; ++r) scaled.Set(r, g.Get(r) / temperature);
          LogprobBackward(c.logits, c.targets, c.lse, scaled, dlogits,
                          temperature / static_cast<float>(kCap));
          for (int64_t r = 0; r < 2; ++r) {
            const auto expected = reference::ComplexStep(before.RowValues(r), [&](auto z) {
              for (auto& x : z) x = reference::SoftCap(x, kCap) / static_cast<double>(temperature);
              return static_cast<double>(g.Get(r)) * (z[c.targets[r]] - reference::LogSumExp(z));
            });
            EXPECT_LT(RelativeError(dlogits.RowValues(r), expected), Tolerance(dtype)) << V;
          }
        }
      }
    }
  });
}

TEST(CrossEntropy, SeveralTokensOfARowHaveTheBitsOfEach) {
  ForEachTarget([] {
    for (const int64_t V : kVocabularies) {
      constexpr int64_t kEach = 3;
      const Chunk c(2, V, 3.0);
      std::vector<int32_t> tokens;
      for (int64_t i = 0; i < 2 * kEach; ++i) {
        tokens.push_back(static_cast<int32_t>((i * 7 + 1) % V));
      }
      const TestTensor several(DType::kF32, {2, kEach}), logprob(DType::kF32, {2}),
          lse(DType::kF32, {2});
      TokenLogprobs(c.logits, tokens, several);
      for (int64_t k = 0; k < kEach; ++k) {
        const std::vector<int32_t> targets = {tokens[static_cast<size_t>(k)],
                                              tokens[static_cast<size_t>(kEach + k)]};
        TargetLogprobs(c.logits, targets, logprob, lse);
        EXPECT_EQ(several.Get(k), logprob.Get(0)) << V;
        EXPECT_EQ(several.Get(kEach + k), logprob.Get(1)) << V;
      }
    }
  });
}

TEST(CrossEntropy, EntropyIsTheFormula) {
  ForEachTarget([] {
    for (const int64_t V : kVocabularies) {
      const Chunk c(2, V, 3.0);
      const TestTensor entropy(DType::kF32, {2});
      RowEntropy(c.logits, c.lse, entropy);
      for (int64_t r = 0; r < 2; ++r) {
        // lse is an f32: its rounding enters every term.
        const double expected = reference::Entropy(c.logits.RowValues(r));
        EXPECT_NEAR(entropy.Get(r), expected, 1e-6 * (1.0 + expected)) << V;
      }
    }
  });
}

TEST(CrossEntropy, ArgmaxIsTheFirstLargest) {
  ForEachTarget([] {
    for (const int64_t V : kVocabularies) {
      const Chunk c(3, V);
      for (const int64_t at : {V / 3, V / 2, V - 1}) {
        c.logits.Set(V + at, 11.0F);  // row 1: ties, the first one wins
        c.logits.Set(2 * V + at, NAN);
      }
      std::vector<int32_t> index(3);
      RowArgmax(c.logits, index);
      for (int64_t r = 0; r < 3; ++r) {
        int32_t expected = 0;
        float best = -kInfinity;
        for (int64_t i = 0; i < V; ++i) {
          if (c.logits.Get(r * V + i) > best) {
            best = c.logits.Get(r * V + i);
            expected = static_cast<int32_t>(i);
          }
        }
        EXPECT_EQ(index[r], expected) << V << " row " << r;
      }
    }
  });
}

TEST(CrossEntropy, ARowHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const int64_t V = 6001;
  const Chunk all(7, V);
  for (int64_t r = 0; r < 7; ++r) {
    const TestTensor logprob(DType::kF32, {1}), lse(DType::kF32, {1});
    TargetLogprobs(all.logits.tensor().Rows(r, r + 1), {&all.targets[r], 1}, logprob, lse);
    EXPECT_EQ(logprob.Get(0), all.logprob.Get(r));
    EXPECT_EQ(lse.Get(0), all.lse.Get(r));
  }
  ExpectSameBitsOnAnyThreads([] { return Chunk(7, 6001).logprob; });
}

}  // namespace
}  // namespace lorikeet
