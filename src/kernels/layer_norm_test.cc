#include "kernels/layer_norm.h"

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

constexpr float kEps = 1e-5F;

struct Norm {
  TestTensor x, w, b, xhat, y, rstd;

  Norm(DType dtype, int64_t T, int64_t D, bool biased)
      : x(TestTensor::Random(DType::kF32, {T, D}, "x")),
        w(TestTensor::Random(DType::kF32, {D}, "w")),
        b(biased ? TestTensor::Random(DType::kF32, {D}, "b") : TestTensor()),
        xhat(dtype, {T, D}),
        y(dtype, {T, D}),
        rstd(DType::kF32, {T}) {
    for (int64_t i = 0; i < x.size(); ++i) x.Set(i, x.Get(i) + 1.5F);  // a mean to be removed
    LayerNormForward(x, w, b, kEps, xhat, y, rstd);
  }
  std::vector<double> Bias() const {
    return b.size() == 0 ? std::vector<double>(static_cast<size_t>(w.size())) : b.Values();
  }
};

// test(norm, dtype, T, D) with and without a bias.
template <class Test>
void ForEachNorm(int64_t T, const Test& test) {
  ForEachTarget([&] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t D : kWidths) {
        for (const bool biased : {false, true}) {
          SCOPED_TRACE(testing::Message() << DTypeName(dtype) << " D " << D << " bias " << biased);
          test(Norm(dtype, T, D, biased), dtype, D);
        }
      }
    }
  });
}

TEST(LayerNorm, ForwardIsTheFormula) {
  ForEachNorm(3, [](const Norm& n, DType dtype, int64_t D) {
    for (int64_t t = 0; t < 3; ++t) {
      const auto expected = reference::LayerNorm(n.x.RowValues(t), n.w.Values(), n.Bias(), kEps);
      for (int64_t i = 0; i < D; ++i) {
        EXPECT_NEAR(n.y.Get(t * D + i), expected[i], 4 * Tolerance(dtype));
      }
    }
  });
}

TEST(LayerNorm, RoundsOnceInBf16) {
  ForEachTarget([] {
    for (const bool biased : {false, true}) {
      const Norm n(DType::kBF16, 4, 67, biased), exact(DType::kF32, 4, 67, biased);
      for (int64_t i = 0; i < n.y.size(); ++i) {
        EXPECT_EQ(n.xhat.Get(i), ToFloat(ToBfloat16(exact.xhat.Get(i))));
        EXPECT_EQ(n.y.Get(i), ToFloat(ToBfloat16(exact.y.Get(i))));
      }
    }
  });
}

TEST(LayerNorm, ScaleRepeatsTheForward) {
  ForEachNorm(5, [](const Norm& n, DType dtype, int64_t D) {
    const TestTensor again(dtype, {5, D});
    LayerNormScale(n.xhat, n.w, n.b, again);
    if (dtype == DType::kF32) {
      EXPECT_TRUE(SameBits(n.y, again));
    } else {
      EXPECT_LT(RelativeError(again.Values(), n.y.Values()), 1e-2);
    }
    LayerNormScale(n.xhat, n.w, n.b, n.xhat);
    EXPECT_TRUE(SameBits(again, n.xhat)) << "in place";
  });
}

