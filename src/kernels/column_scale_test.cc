#include "kernels/column_scale.h"

#include "kernels/kernel_for_test.h"

namespace lorikeet {
namespace {

TEST(ColumnScale, IsTheFormulaInEveryDtype) {
  for (const DType from : kComputeTypes) {
    for (const DType to : kComputeTypes) {
      for (const int64_t T : {1, 65}) {
        for (const int64_t N : {1, 33, 515}) {
          const TestTensor x = TestTensor::Random(from, {T, N}, "x");
          const TestTensor factors = TestTensor::Random(DType::kF32, {N}, "f");
          const TestTensor y(to, {T, N}), sum = TestTensor::Random(DType::kF32, {T, N}, "y");
          std::vector<double> expected(static_cast<size_t>(T * N)), added = expected;
          for (int64_t i = 0; i < T * N; ++i) {
            const double value = static_cast<double>(factors.Get(i % N)) * x.Get(i);
            expected[static_cast<size_t>(i)] = value;
            added[static_cast<size_t>(i)] = value + sum.Get(i);
          }
          ScaleColumns(x, factors, y);
          ScaleColumns(x, factors, sum, /*accumulate=*/true);
          EXPECT_LT(RelativeError(y.Values(), expected), to == DType::kF32 ? 1e-6 : 1e-2);
          EXPECT_LT(RelativeError(sum.Values(), added), 1e-6);
        }
      }
    }
  }
}

TEST(ColumnScale, DotsAreTheFormulaOnAnyThreads) {
  for (const DType dtype : kComputeTypes) {
    for (const int64_t T : {1, 64, 200}) {
      for (const int64_t N : {1, 130}) {
        const TestTensor dy = TestTensor::Random(dtype, {T, N}, "dy");
        const TestTensor x = TestTensor::Random(DType::kF32, {T, N}, "x");
        const TestTensor factors = TestTensor::Random(DType::kF32, {N}, "f"),
                         sums(DType::kF32, {N});
        std::vector<double> expected(static_cast<size_t>(N), 1.0);
        for (int64_t i = 0; i < N; ++i) sums.Set(i, 1.0F);
        AddColumnDots(dy, x, factors, sums);
        for (int64_t i = 0; i < T * N; ++i) {
          expected[static_cast<size_t>(i % N)] +=
              static_cast<double>(factors.Get(i % N)) * dy.Get(i) * x.Get(i);
        }
        EXPECT_LT(RelativeError(sums.Values(), expected), 1e-5) << T << " " << N;
      }
    }
  }
  const TestTensor dy = TestTensor::Random(DType::kBF16, {900, 131}, "dy");
  const TestTensor x = TestTensor::Random(DType::kF32, {900, 131}, "x");
  const TestTensor factors = TestTensor::Random(DType::kF32, {131}, "f");
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor sums(DType::kF32, {131});
    AddColumnDots(dy, x, factors, sums);
    return sums;
  });
}

TEST(ColumnScale, LengthsOfRows) {
  const TestTensor x = TestTensor::Random(DType::kF32, {37, 700}, "x"), lengths(DType::kF32, {37});
  RowLengths(x, lengths);
  for (int64_t n = 0; n < 37; ++n) {
    double sum = 0;
    for (int64_t k = 0; k < 700; ++k) sum += std::pow(static_cast<double>(x.Get(n * 700 + k)), 2);
    EXPECT_EQ(lengths.Get(n), static_cast<float>(std::sqrt(sum)));
  }
}

}  // namespace
}  // namespace lorikeet
