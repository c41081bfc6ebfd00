#include "kernels/rms_norm.h"

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

constexpr float kEps = 1e-5F;

struct Norm {
  TestTensor x, w, xhat, y, rstd;

  Norm(DType dtype, int64_t T, int64_t D)
      : x(TestTensor::Random(DType::kF32, {T, D}, "x")),
        w(TestTensor::Random(DType::kF32, {D}, "w")),
        xhat(dtype, {T, D}),
        y(dtype, {T, D}),
        rstd(DType::kF32, {T}) {
    RmsNormForward(x, w, kEps, xhat, y, rstd);
  }
};

TEST(RmsNorm, ForwardIsTheFormula) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t D : kWidths) {
        const Norm n(dtype, 3, D);
        for (int64_t t = 0; t < 3; ++t) {
          const auto expected = reference::RmsNorm(n.x.RowValues(t), n.w.Values(), kEps);
          EXPECT_LT(RelativeError(n.y.RowValues(t), expected), Tolerance(dtype)) << D;
        }
      }
    }
  });
}

TEST(RmsNorm, RoundsTwiceInBf16AsTheReferenceImplementationDoes) {
  ForEachTarget([] {
    const Norm n(DType::kBF16, 4, 67);
    for (int64_t i = 0; i < n.x.size(); ++i) {
      EXPECT_EQ(n.xhat.Get(i), ToFloat(ToBfloat16(n.x.Get(i) * n.rstd.Get(i / 67))));
      EXPECT_EQ(n.y.Get(i), ToFloat(ToBfloat16(n.w.Get(i % 67) * n.xhat.Get(i))));
    }
  });
}

TEST(RmsNorm, ScaleRepeatsTheForwardsBits) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t D : kWidths) {
        const Norm n(dtype, 5, D);
        const TestTensor again(dtype, {5, D});
        RmsNormScale(n.xhat, n.w, again);
        EXPECT_TRUE(SameBits(n.y, again)) << D;
        RmsNormScale(n.xhat, n.w, n.xhat);
        EXPECT_TRUE(SameBits(n.y, n.xhat)) << D << " in place";
      }
    }
  });
}

TEST(RmsNorm, BackwardIsTheComplexStep) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t D : kWidths) {
        const Norm n(dtype, 2, D);
        const TestTensor dy = TestTensor::Random(DType::kF32, {2, D}, "dy");
        const TestTensor dx(DType::kF32, {2, D}), dw(DType::kF32, {D});
        for (int64_t i = 0; i < dx.size(); ++i) dx.Set(i, 1.0F);  // to be added to
        RmsNormBackward(dy, n.xhat, n.w, n.rstd, dx, dw);
        std::vector<double> expected_dw(static_cast<size_t>(D));
        for (int64_t t = 0; t < 2; ++t) {
          const auto loss = [&](const auto& x, const auto& w) {
            auto sum = 0.0 * x[0];
            const auto y = reference::RmsNorm(x, w, kEps);
            for (int64_t i = 0; i < D; ++i) sum += y[i] * dy.RowValues(t)[i];
            return sum;
          };
          const auto x = n.x.RowValues(t), w = n.w.Values();
          using Z = std::vector<std::complex<double>>;
          auto expected =
              reference::ComplexStep(x, [&](const Z& z) { return loss(z, Z(w.begin(), w.end())); });
          for (double& d : expected) d += 1.0;
          EXPECT_LT(RelativeError(dx.RowValues(t), expected), Tolerance(dtype)) << D;
          const auto row =
              reference::ComplexStep(w, [&](const Z& z) { return loss(Z(x.begin(), x.end()), z); });
          for (int64_t i = 0; i < D; ++i) expected_dw[i] += row[i];
        }
        EXPECT_LT(RelativeError(dw.Values(), expected_dw), Tolerance(dtype)) << D;
      }
    }
  });
}

// 1 + w in place of w, and one rounding.
TEST(RmsNormOnePlus, IsTheNormOfAWeightThatIsOneLarger) {
  constexpr NormKind kKind = NormKind::kRmsOnePlus;
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t D : kWidths) {
        const Norm n(dtype, 3, D);
        const TestTensor larger = n.w.Copy(), y(dtype, {3, D}), again(dtype, {3, D});
        for (int64_t i = 0; i < D; ++i) larger.Set(i, 1.0F + n.w.Get(i));
        RmsNormForward(n.x, n.w, kEps, n.xhat, y, n.rstd, kKind);
        for (int64_t i = 0; i < y.size(); ++i) {
          const float expected = larger.Get(i % D) * (n.x.Get(i) * n.rstd.Get(i / D));
          EXPECT_EQ(y.Get(i), dtype == DType::kF32 ? expected : ToFloat(ToBfloat16(expected)));
        }
        RmsNormScale(n.xhat, n.w, again, kKind);
        EXPECT_LT(RelativeError(again.Values(), y.Values()), dtype == DType::kF32 ? 1e-30 : 8e-3);
        const TestTensor dy = TestTensor::Random(DType::kF32, {3, D}, "dy");
        const TestTensor dx(DType::kF32, {3, D}), dw(DType::kF32, {D});
        const TestTensor dx_rms(DType::kF32, {3, D}), dw_rms(DType::kF32, {D});
        RmsNormBackward(dy, n.xhat, n.w, n.rstd, dx, dw, kKind);
        RmsNormBackward(dy, n.xhat, larger, n.rstd, dx_rms, dw_rms);
        EXPECT_TRUE(SameBits(dx, dx_rms) && SameBits(dw, dw_rms)) << D;
      }
    }
  });
}

