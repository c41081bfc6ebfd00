#include "verify/rewards/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify/rewards/reward_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

TEST(RewardProtocolTest, RequestHoldsWhatAVerifierNeeds) {
  const RewardRequests requests(1, "say \"4\"\n\xff");
  const std::string text = RewardRequestJson(7, requests.all()[0]);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_TRUE(text.starts_with(R"({"id":7,)"));
  const Json json = ParseJson(text, "request");
  EXPECT_EQ(json["task"], "sums");
  EXPECT_EQ(json["problem"], "sums.jsonl:1");
  EXPECT_EQ(json["prompt"], "2+2?");
  EXPECT_EQ(json["completion"], "say \"4\"\n\uFFFD");
  EXPECT_EQ(json["answer"], "4");
  EXPECT_EQ(json["data"]["level"], 3);
  EXPECT_EQ(json["messages"], Json::parse(R"([{"role": "user", "content": "2+2?"}])"));
}

TEST(RewardProtocolTest, RepliesInAnyOrder) {
  const RewardRequests requests(4);
  RewardBatch batch(requests.all(), 10);
  batch.Take(R"({"id": 13, "reward": -2.5, "reason": "rude"})");
  batch.Take(R"({"id": 11, "invalid": true, "reason": "no sandbox"})");
  batch.Take(R"({"id": 10, "reward": 3})");
  EXPECT_EQ(batch.Unanswered().size(), 1u);
  EXPECT_FALSE(batch.complete());
  batch.Take(R"({"id": 12, "reward": 0.25, "correct": false})");
  batch.Take(R"({"id": 10, "reward": 1})");  // the first counts
  EXPECT_TRUE(batch.complete());
  const std::vector<Grade> grades = batch.Finish("late");
  EXPECT_EQ(grades[0].verdict, Verdict::kCorrect);
  EXPECT_EQ(grades[0].reward, 3);
  EXPECT_EQ(grades[1].verdict, Verdict::kInvalid);
  EXPECT_EQ(grades[1].reason, "no sandbox");
  EXPECT_EQ(grades[2].verdict, Verdict::kWrong);
  EXPECT_EQ(grades[2].reward, 0.25);
  EXPECT_EQ(grades[3].verdict, Verdict::kWrong);
  EXPECT_EQ(grades[3].reward, -2.5);
  EXPECT_EQ(grades[3].reason, "rude");
}

TEST(RewardProtocolTest, RepliesWithoutARewardAreInvalid) {
  const char* replies[] = {
      R"({"id": 0, "reward": NaN})",
      R"({"id": 0, "reward": 1e999})",
      R"({"id": 0, "reward": "1"})",
      R"({"id": 0, "reward": null})",
      R"({"id": 0})",
      R"({"id": 0, "reward": -Infinity})",
      R"({"id": 0, "invalid": true})",
      R"({"id": 0, "reward": 1)",
      R"({"id":0,"reward":1}{"id":0})",
  };
  for (const char* reply : replies) {
    const RewardRequests requests(1);
    RewardBatch batch(requests.all(), 0);
    batch.Take(reply);
    EXPECT_TRUE(batch.complete()) << reply;
    const Grade grade = batch.Finish("late")[0];
    EXPECT_EQ(grade.verdict, Verdict::kInvalid) << reply;
    EXPECT_THAT(grade.reason, ::testing::Not(HasSubstr("late"))) << reply;
  }
}

Grade GradeFor(const std::string& reply) {
  const RewardRequests requests(1);
  RewardBatch batch(requests.all(), 0);
  batch.Take(reply);
  return batch.Finish("late")[0];
}

TEST(RewardProtocolTest, TrueAndFalseAreOneAndZero) {
  EXPECT_EQ(GradeFor(R"({"id": 0, "reward": true})").reward, 1);
  EXPECT_EQ(GradeFor(R"({"id": 0, "reward": true})").verdict, Verdict::kCorrect);
  EXPECT_EQ(GradeFor(R"({"id": 0, "reward": false})").reward, 0);
  EXPECT_EQ(GradeFor(R"({"id": 0, "reward": false})").verdict, Verdict::kWrong);
}

