#include "kernels/sigmoid.h"

#include <cmath>
#include <limits>

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

double Reference(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Sigmoid, ForwardIsTheFormula) {
  const TestTensor x = TestTensor::Random(DType::kF32, {67}, "x"), gates(DType::kF32, {67});
  x.Set(0, -200.0F);
  x.Set(1, 200.0F);
  x.Set(2, std::numeric_limits<float>::quiet_NaN());
  SigmoidForward(x, gates);
  EXPECT_EQ(gates.Get(0), 0.0F);
  EXPECT_EQ(gates.Get(1), 1.0F);
  EXPECT_TRUE(std::isnan(gates.Get(2)));
  for (int64_t i = 3; i < 67; ++i) EXPECT_NEAR(gates.Get(i), Reference(x.Get(i)), 1e-6);
}

TEST(Sigmoid, BackwardIsTheDerivative) {
  const TestTensor x = TestTensor::Random(DType::kF32, {67}, "x"), gates(DType::kF32, {67});
  const TestTensor d = TestTensor::Random(DType::kF32, {67}, "d");
  SigmoidForward(x, gates);
  for (const DType dtype : kComputeTypes) {
    const TestTensor dx(dtype, {67});
    SigmoidBackward(d, gates, dx);
    std::vector<double> expected;
    for (int64_t i = 0; i < 67; ++i) {
      const double s = Reference(x.Get(i));
      expected.push_back(d.Get(i) * s * (1 - s));
    }
    EXPECT_LT(RelativeError(dx.Values(), expected), Tolerance(dtype));
  }
}

TEST(Sigmoid, ThreadsChangeNoBit) {
  const TestTensor x = TestTensor::Random(DType::kF32, {20000}, "x");
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor gates(DType::kF32, {20000});
    SigmoidForward(x, gates);
    return gates;
  });
}

}  // namespace
}  // namespace lorikeet
