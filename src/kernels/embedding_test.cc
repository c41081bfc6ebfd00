#include "kernels/embedding.h"

#include "kernels/kernel_for_test.h"

namespace lorikeet {
namespace {

const std::vector<int32_t> kTokens = {4, 0, 2, 4, 4, 1, 0};

TEST(Embedding, ForwardGathersRowsOfEveryDtype) {
  ForEachTarget([] {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      for (const int64_t D : kWidths) {
        const TestTensor table = TestTensor::Random(dtype, {5, D}, "table");
        const TestTensor residual(DType::kF32, {7, D});
        EmbeddingForward(kTokens, table, residual);
        for (int64_t t = 0; t < 7; ++t) {
          EXPECT_EQ(residual.RowValues(t), table.RowValues(kTokens[t])) << D;
        }
      }
    }
  });
}

TEST(Embedding, BackwardAddsInTheOrderOfTokens) {
  ForEachTarget([] {
    for (const int64_t D : kWidths) {
      const TestTensor d = TestTensor::Random(DType::kF32, {7, D}, "d");
      const TestTensor dtable = TestTensor::Random(DType::kF32, {5, D}, "dtable");
      const TestTensor expected = dtable.Copy();
      for (int64_t i = 0; i < 7 * D; ++i) {
        const int64_t at = kTokens[i / D] * D + i % D;
        expected.Set(at, expected.Get(at) + d.Get(i));
      }
      EmbeddingBackward(kTokens, d, dtable);
      EXPECT_TRUE(SameBits(dtable, expected)) << D;
    }
  });
}

TEST(Embedding, AFactorAppliesToRowsAndGradients) {
  ForEachTarget([] {
    constexpr float kFactor = 25.25F;
    for (const int64_t D : kWidths) {
      const TestTensor table = TestTensor::Random(DType::kBF16, {5, D}, "table");
      const TestTensor residual(DType::kF32, {7, D}), dtable(DType::kF32, {5, D});
      EmbeddingForward(kTokens, table, residual, kFactor);
      const TestTensor d = TestTensor::Random(DType::kF32, {7, D}, "d");
      EmbeddingBackward(kTokens, d, dtable, kFactor);
      std::vector<double> sums(static_cast<size_t>(5 * D));
      for (int64_t i = 0; i < 7 * D; ++i) {
        const int64_t at = kTokens[i / D] * D + i % D;
        EXPECT_EQ(residual.Get(i), kFactor * table.Get(at)) << D;
        sums[static_cast<size_t>(at)] += kFactor * d.Get(i);
      }
      EXPECT_LT(RelativeError(dtable.Values(), sums), 1e-6) << D;
    }
  });
}

TEST(Embedding, ThreadsChangeNoBitOfTheBackward) {
  std::vector<int32_t> tokens(2000);
  const RandomStream random(7, "test", "tokens");
  for (size_t t = 0; t < tokens.size(); ++t) tokens[t] = static_cast<int32_t>(random.Below(t, 50));
  const TestTensor d = TestTensor::Random(DType::kF32, {2000, 131}, "d");
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor dtable(DType::kF32, {50, 131});
    EmbeddingBackward(tokens, d, dtable);
    return dtable;
  });
}

}  // namespace
}  // namespace lorikeet
