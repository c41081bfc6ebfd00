#include "checkpoint/fused_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "core/error.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Names(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

Buffer Counting(std::initializer_list<int64_t> shape) {
  Buffer buffer(DType::kF32, shape);
  for (int64_t i = 0; i < buffer.tensor().size(); ++i) {
    buffer.tensor().as<float>()[i] = static_cast<float>(i + 1);
  }
  return buffer;
}

TEST(FusedExperts, EveryExpertsMatrixIsAView) {
  const Buffer gate_up = Counting({2, 6, 4}), down = Counting({2, 4, 3});
  const auto parts =
      SplitFusedExperts({"model.layers.0.mlp.experts.gate_up_proj", gate_up.tensor()}, false, "f");
  EXPECT_THAT(Names(parts), ElementsAre("model.layers.0.mlp.experts.0.gate_proj.weight",
                                        "model.layers.0.mlp.experts.0.up_proj.weight",
                                        "model.layers.0.mlp.experts.1.gate_proj.weight",
                                        "model.layers.0.mlp.experts.1.up_proj.weight"));
  EXPECT_EQ(parts[3].tensor.as<float>()[0], 1 * 24 + 12 + 1);
  EXPECT_EQ(parts[3].tensor.rows(), 3);
  EXPECT_THAT(
      Names(SplitFusedExperts({"model.layers.7.mlp.experts.down_proj", down.tensor()}, true, "f")),
      ElementsAre("model.layers.7.block_sparse_moe.experts.0.w2.weight",
                  "model.layers.7.block_sparse_moe.experts.1.w2.weight"));
  EXPECT_THAT(Names(SplitFusedExperts({"model.norm.weight", down.tensor()}, true, "f")),
              ElementsAre("model.norm.weight"));
}

TEST(FusedExperts, OtherShapesAreRefused) {
  const Buffer matrix = Counting({6, 4}), odd = Counting({2, 5, 4});
  for (const Tensor& tensor : {matrix.tensor(), odd.tensor(),
                               Tensor(matrix.tensor().data, DType::kF32, {1 << 30, 0, 4})}) {
    try {
      SplitFusedExperts({"model.layers.0.mlp.experts.gate_up_proj", tensor}, false, "the file");
      FAIL();
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("the file: tensor"));
    }
  }
}

// Two experts, rank 2, D = 3: a (4, 3), b (out, 4) with b[:, rank * 2 + expert].
TEST(FusedPair, IsDividedAmongExpertsAndHalves) {
  const Buffer a = Counting({4, 3}), b = Counting({2, 4});
  const AdapterFile::Pair fused = {"m.experts.gate_up_proj", a.tensor(), b.tensor(), 8, 2};
  std::vector<Buffer> storage;
  const auto pairs = SplitFusedPair(fused, false, &storage);
  ASSERT_EQ(pairs.size(), 4U);
  EXPECT_EQ(pairs[3].module, "m.experts.1.up_proj");
  EXPECT_EQ(pairs[3].r, 2);
  EXPECT_EQ(pairs[3].alpha, 8);
  EXPECT_EQ(pairs[3].a.as<float>()[0], 7);
  EXPECT_THAT(std::vector<float>(pairs[3].b.as<float>(), pairs[3].b.as<float>() + 2),
              ElementsAre(6, 8));
}

TEST(FusedPair, ThatIsBlockDiagonalIsThePairsThatItWas) {
  const Buffer a = Counting({4, 3}), b = Counting({2, 4});
  float* values = b.tensor().as<float>();
  values[2] = values[3] = values[4] = values[5] = 0;  // gate reads rank 0, up rank 1
  const AdapterFile::Pair fused = {"m.experts.gate_up_proj", a.tensor(), b.tensor(), 8, 2};
  std::vector<Buffer> storage;
  const auto pairs = SplitFusedPair(fused, false, &storage);
  ASSERT_EQ(pairs.size(), 4U);
  EXPECT_EQ(pairs[3].r, 1);
  EXPECT_EQ(pairs[3].alpha, 4);  // the same scale
  EXPECT_EQ(pairs[3].a.as<float>()[0], 10);
  EXPECT_EQ(pairs[3].b.as<float>()[0], 8);
  EXPECT_EQ(pairs[0].b.as<float>()[0], 1);
}

TEST(FusedPair, RanksThatDoNotFitAreRefused) {
  const Buffer a = Counting({4, 3}), b = Counting({3, 4});
  std::vector<Buffer> storage;
  EXPECT_THROW(
      SplitFusedPair({"m.experts.down_proj", a.tensor(), b.tensor(), 8, 3}, false, &storage),
      std::invalid_argument);
  EXPECT_THROW(
      SplitFusedPair({"m.experts.gate_up_proj", a.tensor(), b.tensor(), 8, 2}, false, &storage),
      std::invalid_argument);
}

}  // namespace
}  // namespace lorikeet
