#include "train/early_stopping.h"

#include <gtest/gtest.h>

#include <limits>

namespace lorikeet {
namespace {

TEST(BestEvaluation, CountsEvaluationsWithoutABetterOne) {
  BestEvaluation best(2);
  EXPECT_FALSE(best.any());
  EXPECT_TRUE(best.Add(0, 3.0));
  EXPECT_TRUE(best.Add(10, 2.0));
  EXPECT_FALSE(best.Add(20, 2.0));  // equal is not better
  EXPECT_FALSE(best.ShouldStop());
  EXPECT_TRUE(best.Add(30, 1.9));
  EXPECT_FALSE(best.Add(40, std::numeric_limits<double>::quiet_NaN()));
  BestEvaluation resumed(2);
  resumed.Restore(best.ToJson());
  EXPECT_FALSE(resumed.Add(50, 5.0));
  EXPECT_TRUE(resumed.ShouldStop());
  EXPECT_EQ(resumed.step(), 30);
  EXPECT_EQ(resumed.loss(), 1.9);
}

TEST(BestEvaluation, WithoutPatienceNeverStops) {
  BestEvaluation best(0);
  for (int i = 0; i < 100; ++i) best.Add(i, i);
  EXPECT_FALSE(best.ShouldStop());
  EXPECT_EQ(best.step(), 0);
}

}  // namespace
}  // namespace lorikeet
