#include "checkpoint/quantise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "checkpoint/dequantise.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_golden_for_test.h"
#include "core/random.h"

namespace lorikeet {
namespace {

// Blocks of ggml and of the `gguf` package (tools/gguf_quant_goldens.py): normal values, runs of
// zeros, one outlier, tiny and huge magnitudes, constants, values of one sign.
TEST(Quantise, EveryTypeAsGgml) {
  const GgufFile gguf(GgufGolden("quantised.gguf"));
  const Tensor values = gguf.Find("values");
  ASSERT_TRUE(values);
  int types = 0;
  for (const auto& [name, tensor] : gguf.tensors()) {
    if (name == "values") continue;
    ++types;
    ASSERT_TRUE(CanQuantise(tensor.dtype)) << name;
    ASSERT_EQ(tensor.size(), values.size()) << name;
    std::vector<std::byte> blocks(static_cast<size_t>(tensor.bytes()));
    QuantiseRow(tensor.dtype, values.as<float>(), values.size(), blocks.data());
    const auto block = static_cast<size_t>(DTypeBytes(tensor.dtype, DTypeBlock(tensor.dtype)));
    for (size_t at = 0; at < blocks.size(); at += block) {
      ASSERT_EQ(std::memcmp(blocks.data() + at, static_cast<std::byte*>(tensor.data) + at, block),
                0)
          << name << " block " << at / block;
    }
  }
  EXPECT_EQ(types, 6);
}

TEST(Quantise, TheErrorIsThatOfTheBits) {
  constexpr int64_t kCount = 4096;
  const RandomStream random(7, "quantise");
  std::vector<float> x(kCount), y(kCount);
  for (size_t i = 0; i < x.size(); ++i) {  // nearly normal: sums of 12
    for (uint64_t k = 0; k < 12; ++k) x[i] += static_cast<float>(random.Uniform(12 * i + k) - 0.5);
  }
  // Root mean square errors relative to the standard deviation.
  const std::pair<DType, double> bounds[] = {{DType::kQ8_0, 0.008}, {DType::kQ6_K, 0.025},
                                             {DType::kQ5_K, 0.05},  {DType::kQ5_0, 0.06},
                                             {DType::kQ4_K, 0.09},  {DType::kQ4_0, 0.11}};
  for (const auto& [dtype, bound] : bounds) {
    std::vector<std::byte> blocks(static_cast<size_t>(DTypeBytes(dtype, kCount)));
    QuantiseRow(dtype, x.data(), kCount, blocks.data());
    DequantiseRow(dtype, blocks.data(), kCount, y.data());
    double squares = 0;
    for (size_t i = 0; i < x.size(); ++i) squares += std::pow(x[i] - y[i], 2);
    EXPECT_LT(std::sqrt(squares / kCount), bound) << DTypeName(dtype);
    EXPECT_GT(std::sqrt(squares / kCount), bound / 4) << DTypeName(dtype);
  }
  EXPECT_FALSE(CanQuantise(DType::kQ2_K));
}

}  // namespace
}  // namespace lorikeet
