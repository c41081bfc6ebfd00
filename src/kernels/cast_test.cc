#include "kernels/cast.h"

#include "kernels/kernel_for_test.h"

namespace lorikeet {
namespace {

constexpr DType kStored[] = {DType::kF32, DType::kBF16, DType::kF16};

TEST(Cast, EveryHalfAndBfloatWidensExactly) {
  ForEachTarget([] {
    for (const DType dtype : {DType::kBF16, DType::kF16}) {
      const TestTensor from(dtype, {65536}), to(DType::kF32, {65536});
      for (int64_t i = 0; i < 65536; ++i) {
        static_cast<uint16_t*>(from.tensor().data)[i] = static_cast<uint16_t>(i);
      }
      Convert(from, to);
      for (int64_t i = 0; i < 65536; ++i) {
        const float expected = from.Get(i);
        if (std::isnan(expected)) {
          ASSERT_TRUE(std::isnan(to.Get(i))) << i;
        } else {
          ASSERT_EQ(std::bit_cast<uint32_t>(to.Get(i)), std::bit_cast<uint32_t>(expected)) << i;
        }
      }
    }
  });
}

TEST(Cast, RoundsToNearestEvenAndKeepsNaN) {
  ForEachTarget([] {
    std::vector<uint32_t> bits = {0x7fc00000, 0x7f800001, 0xffffffff, 0x7fffffff, 0xff800001,
                                  0x7f7fffff, 0x7f7f7fff, 0x7f7f8000, 0x7f800000, 0xff800000,
                                  0x00000001, 0x00008000, 0x00018000, 0x80000000, 0x3f808000,
                                  0x3f818000, 0x3f808001};
    const RandomStream random(7, "test", "bits");
    for (int i = 0; i < 4000; ++i) bits.push_back(static_cast<uint32_t>(random.Bits(i)));
    const auto n = static_cast<int64_t>(bits.size());
    const TestTensor from(DType::kF32, {n}), to(DType::kBF16, {n});
    std::memcpy(from.tensor().data, bits.data(), bits.size() * 4);
    Convert(from, to);
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(to.tensor().as<bfloat16>()[i].bits, ToBfloat16(std::bit_cast<float>(bits[i])).bits)
          << std::hex << bits[i];
    }
  });
}

TEST(Cast, EveryPairOfDtypesAndSize) {
  ForEachTarget([] {
    for (const DType a : kStored) {
      for (const DType b : kStored) {
        for (const int64_t n : kWidths) {
          const TestTensor from = TestTensor::Random(a, {n}, "from"), to(b, {n}), expected(b, {n});
          Convert(from, to);
          for (int64_t i = 0; i < n; ++i) expected.Set(i, from.Get(i));
          EXPECT_TRUE(SameBits(to, expected)) << DTypeName(a) << " " << DTypeName(b) << " " << n;
        }
      }
    }
  });
}

void ExpectTransposed(const TestTensor& in, const TestTensor& out, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      ASSERT_EQ(in.Get(r * cols + c), out.Get(c * rows + r))
          << r << "," << c << " of " << rows << "x" << cols;
    }
  }
}

TEST(Cast, TransposeOfAnyShape) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t rows : {1, 3, 4, 7, 8, 9, 31, 33, 70}) {
        for (const int64_t cols : {1, 3, 4, 8, 13, 16, 255, 257, 530}) {
          const TestTensor in = TestTensor::Random(dtype, {rows, cols}, "in");
          const TestTensor out(dtype, {cols, rows});
          Transpose(in, out);
          ExpectTransposed(in, out, rows, cols);
        }
      }
    }
  });
}

TEST(Cast, ScaleCastTransposeWritesBothOrEither) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t T : {1, 5, 8, 33, 70}) {
        for (const int64_t R : {1, 4, 16, 19, 300}) {
          const TestTensor in = TestTensor::Random(DType::kF32, {T, R}, "in");
          const TestTensor out(dtype, {T, R}), out_t(dtype, {R, T}), expected(dtype, {T, R});
          ScaleCastTranspose(in, 0.37F, out, out_t);
          for (int64_t i = 0; i < T * R; ++i) expected.Set(i, in.Get(i) * 0.37F);
          EXPECT_TRUE(SameBits(out, expected));
          ExpectTransposed(out, out_t, T, R);
          const TestTensor only(dtype, {T, R}), only_t(dtype, {R, T});
          ScaleCastTranspose(in, 0.37F, only, Tensor());
          ScaleCastTranspose(in, 0.37F, Tensor(), only_t);
          EXPECT_TRUE(SameBits(only, out));
          EXPECT_TRUE(SameBits(only_t, out_t));
        }
      }
    }
  });
}

TEST(Cast, BiasSumAndScaleAreTheScalarOnes) {
  ForEachTarget([] {
    for (const int64_t N : kWidths) {
      const TestTensor y = TestTensor::Random(DType::kF32, {3, N}, "y"), y0 = y.Copy();
      const TestTensor bias = TestTensor::Random(DType::kF32, {N}, "bias");
      AddBias(y, bias);
      AddInto(y, y0);
      Scale(y, 1.7F);
      for (int64_t i = 0; i < y.size(); ++i) {
        EXPECT_EQ(y.Get(i), (y0.Get(i) + bias.Get(i % N) + y0.Get(i)) * 1.7F);
      }
    }
  });
}

TEST(Cast, ColumnSumsAreTheFormulaOnAnyThreads) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t T : {1, 63, 64, 65, 200}) {
        for (const int64_t N : {1, 7, 16, 33, 130, 515}) {
          const TestTensor x = TestTensor::Random(dtype, {T, N}, "x");
          const TestTensor sums(DType::kF32, {N});
          std::vector<double> expected(static_cast<size_t>(N), 1.0);
          for (int64_t i = 0; i < N; ++i) sums.Set(i, 1.0F);
          ColumnSums(x, sums);
          for (int64_t i = 0; i < x.size(); ++i) expected[i % N] += x.Get(i);
          EXPECT_LT(RelativeError(sums.Values(), expected), 1e-5) << T << " " << N;
        }
      }
    }
  });
  const TestTensor x = TestTensor::Random(DType::kBF16, {2000, 131}, "x");
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor sums(DType::kF32, {131});
    ColumnSums(x, sums);
    return sums;
  });
}

}  // namespace
}  // namespace lorikeet
