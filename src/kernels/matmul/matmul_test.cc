#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/kernel_for_test.h"

namespace lorikeet {
namespace {

float At(const Tensor& t, int64_t i, int64_t j) {
  const int64_t at = i * t.cols() + j;
  return t.dtype == DType::kF32 ? t.as<float>()[at] : ToFloat(t.as<bfloat16>()[at]);
}

std::vector<DType> Dtypes() {
  std::vector<DType> dtypes = {DType::kF32};
  if (HasNativeBf16()) dtypes.push_back(DType::kBF16);
  return dtypes;
}

class ThreadsRestored : public ::testing::Test {
 protected:
  void TearDown() override { SetNumThreads(before_); }
  int before_ = NumThreads();
};

using MatMulTest = ThreadsRestored;

TEST_F(MatMulTest, EqualsASumInDoubleForEveryKind) {
  for (const DType dtype : Dtypes()) {
    for (const MatMulKind kind : {MatMulKind::kNT, MatMulKind::kNN, MatMulKind::kTN}) {
      for (const auto& [m, n, k] :
           {std::array<int64_t, 3>{1, 1, 1}, {5, 17, 33}, {65, 16, 64}, {16, 70, 31}}) {
        const Buffer a = kind == MatMulKind::kTN ? RandomMatrix(dtype, k, m, "a")
                                                 : RandomMatrix(dtype, m, k, "a");
        const Buffer b = kind == MatMulKind::kNT ? RandomMatrix(dtype, n, k, "b")
                                                 : RandomMatrix(dtype, k, n, "b");
        const Buffer c = RandomMatrix(DType::kF32, m, n, "c");
        const Buffer before = RandomMatrix(DType::kF32, m, n, "c");
        MatMul(a.tensor(), b.tensor(), c.tensor(), kind, /*accumulate=*/true);
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            double sum = At(before.tensor(), i, j);
            for (int64_t p = 0; p < k; ++p) {
              const double x =
                  kind == MatMulKind::kTN ? At(a.tensor(), p, i) : At(a.tensor(), i, p);
              const double y =
                  kind == MatMulKind::kNT ? At(b.tensor(), j, p) : At(b.tensor(), p, j);
              sum += x * y;
            }
            ASSERT_NEAR(At(c.tensor(), i, j), sum, 2e-6 * static_cast<double>(k + 1));
          }
        }
      }
    }
  }
}

// The first rows of a product with `many` rows must equal, bit for bit, a product of those rows
// alone.
void ExpectRowsIndependent(DType dtype, int64_t n, int64_t k, MatMulKind kind, bool accumulate) {
  constexpr int64_t kMany = 300;
  const Buffer a = RandomMatrix(dtype, kMany, k, "a");
  const Buffer b =
      kind == MatMulKind::kNT ? RandomMatrix(dtype, n, k, "b") : RandomMatrix(dtype, k, n, "b");
  const Buffer whole = RandomMatrix(DType::kF32, kMany, n, "c");
  MatMul(a.tensor(), b.tensor(), whole.tensor(), kind, accumulate);
  for (const int64_t m : {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100, 129, 256}) {
    const int64_t first = m % 7;  // the rows' place must not matter either
    const Buffer part = RandomMatrix(DType::kF32, kMany, n, "c");
    MatMul(a.tensor().Rows(first, first + m), b.tensor(), part.tensor().Rows(first, first + m),
           kind, accumulate);
    const size_t offset = static_cast<size_t>(first * n);
    ASSERT_EQ(std::memcmp(whole.tensor().as<float>() + offset, part.tensor().as<float>() + offset,
                          static_cast<size_t>(m * n) * sizeof(float)),
              0)
        << DTypeName(dtype) << " m " << m << " n " << n << " k " << k << " kind "
        << static_cast<int>(kind) << " accumulate " << accumulate;
  }
}

void SweepRows(const std::vector<int64_t>& columns, const std::vector<int64_t>& depths) {
  for (const int threads : {1, 2}) {
    SetNumThreads(threads);
    for (const DType dtype : Dtypes()) {
      for (const int64_t n : columns) {
        for (const int64_t k : depths) {
          for (const bool accumulate : {false, true}) {
            ExpectRowsIndependent(dtype, n, k, MatMulKind::kNT, accumulate);
            ExpectRowsIndependent(dtype, n, k, MatMulKind::kNN, accumulate);
          }
        }
      }
    }
  }
}

TEST_F(MatMulTest, RowsDoNotDependOnTheNumberOfRows) { SweepRows({1, 16, 192}, {1, 16, 576}); }

