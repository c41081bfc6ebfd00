#include "data/blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace lorikeet {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int32_t kEos = 0;

// Documents of the given ids, each with the end-of-text token.
Dataset Documents(const std::vector<std::vector<int32_t>>& texts) {
  Dataset data;
  for (size_t i = 0; i < texts.size(); ++i) {
    Example example;
    example.tokens = texts[i];
    example.target_tokens.assign(texts[i].begin() + 1, texts[i].end());
    example.target_tokens.push_back(kEos);
    example.weights.assign(texts[i].size(), 1.0F);
    example.weights[0] = 0.5F;
    data.examples.push_back(example);
    data.line.push_back(static_cast<int64_t>(10 * i + 10));
  }
  data.stats.rows = static_cast<int64_t>(texts.size());
  return data;
}

TEST(Blocks, DocumentsStandEndToEndWithTheirEndsBetween) {
  const Dataset blocks = CutIntoBlocks(Documents({{1, 2, 3}, {4, 5}}), 4, kEos);
  ASSERT_EQ(blocks.examples.size(), 2);
  EXPECT_THAT(blocks.examples[0].tokens, ElementsAre(1, 2, 3, kEos));
  EXPECT_THAT(blocks.examples[0].target_tokens, ElementsAre(2, 3, kEos, 4));
  EXPECT_THAT(blocks.examples[1].tokens, ElementsAre(4, 5));
  EXPECT_THAT(blocks.examples[1].target_tokens, ElementsAre(5, kEos));
}

TEST(Blocks, EveryTokenButTheFirstIsATargetOfWeightOneOnce) {
  const Dataset documents = Documents({{1, 2, 3, 4, 5, 6, 7}, {8}, {9, 10}});
  for (const int64_t length : {1, 2, 3, 5, 100}) {
    const Dataset blocks = CutIntoBlocks(documents, length, kEos);
    std::vector<int32_t> targets;
    for (const Example& block : blocks.examples) {
      EXPECT_LE(block.num_tokens(), length);
      EXPECT_THAT(block.weights, Each(1.0F));
      targets.insert(targets.end(), block.target_tokens.begin(), block.target_tokens.end());
    }
    EXPECT_THAT(targets, ElementsAre(2, 3, 4, 5, 6, 7, kEos, 8, kEos, 9, 10, kEos));
    EXPECT_EQ(blocks.stats.tokens, 12);
    EXPECT_EQ(blocks.stats.trained_tokens, 12);
    EXPECT_EQ(blocks.stats.examples, static_cast<int64_t>(blocks.examples.size()));
    EXPECT_EQ(blocks.stats.rows, 3);
  }
}

TEST(Blocks, ABlockHasTheLineOfTheDocumentThatItBeginsIn) {
  const Dataset blocks = CutIntoBlocks(Documents({{1, 2, 3, 4}, {5, 6}}), 3, kEos);
  EXPECT_THAT(blocks.line, ElementsAre(10, 10, 20));
}

TEST(Blocks, ADocumentWithoutEndIsRefused) {
  Dataset documents = Documents({{1, 2, 3}, {4, 5}});
  documents.examples[1].target_tokens.back() = 6;
  try {
    CutIntoBlocks(documents, 4, kEos);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(e.what(), HasSubstr("line 20"));
  }
}

}  // namespace
}  // namespace lorikeet
