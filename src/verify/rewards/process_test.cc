#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "verify/rewards/function.h"
#include "verify/rewards/reward_for_test.h"

namespace lorikeet {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;

constexpr double kPatient = 60;

// A loop in sh: `body` sees the id of each request in $id and the request in $line.
std::string Loop(const std::string& body) {
  return "while read -r line; do id=${line#*:}; id=${id%%,*}; " + body + "; done";
}
const char kHalf[] = R"(echo "{\"id\":$id,\"reward\":0.5}")";

auto Invalid(const std::string& reason) {
  return AllOf(Field(&Grade::verdict, Verdict::kInvalid), Field(&Grade::reason, HasSubstr(reason)));
}
auto Rewarded(double reward) {
  return AllOf(Field(&Grade::verdict, Verdict::kCorrect), Field(&Grade::reward, reward));
}

TEST(RewardProcessTest, OneProcessForManyBatches) {
  const RewardFunction reward = ProcessReward(
      "n=0; " + Loop("n=$((n+1)); echo \"{\\\"id\\\":$id,\\\"reward\\\":$n}\""), kPatient);
  const RewardRequests requests(2);
  EXPECT_THAT(reward(requests.all()), ::testing::ElementsAre(Rewarded(1), Rewarded(2)));
  EXPECT_THAT(reward(requests.all()), ::testing::ElementsAre(Rewarded(3), Rewarded(4)));
  EXPECT_TRUE(reward({}).empty());
}

TEST(RewardProcessTest, AnyOrder) {
  const RewardFunction reward = ProcessReward(
      "read -r a; read -r b; read -r c; "
      R"(echo '{"id":3,"reward":3}'; echo 'loading...'; echo; echo '{"id":1,"reward":1}'; echo '{"id":2,"reward":2}'; cat)",
      kPatient);
  const RewardRequests requests(3);
  EXPECT_THAT(reward(requests.all()),
              ::testing::ElementsAre(Rewarded(1), Rewarded(2), Rewarded(3)));
}

TEST(RewardProcessTest, RestartedOnceInABatch) {
  const std::string mark = ::testing::TempDir() + "/lorikeet_reward_" + std::to_string(getpid());
  const std::string once =
      Loop(std::string(kHalf) + "; if [ ! -e " + mark + " ]; then touch " + mark + "; exit 1; fi");
  std::filesystem::remove(mark);
  const RewardFunction reward = ProcessReward(once, kPatient);
  const RewardRequests requests(4);
  EXPECT_THAT(reward(requests.all()), Each(Rewarded(0.5)));
  std::filesystem::remove(mark);  // and again in the next one
  EXPECT_THAT(reward(requests.all()), Each(Rewarded(0.5)));
  std::filesystem::remove(mark);
}

TEST(RewardProcessTest, DyingAgainMakesTheRestInvalid) {
  const RewardFunction reward = ProcessReward(Loop(std::string(kHalf) + "; exit 3"), kPatient);
  const RewardRequests requests(4);
  const std::vector<Grade> grades = reward(requests.all());
  EXPECT_THAT(grades, ::testing::ElementsAre(Rewarded(0.5), Rewarded(0.5), Invalid("status 3"),
                                             Invalid("status 3")));
  EXPECT_THAT(ProcessReward("exec no-such-reward-command 2>&-", kPatient)(requests.all()),
              Each(Invalid("status 127")));
}

TEST(RewardProcessTest, LateIsInvalidAndTheNextBatchIsServed) {
  const RewardFunction reward =
      ProcessReward(Loop("case $line in *slow*) sleep 100;; esac; " + std::string(kHalf)), 0.1);
  EXPECT_THAT(reward(RewardRequests(2, "slow").all()), Each(Invalid("no reply within 0.1 s")));
  // On a busy machine a tenth of a second may be too short.
  constexpr int kTries = 100;
  std::vector<Grade> grades;
  for (int i = 0; i < kTries && (i == 0 || grades[1].verdict == Verdict::kInvalid); ++i) {
    grades = reward(RewardRequests(2, "fast").all());
  }
  EXPECT_THAT(grades, Each(Rewarded(0.5)));
}

TEST(RewardProcessTest, GarbageIsInvalid) {
  const RewardFunction reward = ProcessReward(
      "read -r a; "
      R"(echo '{"id":1,"reward":NaN}'; echo '{"id":2,"reward":"much"}'; echo '{"id":77,"reward":1}')",
      kPatient);
  const RewardRequests requests(3);
  EXPECT_THAT(reward(requests.all()),
              ::testing::ElementsAre(Invalid("not JSON"), Invalid("without a finite reward"),
                                     Invalid("belongs to no request: '{\"id\":77")));
}

// More than the pipes hold, in both directions.
TEST(RewardProcessTest, Huge) {
  const RewardFunction reward = ProcessReward(
      R"(grep --line-buffered -o '^{"id":[0-9]*' | while read -r x; do echo "$x,\"reward\":0.5}"; done)",
      kPatient);
  EXPECT_THAT(reward(RewardRequests(5000).all()), Each(Rewarded(0.5)));
  EXPECT_THAT(reward(RewardRequests(3, std::string(10 << 20, 'x')).all()), Each(Rewarded(0.5)));
}

}  // namespace
}  // namespace lorikeet
