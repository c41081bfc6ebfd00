#include "data/epoch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace lorikeet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(EpochOrder, IsAPermutationThatSeedAndEpochChange) {
  std::vector<int64_t> sorted = EpochOrder(1000, 1, 0);
  const std::vector<int64_t> order = sorted;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> all(1000);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(sorted, all);
  EXPECT_NE(order, all);
  EXPECT_EQ(order, EpochOrder(1000, 1, 0));
  EXPECT_NE(order, EpochOrder(1000, 1, 1));
  EXPECT_NE(order, EpochOrder(1000, 2, 0));
}

// Runs are repeatable across machines and versions only while these values do not change.
TEST(EpochOrder, StaysAsItWas) {
  EXPECT_THAT(EpochOrder(8, 42, 3), ElementsAre(3, 6, 0, 5, 4, 1, 7, 2));
}

TEST(EpochOrder, EveryPlaceIsEquallyLikely) {
  constexpr int kItems = 5, kEpochs = 20000;
  int count[kItems][kItems] = {};
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const auto order = EpochOrder(kItems, 9, epoch);
    for (int place = 0; place < kItems; ++place) ++count[order[place]][place];
  }
  for (const auto& places : count) {
    for (const int n : places) EXPECT_NEAR(n, kEpochs / kItems, 300);  // 5 sigma
  }
}

TEST(BatchCursor, AnEpochGivesEveryExampleOnce) {
  BatchCursor cursor({.num_examples = 10, .batch_size = 4, .seed = 5});
  EXPECT_EQ(cursor.BatchesPerEpoch(), 3);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    EXPECT_EQ(cursor.epoch(), epoch);
    std::vector<int64_t> seen;
    for (const size_t size : {4u, 4u, 2u}) {
      const auto batch = cursor.Next();
      EXPECT_EQ(batch.size(), size);
      seen.insert(seen.end(), batch.begin(), batch.end());
    }
    EXPECT_EQ(seen, EpochOrder(10, 5, epoch));
  }
}

TEST(BatchCursor, CanDropTheLastBatchAndKeepTheOrder) {
  BatchCursor cursor({.num_examples = 5, .batch_size = 2, .shuffle = false, .drop_last = true});
  EXPECT_EQ(cursor.BatchesPerEpoch(), 2);
  EXPECT_THAT(cursor.Next(), ElementsAre(0, 1));
  EXPECT_THAT(cursor.Next(), ElementsAre(2, 3));
  EXPECT_EQ(cursor.epoch(), 1);
  EXPECT_THAT(cursor.Next(), ElementsAre(0, 1));
}

TEST(BatchCursor, ResumesAnywhere) {
  const BatchCursor::Options options{.num_examples = 7, .batch_size = 3, .seed = 8};
  for (int steps = 0; steps < 8; ++steps) {
    BatchCursor whole(options);
    for (int i = 0; i < steps; ++i) whole.Next();
    const Json saved = Json::parse(whole.ToJson().dump());
    BatchCursor resumed(options);
    resumed.Next();
    resumed.Restore(saved);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(resumed.Next(), whole.Next());
  }
}

TEST(BatchCursor, RefusesToResumeAnotherRun) {
  const BatchCursor::Options options{.num_examples = 7, .batch_size = 3, .seed = 8};
  BatchCursor cursor(options);
  const auto restore = [&](const char* key, Json value) {
    return [&cursor, key, value] {
      Json saved = cursor.ToJson();
      saved[key] = value;
      cursor.Restore(saved);
    };
  };
  EXPECT_THAT(restore("num_examples", 8),
              ThrowsMessage<Error>(HasSubstr("the saved run had num_examples 8")));
  EXPECT_THAT(restore("seed", 9), ThrowsMessage<Error>(HasSubstr("cannot resume")));
  EXPECT_THAT(restore("shuffle", false), ThrowsMessage<Error>(HasSubstr("cannot resume")));
  EXPECT_THAT(restore("position", 7), ThrowsMessage<Error>(HasSubstr("cannot be")));
  EXPECT_THAT(restore("position", 1), ThrowsMessage<Error>(HasSubstr("cannot be")));
  EXPECT_THAT(restore("epoch", "x"),
              ThrowsMessage<Error>(HasSubstr("\"epoch\" is missing or of a wrong type")));
  EXPECT_THAT([&] { cursor.Restore(Json::array()); }, ThrowsMessage<Error>(HasSubstr("missing")));
}

TEST(BatchCursor, RefusesEmptyBatches) {
  const auto make = [](int64_t n, int64_t size, bool drop) {
    return [=] { BatchCursor({.num_examples = n, .batch_size = size, .drop_last = drop}); };
  };
  EXPECT_THAT(make(0, 1, false), ThrowsMessage<Error>(HasSubstr("no examples")));
  EXPECT_THAT(make(4, 0, false), ThrowsMessage<Error>(HasSubstr("at least 1")));
  EXPECT_THAT(make(4, 5, true), ThrowsMessage<Error>(HasSubstr("do not fill one batch")));
}

}  // namespace
}  // namespace lorikeet
