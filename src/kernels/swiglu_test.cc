#include "kernels/swiglu.h"

#include <limits>

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

struct Activation {
  TestTensor gate, up, gate_c, up_c, h;

  Activation(DType dtype, int64_t T, int64_t F)
      : gate(TestTensor::Random(DType::kF32, {T, F}, "gate", 12.0)),
        up(TestTensor::Random(DType::kF32, {T, F}, "up")),
        gate_c(dtype, {T, F}),
        up_c(dtype, {T, F}),
        h(dtype, {T, F}) {
    SwigluForward(gate, up, gate_c, up_c, h);
  }
};

double RoundingOf(DType dtype) { return dtype == DType::kF32 ? 1e-6 : 0x1p-8; }

TEST(Swiglu, ForwardIsTheFormulaOfTheRoundedValues) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const Activation a(dtype, 2, F);
        for (int64_t i = 0; i < a.h.size(); ++i) {
          EXPECT_EQ(a.gate_c.Get(i),
                    dtype == DType::kF32 ? a.gate.Get(i) : ToFloat(ToBfloat16(a.gate.Get(i))));
          const double expected = reference::Silu<double>(a.gate_c.Get(i)) * a.up_c.Get(i);
          EXPECT_NEAR(a.h.Get(i), expected, RoundingOf(dtype) * std::abs(expected)) << i;
        }
      }
    }
  });
}

TEST(Swiglu, RecomputeAndTheBackwardRepeatTheForwardsBits) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const Activation a(dtype, 3, F);
        const TestTensor h(dtype, {3, F}), h2(dtype, {3, F}), dh(DType::kF32, {3, F});
        SwigluRecompute(a.gate_c, a.up_c, h);
        EXPECT_TRUE(SameBits(a.h, h)) << F;
        SwigluBackward(dh, a.gate_c, a.up_c, a.gate_c, a.up_c, h2);  // in place
        EXPECT_TRUE(SameBits(a.h, h2)) << F;
      }
    }
  });
}

TEST(Swiglu, BackwardIsTheComplexStep) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const Activation a(dtype, 1, F);
        const TestTensor dh = TestTensor::Random(DType::kF32, {1, F}, "dh");
        const TestTensor dgate(dtype, {1, F}), dup(dtype, {1, F});
        SwigluBackward(dh, a.gate_c, a.up_c, dgate, dup, Tensor());
        const auto gate = a.gate_c.Values(), up = a.up_c.Values(), d = dh.Values();
        const auto expected_gate = reference::ComplexStep(gate, [&](const auto& z) {
          auto sum = 0.0 * z[0];
          for (int64_t i = 0; i < F; ++i) sum += d[i] * up[i] * reference::Silu(z[i]);
          return sum;
        });
        const auto expected_up = reference::ComplexStep(up, [&](const auto& z) {
          auto sum = 0.0 * z[0];
          for (int64_t i = 0; i < F; ++i) sum += d[i] * z[i] * reference::Silu(gate[i]);
          return sum;
        });
        EXPECT_LT(RelativeError(dgate.Values(), expected_gate), Tolerance(dtype)) << F;
        EXPECT_LT(RelativeError(dup.Values(), expected_up), Tolerance(dtype)) << F;
      }
    }
  });
}

TEST(WeightedSwiglu, IsSwigluTimesTheRowsWeight) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const Activation a(dtype, 3, F);
        const TestTensor weights = TestTensor::Random(DType::kF32, {3}, "weights", 1.0);
        const TestTensor h(dtype, {3, F});
        WeightedSwigluForward(a.gate_c, a.up_c, weights, h);
        for (int64_t i = 0; i < h.size(); ++i) {
          const double expected =
              weights.Get(i / F) * reference::Silu<double>(a.gate_c.Get(i)) * a.up_c.Get(i);
          EXPECT_NEAR(h.Get(i), expected, RoundingOf(dtype) * std::abs(expected)) << i;
        }
      }
    }
  });
}

