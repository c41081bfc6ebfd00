#include "kernels/adamw.h"

#include "kernels/kernel_for_test.h"

namespace lorikeet {
namespace {

// torch.optim.AdamW(lr=1e-2, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1) in f32 printed the
// literals; the gradient is halved by grad_scale here.
TEST(AdamW, TenStepsAsTorchMakesThem) {
  ForEachTarget([] {
    const int64_t n = 5;
    const TestTensor param(DType::kF32, {n}), grad(DType::kF32, {n}), m(DType::kF32, {n});
    const TestTensor v(DType::kF32, {n}), copy(DType::kBF16, {n});
    const float start[] = {0.5F, -1.25F, 3e-3F, 2.0F, -0.75F};
    for (int64_t i = 0; i < n; ++i) param.Set(i, start[i]);
    AdamWParams params{.learning_rate = 1e-2, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.1};
    params.grad_scale = 0.5;
    const auto expect = [](const TestTensor& got, const std::vector<double>& expected) {
      for (int64_t i = 0; i < got.size(); ++i) {
        EXPECT_NEAR(got.Get(i), expected[i], 1e-6 * std::abs(expected[i])) << i;
      }
    };
    for (int step = 1; step <= 10; ++step) {
      for (int i = 0; i < n; ++i) {
        grad.Set(i, static_cast<float>(0.1 * ((step * 7 + i * 3) % 5 - 2) + 0.013 * i));
      }
      params.step = step;
      AdamWUpdate(param, grad, m, v, params, copy);
      if (step == 1) {
        expect(param, {0.499500006, -1.2387501, -0.00700284168, 2.00799966, -0.759249926});
      }
    }
    expect(param, {0.479096919, -1.22548163, -0.0185173322, 1.97530496, -0.788774014});
    expect(m, {-0.00359450723, 0.00747659896, 0.00845207088, 0.0163024347, 0.0136993043});
    expect(v, {0.00205802941, 0.00198513642, 0.00207304629, 0.00225172099, 0.00217429944});
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(copy.Get(i), ToFloat(ToBfloat16(param.Get(i))));
    }
  });
}

TEST(AdamW, EverySizeIsTheFormula) {
  ForEachTarget([] {
    const AdamWParams params{.learning_rate = 1e-3, .weight_decay = 0.01, .step = 3};
    for (const int64_t n : kWidths) {
      const TestTensor p = TestTensor::Random(DType::kF32, {n}, "p"), before = p.Copy();
      const TestTensor g = TestTensor::Random(DType::kF32, {n}, "g");
      const TestTensor m = TestTensor::Random(DType::kF32, {n}, "m"), m0 = m.Copy();
      const TestTensor v(DType::kF32, {n});
      AdamWUpdate(p, g, m, v, params);
      for (int64_t i = 0; i < n; ++i) {
        const double m1 = 0.9 * m0.Get(i) + 0.1 * g.Get(i);
        const double v1 = 0.001 * g.Get(i) * g.Get(i);
        const double root = std::sqrt(v1 / (1.0 - std::pow(0.999, 3))) + 1e-8;
        const double expected =
            before.Get(i) * (1.0 - 1e-5) - 1e-3 * m1 / (1.0 - std::pow(0.9, 3)) / root;
        EXPECT_NEAR(p.Get(i), expected, 1e-6 * (1.0 + std::abs(expected))) << i;
      }
    }
  });
}

TEST(AdamW, ThreadsChangeNoBit) {
  const int64_t n = 100003;
  const TestTensor g = TestTensor::Random(DType::kF32, {n}, "g");
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor p = TestTensor::Random(DType::kF32, {n}, "p");
    const TestTensor m(DType::kF32, {n}), v(DType::kF32, {n});
    AdamWUpdate(p, g, m, v, {.learning_rate = 1e-3});
    return p;
  });
}

TEST(SumOfSquares, IsExactToF64OnAnyThreads) {
  ForEachTarget([] {
    for (const int64_t n : {1, 2, 7, 8, 9, 31, 33, 8191, 8192, 8193, 100003}) {
      const TestTensor x = TestTensor::Random(DType::kF32, {n}, "x");
      double expected = 0;
      for (const double value : x.Values()) expected += value * value;
      EXPECT_NEAR(SumOfSquares(x), expected, 1e-13 * expected) << n;
      ExpectSameBitsOnAnyThreads([&] {
        const TestTensor sum(DType::kF32, {2});
        const double value = SumOfSquares(x);
        std::memcpy(sum.tensor().data, &value, sizeof(value));
        return sum;
      });
    }
  });
  const TestTensor large(DType::kF32, {2});
  large.Set(0, 1e30F);  // its square is no f32
  EXPECT_NEAR(SumOfSquares(large), 1e60, 1e53);
}

TEST(AllFinite, FindsOneBadElementAnywhere) {
  ForEachTarget([] {
    for (const int64_t n : {1, 5, 16, 17, 63, 64, 65, 130, 70001}) {
      const TestTensor x = TestTensor::Random(DType::kF32, {n}, "x", 3e38);
      EXPECT_TRUE(AllFinite(x));
      for (const int64_t at : {int64_t{0}, n / 2, n - 1}) {
        const float good = x.Get(at);
        for (const float bad : {NAN, INFINITY, -INFINITY}) {
          x.Set(at, bad);
          EXPECT_FALSE(AllFinite(x)) << n << " at " << at;
        }
        x.Set(at, good);
      }
    }
  });
}

}  // namespace
}  // namespace lorikeet
