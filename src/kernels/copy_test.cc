#include "kernels/copy.h"

#include <vector>

#include "kernels/cast.h"
#include "kernels/kernel_for_test.h"

namespace lorikeet {
namespace {

TEST(Copy, ScatteredRowsLandWhereTheyAreSentAndNothingElseMoves) {
  const std::vector<int64_t> rows = {4, 0, 2};
  for (const int64_t cols : {1, 7, 16, 33}) {
    const auto from = TestTensor::Random(DType::kF32, {3, cols}, "from");
    const auto to = TestTensor::Random(DType::kF32, {5, cols}, "to");
    std::vector<float> expected(static_cast<size_t>(5 * cols)), got(expected.size());
    CopyToHost(to, expected);
    for (size_t i = 0; i < rows.size(); ++i) {
      const float* row = from.tensor().as<float>() + static_cast<int64_t>(i) * cols;
      std::copy(row, row + cols, expected.begin() + rows[i] * cols);
    }
    PutRows(from, rows, to);
    CopyToHost(to, got);
    EXPECT_EQ(got, expected);
    const TestTensor back(DType::kF32, {3, cols});
    CopyRows(to, rows, back);
    EXPECT_EQ(std::memcmp(back.tensor().data, from.tensor().data, from.bytes()), 0);
  }
}

TEST(Copy, ZeroAndHostCopies) {
  const auto t = TestTensor::Random(DType::kF32, {3, 5}, "t");
  std::vector<float> values(15);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 7;
  CopyFromHost(values, t);
  std::vector<float> got(15);
  CopyToHost(t, got);
  EXPECT_EQ(got, values);
  Zero(t);
  CopyToHost(t, got);
  EXPECT_EQ(got, std::vector<float>(15, 0.0F));
}

}  // namespace
}  // namespace lorikeet
