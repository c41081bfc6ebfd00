#include "study/spectral_norms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lorikeet {
namespace {

Tensor View(std::vector<float>& values, int64_t rows, int64_t cols) {
  return {values.data(), DType::kF32, {rows, cols}};
}

TEST(SpectralNorms, OfMatricesWithKnownOnes) {
  // A = diag(3, 1) beside zeros; B = [[0, 2], [5, 0], [0, 0]], stored as B^T.
  std::vector<float> a = {3, 0, 0, 0, 1, 0}, bt = {0, 5, 0, 2, 0, 0};
  const SpectralNorms norms = NormsOf(View(a, 2, 3), View(bt, 2, 3), 0.5);
  EXPECT_NEAR(norms.a, 3, 1e-6);
  EXPECT_NEAR(norms.b, 5, 1e-6);
  EXPECT_NEAR(norms.update, 0.5 * 15, 1e-5);  // B A = [[0, 2], [15, 0], [0, 0]]
}

TEST(SpectralNorms, AFreshAdapterAddsNothing) {
  std::vector<float> a = {1, 2, 3, 4}, bt(4, 0.0F);
  const SpectralNorms norms = NormsOf(View(a, 2, 2), View(bt, 2, 2), 32);
  EXPECT_EQ(norms.b, 0);
  EXPECT_EQ(norms.update, 0);
  EXPECT_NEAR(norms.a, std::sqrt(15 + std::sqrt(221.0)), 1e-6);  // eigenvalues 15 +- sqrt(221)
}

}  // namespace
}  // namespace lorikeet
