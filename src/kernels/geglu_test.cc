#include "kernels/geglu.h"

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

struct Gated {
  TestTensor gate, up, h;

  Gated(DType dtype, int64_t T, int64_t F)
      : gate(TestTensor::Random(dtype, {T, F}, "gate", 6.0)),
        up(TestTensor::Random(dtype, {T, F}, "up")),
        h(dtype, {T, F}) {
    GegluForward(gate, up, h);
  }
};

TEST(Geglu, ForwardIsTheFormula) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      const double rounding = dtype == DType::kF32 ? 5e-6 : 0x1p-8;
      for (const int64_t F : kWidths) {
        const Gated a(dtype, 2, F);
        for (int64_t i = 0; i < a.h.size(); ++i) {
          const double expected = reference::GeluTanh<double>(a.gate.Get(i)) * a.up.Get(i);
          EXPECT_NEAR(a.h.Get(i), expected, rounding * std::abs(expected) + 1e-30) << a.gate.Get(i);
        }
      }
    }
  });
}

TEST(Geglu, BackwardIsTheComplexStepAndRepeatsTheForwardsBits) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const Gated a(dtype, 1, F);
        const TestTensor dh = TestTensor::Random(DType::kF32, {1, F}, "dh");
        const TestTensor dgate(dtype, {1, F}), dup(dtype, {1, F}), h(dtype, {1, F});
        GegluBackward(dh, a.gate, a.up, dgate, dup, h);
        EXPECT_TRUE(SameBits(a.h, h)) << F;
        const auto gate = a.gate.Values(), up = a.up.Values(), d = dh.Values();
        const auto expected_gate = reference::ComplexStep(gate, [&](const auto& z) {
          auto sum = 0.0 * z[0];
          for (int64_t i = 0; i < F; ++i) sum += d[i] * up[i] * reference::GeluTanh(z[i]);
          return sum;
        });
        const auto expected_up = reference::ComplexStep(up, [&](const auto& z) {
          auto sum = 0.0 * z[0];
          for (int64_t i = 0; i < F; ++i) sum += d[i] * z[i] * reference::GeluTanh(gate[i]);
          return sum;
        });
        EXPECT_LT(RelativeError(dgate.Values(), expected_gate), Tolerance(dtype)) << F;
        EXPECT_LT(RelativeError(dup.Values(), expected_up), Tolerance(dtype)) << F;
        GegluBackward(dh, a.gate, a.up, a.gate, a.up, Tensor());  // in place
        EXPECT_TRUE(SameBits(a.gate, dgate) && SameBits(a.up, dup)) << F;
      }
    }
  });
}

TEST(Geglu, LargeGatesNeitherOverflowNorLoseNaN) {
  ForEachTarget([] {
    const TestTensor gate(DType::kF32, {1, 6}), up(DType::kF32, {1, 6}), h(DType::kF32, {1, 6});
    const float gates[] = {12.5F, 1e30F, -12.5F, -1e30F, 0.0F, NAN};
    for (int64_t i = 0; i < 6; ++i) {
      gate.Set(i, gates[i]);
      up.Set(i, 1.0F);
    }
    GegluForward(gate, up, h);
    EXPECT_EQ(h.Get(0), 12.5F);
    EXPECT_EQ(h.Get(1), 1e30F);
    for (const int64_t i : {2, 3, 4}) EXPECT_EQ(h.Get(i), 0.0F) << i;
    EXPECT_TRUE(std::isnan(h.Get(5)));
    GegluBackward(up, gate, up, gate, h, Tensor());
    EXPECT_EQ(gate.Get(0), 1.0F);
    EXPECT_EQ(gate.Get(1), 1.0F);
    EXPECT_EQ(gate.Get(3), 0.0F);
    EXPECT_EQ(gate.Get(4), 0.5F);
    EXPECT_TRUE(std::isnan(gate.Get(5)));
  });
}

TEST(Geglu, ARowHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const Gated all(DType::kBF16, 300, 131);
  for (const int64_t t : {0, 1, 155, 299}) {
    const TestTensor h(DType::kBF16, {1, 131});
    GegluForward(all.gate.tensor().Rows(t, t + 1), all.up.tensor().Rows(t, t + 1), h);
    EXPECT_EQ(h.Values(), all.h.RowValues(t));
  }
  ExpectSameBitsOnAnyThreads([] { return Gated(DType::kBF16, 300, 131).h; });
}

// Gate and up as the two halves of one product, and their gradients as those of another.
TEST(Geglu, HalvesOfAFusedProduct) {
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
        GegluForward(gate, up, h);
        GegluForward(left, right, h2);
        EXPECT_TRUE(SameBits(h, h2)) << F;
        const TestTensor dgate(dtype, {T, F}), dup(dtype, {T, F});
        GegluBackward(dh, gate, up, dgate, dup, Tensor());
        GegluBackward(dh, left, right, Columns(dboth, 0, F), Columns(dboth, F, F), h3);
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