TEST(RewardProtocolTest, WhatIsWrongWithARewardIsNamed) {
  const std::pair<const char*, const char*> replies[] = {
      {R"({"id": 0, "reward": "0.5"})", "its reward is text, not a number"},
      {R"({"id": 0, "reward": null})", "its reward is null, not a number"},
      {R"({"id": 0, "reward": [1]})", "its reward is array, not a number"},
      {R"({"id": 0})", "it has no reward"},
      {R"({"id": 0, "reward": 1e308})", "its reward is beyond 1e+12 in size"},
      {R"({"id": 0, "reward": -1e13})", "its reward is beyond 1e+12 in size"},
      {R"({"id": 0, "reward": NaN})", "it is not JSON"},
  };
  for (const auto& [reply, refusal] : replies) {
    const Grade grade = GradeFor(reply);
    EXPECT_EQ(grade.verdict, Verdict::kInvalid) << reply;
    EXPECT_EQ(grade.refusal, refusal) << reply;
  }
  EXPECT_THAT(GradeFor(replies[0].first).reason, HasSubstr(replies[0].second));
  EXPECT_EQ(GradeFor(R"({"id": 0, "reward": 1e12})").reward, 1e12);
  // What the program itself calls invalid is no fault of its replies.
  EXPECT_EQ(GradeFor(R"({"id": 0, "invalid": true})").refusal, "");
}

TEST(RewardProtocolTest, AReasonIsOneLineThatMovesNoCursor) {
  const Grade grade = GradeFor(
      R"({"id": 0, "reward": 0, "reason": "no\n--- reward 1, correct\u001b[2J\u0085\u00e9"})");
  EXPECT_EQ(grade.reason, R"(no\n--- reward 1, correct\x1b[2J\x85)"
                          "\u00e9");
  const std::string longer =
      GradeFor(R"({"id": 0, "invalid": true, "reason": ")" + std::string(100'000, 'x') + R"("})")
          .reason;
  EXPECT_LT(longer.size(), 3000U);
}

TEST(RewardProtocolTest, WhatBelongsToNoRequestIsTheReason) {
  for (const char* reply :
       {R"({"id": 5, "reward": 1})", R"({"id": -1, "reward": 1})", R"({"id": "0", "reward": 1})",
        R"({"reward": 1})", "1", "[]", "hello", R"({"id": 99999999999999999999, "reward": 1})"}) {
    const RewardRequests requests(1);
    RewardBatch batch(requests.all(), 0);
    batch.Take(reply);
    EXPECT_FALSE(batch.complete()) << reply;
    const Grade grade = batch.Finish("late")[0];
    EXPECT_EQ(grade.verdict, Verdict::kInvalid);
    EXPECT_THAT(grade.reason, HasSubstr("late; the last reply that belongs to no request"));
    EXPECT_THAT(grade.reason, HasSubstr(reply));
  }
}

TEST(RewardProtocolTest, Arrays) {
  const RewardRequests requests(2);
  RewardBatch batch(requests.all(), 0);
  batch.TakeEach(
      R"([{"id": 1, "reward": 0.5}, {"id": 7, "reward": 1}, 3, {"id": 0, "reward": 1}])");
  EXPECT_TRUE(batch.complete());
  RewardBatch broken(requests.all(), 0);
  broken.TakeEach(R"([{"id": 1, "reward": 0.5})");
  EXPECT_EQ(broken.Unanswered().size(), 2u);
  broken.TakeEach(R"({"id": 1, "reward": 0.5})");
  EXPECT_EQ(broken.Unanswered().size(), 2u);
}

}  // namespace
}  // namespace lorikeet