// In bf16 xhat is not rounded before the product; the backward is that of kRms.
TEST(RmsNormOnce, RoundsTheProductAlone) {
  constexpr NormKind kKind = NormKind::kRmsOnce;
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t D : kWidths) {
        const Norm n(dtype, 3, D);
        const TestTensor y(dtype, {3, D}), again(dtype, {3, D});
        RmsNormForward(n.x, n.w, kEps, n.xhat, y, n.rstd, kKind);
        for (int64_t i = 0; i < y.size(); ++i) {
          const float expected = n.w.Get(i % D) * (n.x.Get(i) * n.rstd.Get(i / D));
          EXPECT_EQ(y.Get(i), dtype == DType::kF32 ? expected : ToFloat(ToBfloat16(expected)));
        }
        RmsNormScale(n.xhat, n.w, again, kKind);
        EXPECT_LT(RelativeError(again.Values(), y.Values()), dtype == DType::kF32 ? 1e-30 : 8e-3);
        const TestTensor dy = TestTensor::Random(DType::kF32, {3, D}, "dy");
        const TestTensor dx(DType::kF32, {3, D}), dw(DType::kF32, {D});
        const TestTensor dx_rms(DType::kF32, {3, D}), dw_rms(DType::kF32, {D});
        RmsNormBackward(dy, n.xhat, n.w, n.rstd, dx, dw, kKind);
        RmsNormBackward(dy, n.xhat, n.w, n.rstd, dx_rms, dw_rms);
        EXPECT_TRUE(SameBits(dx, dx_rms) && SameBits(dw, dw_rms)) << D;
      }
    }
  });
}

// Added to what is there, in f32.
TEST(RmsNormAdd, IsTheSumWithTheNorm) {
  ForEachTarget([] {
    for (const NormKind kind : {NormKind::kRms, NormKind::kRmsOnce, NormKind::kRmsOnePlus}) {
      for (const DType dtype : kComputeTypes) {
        for (const int64_t D : kWidths) {
          const Norm n(dtype, 3, D);
          const TestTensor xhat(dtype, {3, D}), rstd(DType::kF32, {3});
          const TestTensor sum = TestTensor::Random(DType::kF32, {3, D}, "residual");
          const TestTensor before = sum.Copy();
          RmsNormAdd(n.x, n.w, kEps, xhat, sum, rstd, kind);
          EXPECT_TRUE(SameBits(xhat, n.xhat) && SameBits(rstd, n.rstd)) << D;
          std::vector<double> expected = before.Values();
          for (int64_t i = 0; i < sum.size(); ++i) {
            const float exact = n.x.Get(i) * n.rstd.Get(i / D);
            const bool plus = kind == NormKind::kRmsOnePlus;
            const double gain = plus ? 1.0 + n.w.Get(i % D) : n.w.Get(i % D);
            expected[i] += gain * (kind == NormKind::kRms ? n.xhat.Get(i) : exact);
          }
          EXPECT_LT(RelativeError(sum.Values(), expected), 1e-6) << D;
        }
      }
    }
  });
}

TEST(RmsNorm, AFrozenWeightChangesNoBitOfDx) {
  const Norm n(DType::kBF16, 200, 67);
  const TestTensor dy = TestTensor::Random(DType::kF32, {200, 67}, "dy");
  const TestTensor a(DType::kF32, {200, 67}), b(DType::kF32, {200, 67}), dw(DType::kF32, {67});
  RmsNormBackward(dy, n.xhat, n.w, n.rstd, a, dw);
  RmsNormBackward(dy, n.xhat, n.w, n.rstd, b, Tensor());
  EXPECT_TRUE(SameBits(a, b));
}

TEST(RmsNorm, ARowHasTheSameBitsInAnyBatch) {
  ForEachTarget([] {
    const int64_t T = 9, D = 67;
    const Norm all(DType::kBF16, T, D);
    for (int64_t t = 0; t < T; ++t) {
      const TestTensor xhat(DType::kBF16, {1, D}), y(DType::kBF16, {1, D}), r(DType::kF32, {1});
      RmsNormForward(all.x.tensor().Rows(t, t + 1), all.w, kEps, xhat, y, r);
      EXPECT_EQ(y.Values(), all.y.RowValues(t));
      EXPECT_EQ(r.Get(0), all.rstd.Get(t));
    }
  });
}

TEST(RmsNorm, ThreadsChangeNoBit) {
  const int64_t T = 700, D = 576;
  const Norm n(DType::kBF16, T, D);
  const TestTensor dy = TestTensor::Random(DType::kF32, {T, D}, "dy");
  ExpectSameBitsOnAnyThreads([&] { return Norm(DType::kBF16, T, D).y; });
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor dx(DType::kF32, {T, D}), dw(DType::kF32, {D});
    RmsNormBackward(dy, n.xhat, n.w, n.rstd, dx, dw);
    return dw;
  });
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor sum = dy.Copy();
    RmsNormAdd(n.x, n.w, kEps, n.xhat, sum, n.rstd, NormKind::kRmsOnePlus);
    return sum;
  });
}

}  // namespace
}  // namespace lorikeet
