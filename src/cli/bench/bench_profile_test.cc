#include "cli/bench/bench_profile.h"

#include <gmock/gmock.h>

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

StepProfile TwoSteps() {
  return MakeStepProfile({{"base products", 28, 1.6}, {"norms", 8, 0.2}, {"novelty", 2, 0.1}},
                         {{"norms", 4, 1e8, 1e9}, {"base products", 14, 4e10, 1e8}}, 2, 1.0,
                         {.matmul_gflops = 100, .read_gbs = 20});
}

TEST(StepProfile, TimesOfSeveralStepsMeetTheCostsOfOne) {
  const StepProfile profile = TwoSteps();
  ASSERT_EQ(profile.parts.size(), 3);
  EXPECT_EQ(profile.parts[0].cost.part, "base products");
  EXPECT_DOUBLE_EQ(profile.parts[0].cost.calls, 14);
  EXPECT_DOUBLE_EQ(profile.parts[0].seconds, 0.8);
  EXPECT_DOUBLE_EQ(profile.parts[0].point.share_of_ceiling, 0.5);
  EXPECT_DOUBLE_EQ(profile.parts[1].point.ideal_seconds, 0.05);
  EXPECT_DOUBLE_EQ(profile.IdealSeconds(), 0.45);
  EXPECT_NEAR(profile.RestSeconds(), 0.05, 1e-12);
}

TEST(StepProfile, AReportHasARowForEveryPartTheRestAndTheStep) {
  const std::string text = StepProfileText(TwoSteps());
  EXPECT_THAT(text, HasSubstr("at 5.0 FLOP per byte"));
  EXPECT_THAT(text, HasSubstr("50.0 % matmul"));
  EXPECT_THAT(text, HasSubstr("50.0 % memory"));
  EXPECT_THAT(text, HasSubstr("  the rest                  50.0     5.0 %\n"));
  EXPECT_THAT(text, HasSubstr("  step                    1000.0   100.0 %"));
  const OrderedJson json = StepProfileJson(TwoSteps());
  EXPECT_EQ(json["parts"]["norms"]["ceiling"], "memory");
  // A part without counted cost has a time but no rate.
  EXPECT_DOUBLE_EQ(json["parts"]["novelty"]["share"].get<double>(), 0.05);
  EXPECT_EQ(json["parts"]["novelty"]["gb_per_second"], 0);
}

}  // namespace
}  // namespace lorikeet
