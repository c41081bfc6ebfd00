#include "train/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

// The steps until it speaks, at most `most`.
int StepsUntilWrong(DivergenceWatch& watch, double loss, int most, std::string* what) {
  for (int step = 1; step <= most; ++step) {
    *what = watch.Add(loss);
    if (!what->empty()) return step;
  }
  return -1;
}

TEST(Divergence, AnImmediateExplosionIsWorseThanGuessing) {
  DivergenceWatch watch(1000);  // guessing costs 6.9 nats
  std::string what;
  EXPECT_EQ(watch.Add(2.0), "");
  EXPECT_EQ(StepsUntilWrong(watch, 9.0, 100, &what), DivergenceWatch::kWorseThanGuessing);
  EXPECT_THAT(what, HasSubstr("worse than guessing (6.908)"));
}

TEST(Divergence, APlateauFarAboveTheBeginningIsFoundLater) {
  DivergenceWatch watch(100000);
  std::string what;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(watch.Add(2.0), "");
  EXPECT_EQ(StepsUntilWrong(watch, 7.0, 100, &what), DivergenceWatch::kMuchWorse);
  EXPECT_THAT(what, HasSubstr("3 times its beginning (2.000)"));
}

TEST(Divergence, NoiseIsNot) {
  DivergenceWatch watch(1000);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(watch.Add(i % 9 == 0 ? 2.0 : 20.0), "") << i;
  DivergenceWatch small(1000);  // memorised data, then something new
  for (int i = 0; i < 20; ++i) EXPECT_EQ(small.Add(0.01), "");
  for (int i = 0; i < 200; ++i) EXPECT_EQ(small.Add(1.5), "");
}

TEST(Divergence, AModelThatBeginsWorseThanGuessingMayLearn) {
  DivergenceWatch watch(1000);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(watch.Add(15.0 - 0.05 * i), "");
}

TEST(Divergence, ASaturatedNetworkHasNoGradient) {
  DivergenceWatch watch(1000);
  for (int i = 1; i < DivergenceWatch::kWithoutGradient; ++i) {
    EXPECT_EQ(watch.AddGradient(0, 6.9), "");
    EXPECT_TRUE(watch.Suspicious());
  }
  EXPECT_NE(watch.AddGradient(0, 6.9), "");
  EXPECT_EQ(watch.AddGradient(1e-9, 6.9), "");
  EXPECT_FALSE(watch.Suspicious());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(watch.AddGradient(0, 0), "");  // learned to the last bit
}

TEST(Divergence, GoesOnWhereItStood) {
  DivergenceWatch watch(1000);
  watch.Add(2.0);
  for (int i = 1; i < DivergenceWatch::kWorseThanGuessing; ++i) EXPECT_EQ(watch.Add(9.0), "");
  DivergenceWatch resumed(1000);
  resumed.Restore(watch.ToJson());
  EXPECT_NE(resumed.Add(9.0), "");
}

}  // namespace
}  // namespace lorikeet