TEST(LayerNorm, BackwardIsTheComplexStep) {
  ForEachNorm(2, [](const Norm& n, DType dtype, int64_t D) {
    const TestTensor dy = TestTensor::Random(DType::kF32, {2, D}, "dy");
    const TestTensor dx(DType::kF32, {2, D}), dw(DType::kF32, {D}), db(DType::kF32, {D});
    for (int64_t i = 0; i < dx.size(); ++i) dx.Set(i, 1.0F);  // to be added to
    const bool biased = n.b.size() > 0;
    LayerNormBackward(dy, n.xhat, n.w, n.rstd, dx, dw, biased ? db.tensor() : Tensor());
    std::vector<double> expected_dw(static_cast<size_t>(D)), expected_db(static_cast<size_t>(D));
    using Z = std::vector<std::complex<double>>;
    const auto w = n.w.Values(), b = n.Bias();
    for (int64_t t = 0; t < 2; ++t) {
      const auto loss = [&](const Z& x, const Z& weight, const Z& bias) {
        std::complex<double> sum = 0;
        const Z y = reference::LayerNorm(x, weight, bias, kEps);
        for (int64_t i = 0; i < D; ++i) sum += y[i] * dy.RowValues(t)[i];
        return sum;
      };
      const auto x = n.x.RowValues(t);
      const Z zx(x.begin(), x.end()), zw(w.begin(), w.end()), zb(b.begin(), b.end());
      const auto expected = reference::ComplexStep(x, [&](const Z& z) { return loss(z, zw, zb); });
      // The terms of a row cancel where it is short: the error is compared with them.
      const double scale = 4.0 * std::max(1.0F, n.rstd.Get(t));
      for (int64_t i = 0; i < D; ++i) {
        EXPECT_NEAR(dx.Get(t * D + i), expected[i] + 1.0, scale * Tolerance(dtype));
      }
      const auto of_w = reference::ComplexStep(w, [&](const Z& z) { return loss(zx, z, zb); });
      const auto of_b = reference::ComplexStep(b, [&](const Z& z) { return loss(zx, zw, z); });
      for (int64_t i = 0; i < D; ++i) expected_dw[i] += of_w[i];
      for (int64_t i = 0; i < D; ++i) expected_db[i] += of_b[i];
    }
    for (int64_t i = 0; i < D; ++i) EXPECT_NEAR(dw.Get(i), expected_dw[i], 8 * Tolerance(dtype));
    if (biased) {
      EXPECT_LT(RelativeError(db.Values(), expected_db), 1e-5);
    }
  });
}

TEST(LayerNorm, FrozenWeightsChangeNoBitOfDx) {
  const Norm n(DType::kBF16, 200, 67, true);
  const TestTensor dy = TestTensor::Random(DType::kF32, {200, 67}, "dy");
  const TestTensor a(DType::kF32, {200, 67}), b(DType::kF32, {200, 67}), dw(DType::kF32, {67});
  const TestTensor db(DType::kF32, {67});
  LayerNormBackward(dy, n.xhat, n.w, n.rstd, a, dw, db);
  LayerNormBackward(dy, n.xhat, n.w, n.rstd, b, Tensor(), Tensor());
  EXPECT_TRUE(SameBits(a, b));
}

TEST(LayerNorm, ARowHasTheSameBitsInAnyBatch) {
  ForEachTarget([] {
    const int64_t T = 9, D = 67;
    const Norm all(DType::kBF16, T, D, true);
    for (int64_t t = 0; t < T; ++t) {
      const TestTensor xhat(DType::kBF16, {1, D}), y(DType::kBF16, {1, D}), r(DType::kF32, {1});
      LayerNormForward(all.x.tensor().Rows(t, t + 1), all.w, all.b, kEps, xhat, y, r);
      EXPECT_EQ(y.Values(), all.y.RowValues(t));
      EXPECT_EQ(r.Get(0), all.rstd.Get(t));
    }
  });
}

TEST(LayerNorm, NaNStaysNaN) {
  ForEachTarget([] {
    const Norm n(DType::kF32, 1, 5, true);
    n.x.Set(3, NAN);
    LayerNormForward(n.x, n.w, n.b, kEps, n.xhat, n.y, n.rstd);
    for (int64_t i = 0; i < 5; ++i) EXPECT_TRUE(std::isnan(n.y.Get(i))) << i;
  });
}

TEST(LayerNorm, ThreadsChangeNoBit) {
  const int64_t T = 700, D = 576;
  const Norm n(DType::kBF16, T, D, true);
  const TestTensor dy = TestTensor::Random(DType::kF32, {T, D}, "dy");
  ExpectSameBitsOnAnyThreads([&] { return Norm(DType::kBF16, T, D, true).y; });
  for (const bool of_bias : {false, true}) {
    ExpectSameBitsOnAnyThreads([&] {
      const TestTensor dx(DType::kF32, {T, D}), dw(DType::kF32, {D}), db(DType::kF32, {D});
      LayerNormBackward(dy, n.xhat, n.w, n.rstd, dx, dw, db);
      return of_bias ? db : dw;
    });
  }
}

}  // namespace
}  // namespace lorikeet