TEST(WeightedSwiglu, BackwardIsTheComplexStepAndRepeatsTheForward) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const Activation a(dtype, 1, F);
        const TestTensor dh = TestTensor::Random(DType::kF32, {1, F}, "dh");
        const TestTensor weight = TestTensor::Random(DType::kF32, {1}, "weight");
        const TestTensor dgate(dtype, {1, F}), dup(dtype, {1, F}), h(dtype, {1, F}),
            again(dtype, {1, F}), dweight(DType::kF32, {1});
        WeightedSwigluForward(a.gate_c, a.up_c, weight, h);
        WeightedSwigluBackward(dh, a.gate_c, a.up_c, weight, dgate, dup, again, dweight);
        EXPECT_TRUE(SameBits(h, again)) << F;
        // All inputs in one row: gate, up, weight.
        auto inputs = a.gate_c.Values();
        const auto up = a.up_c.Values(), d = dh.Values();
        inputs.insert(inputs.end(), up.begin(), up.end());
        inputs.push_back(weight.Get(0));
        const auto expected = reference::ComplexStep(inputs, [&](const auto& z) {
          auto sum = 0.0 * z[0];
          for (size_t i = 0; i < d.size(); ++i) {
            sum += d[i] * z.back() * reference::Silu(z[i]) * z[d.size() + i];
          }
          return sum;
        });
        const auto part = [&](int64_t begin, int64_t n) {
          return std::vector<double>(expected.begin() + begin, expected.begin() + begin + n);
        };
        EXPECT_LT(RelativeError(dgate.Values(), part(0, F)), Tolerance(dtype)) << F;
        EXPECT_LT(RelativeError(dup.Values(), part(F, F)), Tolerance(dtype)) << F;
        EXPECT_LT(RelativeError(dweight.Values(), part(2 * F, 1)), 1e-5) << F;
      }
    }
  });
}

TEST(Swiglu, LargeGatesNeitherOverflowNorLoseNaN) {
  ForEachTarget([] {
    const TestTensor gate(DType::kF32, {1, 6}), up(DType::kF32, {1, 6}), h(DType::kF32, {1, 6});
    const float gates[] = {88.5F, 1e30F, -88.5F, -1e30F, 0.0F, NAN};
    for (int64_t i = 0; i < 6; ++i) {
      gate.Set(i, gates[i]);
      up.Set(i, 1.0F);
    }
    SwigluForward(gate, up, gate, up, h);
    EXPECT_EQ(h.Get(0), 88.5F);
    EXPECT_EQ(h.Get(1), 1e30F);
    EXPECT_NEAR(h.Get(2), 0.0F, 1e-35);
    EXPECT_EQ(h.Get(3), 0.0F);
    EXPECT_EQ(h.Get(4), 0.0F);
    EXPECT_TRUE(std::isnan(h.Get(5)));
    SwigluBackward(up, gate, up, gate, h, Tensor());
    EXPECT_EQ(gate.Get(1), 1.0F);
    EXPECT_EQ(gate.Get(3), 0.0F);
    EXPECT_EQ(gate.Get(4), 0.5F);
  });
}

TEST(Swiglu, ARowHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const Activation all(DType::kBF16, 300, 131);
  for (const int64_t t : {0, 1, 155, 299}) {
    const TestTensor g(DType::kBF16, {1, 131}), u(DType::kBF16, {1, 131}),
        h(DType::kBF16, {1, 131});
    SwigluForward(all.gate.tensor().Rows(t, t + 1), all.up.tensor().Rows(t, t + 1), g, u, h);
    EXPECT_EQ(h.Values(), all.h.RowValues(t));
  }
  ExpectSameBitsOnAnyThreads([] { return Activation(DType::kBF16, 300, 131).h; });
}

// Gate and up as the two halves of one product, and their gradients as those of another.
TEST(Swiglu, HalvesOfAFusedProduct) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const int64_t T = 3;
        const TestTensor gate = TestTensor::Random(dtype, {T, F}, "gate"),
                         up = TestTensor::Random(dtype, {T, F}, "up"),
                         dh = TestTensor::Random(DType::kF32, {T, F}, "dh");
        const TestTensor both(dtype, {T, 2 * F}), dboth(dtype, {T, 2 * F});
        for (int64_t i = 0; i < T * F; ++i) {
          both.Set(i / F * 2 * F + i % F, gate.Get(i));
          both.Set(i / F * 2 * F + F + i % F, up.Get(i));
        }
        const Columns left(both, 0, F), right(both, F, F);
        const TestTensor h(dtype, {T, F}), h2(dtype, {T, F}), h3(dtype, {T, F});
        SwigluRecompute(gate, up, h);
        SwigluRecompute(left, right, h2);
        EXPECT_TRUE(SameBits(h, h2)) << F;
        const TestTensor dgate(dtype, {T, F}), dup(dtype, {T, F});
        SwigluBackward(dh, gate, up, dgate, dup, Tensor());
        SwigluBackward(dh, left, right, Columns(dboth, 0, F), Columns(dboth, F, F), h3);
        EXPECT_TRUE(SameBits(h, h3)) << F;
        for (int64_t i = 0; i < T * F; ++i) {
          ASSERT_EQ(dboth.Get(i / F * 2 * F + i % F), dgate.Get(i));
          ASSERT_EQ(dboth.Get(i / F * 2 * F + F + i % F), dup.Get(i));
        }
      }
    }
  });
}

}  // namespace
}  // namespace lorikeet