// The rows of a sum of two products, and the sum itself: what an adapted layer computes.
TEST_F(MatMulTest, ASumOfTwoProductsKeepsTheRule) {
  constexpr int64_t kMany = 300;
  for (const DType dtype : Dtypes()) {
    for (const auto& [n, k, r] :
         {std::array<int64_t, 3>{48, 100, 4}, {200, 576, 16}, {33, 64, 40}}) {
      const Buffer a = RandomMatrix(dtype, kMany, k, "a"), b = RandomMatrix(dtype, n, k, "b");
      const Buffer a2 = RandomMatrix(dtype, kMany, r, "a2"), b2 = RandomMatrix(dtype, r, n, "b2");
      for (const bool accumulate : {false, true}) {
        const auto run = [&](int64_t begin, int64_t end, const Tensor& c) {
          MatMulSum({a.tensor().Rows(begin, end), b.tensor(), MatMulKind::kNT},
                    {a2.tensor().Rows(begin, end), b2.tensor(), MatMulKind::kNN},
                    c.Rows(begin, end), accumulate);
        };
        const Buffer whole = RandomMatrix(DType::kF32, kMany, n, "c");
        run(0, kMany, whole.tensor());
        const Buffer apart = RandomMatrix(DType::kF32, kMany, n, "c");
        MatMul(a.tensor(), b.tensor(), apart.tensor(), MatMulKind::kNT, accumulate);
        MatMul(a2.tensor(), b2.tensor(), apart.tensor(), MatMulKind::kNN, true);
        for (int64_t i = 0; i < whole.tensor().size(); ++i) {
          ASSERT_NEAR(whole.tensor().as<float>()[i], apart.tensor().as<float>()[i], 1e-4);
        }
        for (const int threads : {1, 2, 3}) {
          SetNumThreads(threads);
          for (const int64_t m : {1, 2, 5, 16, 33, 100, 290}) {
            const Buffer part = RandomMatrix(DType::kF32, kMany, n, "c");
            run(7, 7 + m, part.tensor());
            ASSERT_EQ(
                std::memcmp(whole.tensor().as<float>() + 7 * n, part.tensor().as<float>() + 7 * n,
                            static_cast<size_t>(m * n) * sizeof(float)),
                0)
                << DTypeName(dtype) << " m " << m << " n " << n << " r " << r << " threads "
                << threads;
          }
        }
      }
    }
  }
}

using SlowMatMulTest = ThreadsRestored;
TEST_F(SlowMatMulTest, RowsDoNotDependOnTheNumberOfRows) {
  SweepRows({1, 2, 4, 16, 48, 64, 576, 1000}, {1, 2, 8, 24, 64, 100, 1536, 2048});
}

TEST_F(MatMulTest, ThreadsDoNotChangeBits) {
  for (const DType dtype : Dtypes()) {
    // Rank-major gradients (R, T) . (T, out), weight gradients (T, out)^T . (T, in), and a forward
    // product.
    const std::array<std::array<int64_t, 3>, 6> shapes = {{{1, 576, 2048},
                                                           {16, 1536, 2048},
                                                           {4, 192, 777},
                                                           {192, 576, 1024},
                                                           {576, 192, 333},
                                                           {300, 576, 1536}}};
    for (const auto& [m, n, k] : shapes) {
      for (const MatMulKind kind : {MatMulKind::kNN, MatMulKind::kTN}) {
        const Buffer a = kind == MatMulKind::kTN ? RandomMatrix(dtype, k, m, "a")
                                                 : RandomMatrix(dtype, m, k, "a");
        const Buffer b = RandomMatrix(dtype, k, n, "b");
        SetNumThreads(1);
        const Buffer one = RandomMatrix(DType::kF32, m, n, "c");
        MatMul(a.tensor(), b.tensor(), one.tensor(), kind, true);
        for (const int threads : {2, 3, 4}) {
          SetNumThreads(threads);
          const Buffer many = RandomMatrix(DType::kF32, m, n, "c");
          MatMul(a.tensor(), b.tensor(), many.tensor(), kind, true);
          EXPECT_EQ(std::memcmp(one.tensor().data, many.tensor().data,
                                static_cast<size_t>(one.tensor().bytes())),
                    0)
              << DTypeName(dtype) << " " << m << "x" << n << "x" << k << " kind "
              << static_cast<int>(kind) << " threads " << threads;
        }
      }
    }
  }
}

TEST_F(MatMulTest, InsideAParallelRegionItRunsOnOneThreadWithTheSameBits) {
  SetNumThreads(2);
  const Buffer a = RandomMatrix(DType::kF32, 100, 64, "a");
  const Buffer b = RandomMatrix(DType::kF32, 70, 64, "b");
  const Buffer outside(DType::kF32, {100, 70});
  MatMul(a.tensor(), b.tensor(), outside.tensor(), MatMulKind::kNT);
  std::array<Buffer, 2> inside = {Buffer(DType::kF32, {100, 70}), Buffer(DType::kF32, {100, 70})};
  ParallelDynamic(
      2, [&](int64_t i) { MatMul(a.tensor(), b.tensor(), inside[i].tensor(), MatMulKind::kNT); });
  for (const Buffer& c : inside) {
    EXPECT_EQ(std::memcmp(c.tensor().data, outside.tensor().data,
                          static_cast<size_t>(c.tensor().bytes())),
              0);
  }
}

}  // namespace
}  // namespace lorikeet
