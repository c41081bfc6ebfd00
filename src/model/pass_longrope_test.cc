// Sequences that longrope's short list of factors does not hold for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

TEST(Longrope, ASequenceOfTheOriginalLengthIsTheLongest) {
  const auto model = Model::Load(GoldenDir("phi3"), DType::kF32);
  constexpr int64_t kOriginal = 2048;
  ASSERT_EQ(model->config().max_position_embeddings, kOriginal);
  const int64_t V = model->config().vocab_size;
  Arena arena(size_t{256} << 20);
  {
    const ArenaScope scope(arena);
    EXPECT_NO_THROW(Forward(*model, RandomBatch({kOriginal}, V).batch, {}, arena));
  }
  try {
    Forward(*model, RandomBatch({3, kOriginal + 1}, V).batch, {}, arena);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("longer than original_max_position_embeddings, 2048 tokens"));
  }
}

}  // namespace
}  // namespace lorikeet
