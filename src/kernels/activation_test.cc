#include "kernels/activation.h"

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

struct SquaredRelu {
  static constexpr auto kForward = SquaredReluForward;
  static constexpr auto kBackward = SquaredReluBackward;
  static constexpr double kRounding = 1e-6;
  template <class T>
  static T Of(const T& x) {
    return reference::SquaredRelu(x);
  }
};
struct Gelu {
  static constexpr auto kForward = GeluForward;
  static constexpr auto kBackward = GeluBackward;
  static constexpr double kRounding = 5e-6;
  template <class T>
  static T Of(const T& x) {
    return reference::GeluTanh(x);
  }
};

template <class Act>
class Activations : public ::testing::Test {};
using Kinds = ::testing::Types<SquaredRelu, Gelu>;
TYPED_TEST_SUITE(Activations, Kinds);

TestTensor Input(DType dtype, int64_t T, int64_t F) {
  return TestTensor::Random(dtype, {T, F}, "x", 6.0);
}

TYPED_TEST(Activations, ForwardIsTheFormula) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      const double rounding = dtype == DType::kF32 ? TypeParam::kRounding : 0x1p-8;
      for (const int64_t F : kWidths) {
        const TestTensor x = Input(dtype, 2, F), h(dtype, {2, F});
        TypeParam::kForward(x, h);
        for (int64_t i = 0; i < h.size(); ++i) {
          const double expected = TypeParam::template Of<double>(x.Get(i));
          EXPECT_NEAR(h.Get(i), expected, rounding * std::abs(expected) + 1e-30) << x.Get(i);
        }
        TypeParam::kForward(x, x);  // in place
        EXPECT_TRUE(SameBits(x, h)) << F;
      }
    }
  });
}

TYPED_TEST(Activations, BackwardIsTheComplexStepAndRepeatsTheForwardsBits) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t F : kWidths) {
        const TestTensor x = Input(dtype, 1, F), h(dtype, {1, F}), again(dtype, {1, F});
        const TestTensor dh = TestTensor::Random(DType::kF32, {1, F}, "dh"), dx(dtype, {1, F});
        TypeParam::kForward(x, h);
        TypeParam::kBackward(dh, x, dx, again);
        EXPECT_TRUE(SameBits(h, again)) << F;
        const auto d = dh.Values();
        const auto expected = reference::ComplexStep(x.Values(), [&](const auto& z) {
          auto sum = 0.0 * z[0];
          for (int64_t i = 0; i < F; ++i) sum += d[i] * TypeParam::Of(z[i]);
          return sum;
        });
        EXPECT_LT(RelativeError(dx.Values(), expected), Tolerance(dtype)) << F;
        TypeParam::kBackward(dh, x, x, Tensor());  // in place
        EXPECT_TRUE(SameBits(x, dx)) << F;
      }
    }
  });
}

TYPED_TEST(Activations, NaNStaysNaN) {
  ForEachTarget([] {
    const TestTensor x(DType::kF32, {1, 3}), h(DType::kF32, {1, 3}), dh(DType::kF32, {1, 3});
    x.Set(1, NAN);
    for (int64_t i = 0; i < 3; ++i) dh.Set(i, 1.0F);
    TypeParam::kForward(x, h);
    EXPECT_EQ(h.Get(0), 0.0F);
    EXPECT_TRUE(std::isnan(h.Get(1)));
    TypeParam::kBackward(dh, x, h, Tensor());
    EXPECT_TRUE(std::isnan(h.Get(1)));
  });
}

TYPED_TEST(Activations, ARowHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const TestTensor x = Input(DType::kBF16, 300, 131), all(DType::kBF16, {300, 131});
  TypeParam::kForward(x, all);
  for (const int64_t t : {0, 1, 155, 299}) {
    const TestTensor h(DType::kBF16, {1, 131});
    TypeParam::kForward(x.tensor().Rows(t, t + 1), h);
    EXPECT_EQ(h.Values(), all.RowValues(t));
  }
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor h(DType::kBF16, {300, 131});
    TypeParam::kForward(x, h);
    return h;
  });
}

}  // namespace
}  // namespace lorikeet
