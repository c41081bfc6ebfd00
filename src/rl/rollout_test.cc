// Sampling and grading with a tiny random model and tokenizer.
#include "rl/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "core/threads_scope_for_test.h"
#include "data/render.h"
#include "data/tiny_bundle.h"
#include "model/random_model_for_test.h"

namespace lorikeet {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kVocab = 269;  // vocabulary of the tiny tokenizer: bytes, merges, special tokens
constexpr Architecture kArchitecture = {"llama", 32, 2, 1, 16, 48, 2, kVocab, false, false};

Problem Ask(const std::string& text) {
  Problem problem;
  problem.task = "test";
  problem.grader = "regex";
  problem.answer = "^.";  // any text that is not empty
  problem.id = text;
  problem.messages = {{.role = "user", .content = text, .fields = OrderedJson::object()}};
  return problem;
}

class RolloutTest : public ::testing::Test {
 protected:
  // Groups of prompts with these texts; at most `slots` sequences run at once.
  std::vector<Group> Sample(const std::vector<std::string>& texts,
                            const RewardFunction& reward = {}, int64_t slots = 8,
                            std::vector<std::string> stops = {}) {
    const ChatFormat format{bundle_, template_, std::move(stops)};
    std::vector<Group> groups;
    for (const std::string& text : texts) groups.push_back(format.MakeGroup(Ask(text)));
    Generator generator(*model_, {.slots = slots, .capacity = 160, .tokens_per_step = 32});
    SampleRollouts(generator, format, config_, reward, groups);
    return groups;
  }

  TokenizerBundle bundle_ = MakeTinyBundle({.chat_template = kChatMl});
  ChatTemplate template_ = *ChooseChatTemplate(bundle_, "");
  RandomModel folder_{kArchitecture, "rollout_test"};
  std::unique_ptr<Model> model_ = folder_.Load(DType::kF32);
  RolloutConfig config_{.group_size = 4, .sampling = {.max_tokens = 24, .seed = 11}};
};

// Expects the same bits.
void ExpectSame(const Group& a, const Group& b) {
  EXPECT_EQ(a.prompt, b.prompt);
  ASSERT_EQ(a.rollouts.size(), b.rollouts.size());
  for (size_t j = 0; j < a.rollouts.size(); ++j) {
    const Generation &x = a.rollouts[j].generation, &y = b.rollouts[j].generation;
    EXPECT_EQ(x.tokens, y.tokens);
    ASSERT_EQ(x.logprobs.size(), y.logprobs.size());
    EXPECT_EQ(std::memcmp(x.logprobs.data(), y.logprobs.data(), x.logprobs.size() * sizeof(float)),
              0);
    EXPECT_EQ(x.reason, y.reason);
    EXPECT_EQ(a.rollouts[j].text, b.rollouts[j].text);
    EXPECT_EQ(a.rollouts[j].grade.reward, b.rollouts[j].grade.reward);
  }
}

const char kLong[] = "hello hello hello hello hello hello hello hello hello hello!";

TEST_F(RolloutTest, AGroupDoesNotKnowItsCompany) {
  const std::vector<Group> groups = Sample({"hello", kLong, "2+2?"});
  // With groups of other lengths before and after it, more than there are slots.
  const std::vector<Group> others = Sample({"something else", kLong, kLong, "?", "hell"});
  ExpectSame(groups[1], others[1]);
  const std::vector<Group> fewer = Sample({"hello", kLong});
  ExpectSame(groups[0], fewer[0]);
  ExpectSame(groups[1], fewer[1]);
}

TEST_F(RolloutTest, NorBatchesNorThreads) {
  const std::vector<Group> groups = Sample({"hello", kLong, "2+2?"});
  for (const int threads : {1, 3}) {
    const ThreadsScope scope(threads);
    for (const int64_t slots : {1, 5, 12}) {
      const std::vector<Group> same = Sample({"hello", kLong, "2+2?"}, {}, slots);
      for (size_t g = 0; g < groups.size(); ++g) ExpectSame(groups[g], same[g]);
    }
  }
}

TEST_F(RolloutTest, SamplesOfAGroupOfAPlaceAndOfASeedDiffer) {
  const std::vector<Group> groups = Sample({"hello", "hello"});
  std::map<std::vector<int32_t>, int> seen;
  for (const Group& group : groups) {
    for (const Rollout& rollout : group.rollouts) ++seen[rollout.generation.tokens];
  }
  EXPECT_EQ(seen.size(), 8U);
  config_.sampling.seed = 12;
  const std::vector<Group> reseeded = Sample({"hello", "hello"});
  EXPECT_NE(groups[0].rollouts[0].generation.tokens, reseeded[0].rollouts[0].generation.tokens);
}

TEST_F(RolloutTest, TheTextEndsBeforeTheStopToken) {
  config_.group_size = 64;
  config_.sampling.stop_tokens = {'a', 'e', 'i'};  // the id of a byte's token is its value
  const Group group = Sample({"hello"})[0];
  int stopped = 0, cut = 0;
  for (const Rollout& rollout : group.rollouts) {
    const std::vector<int32_t>& tokens = rollout.generation.tokens;
    if (rollout.generation.reason == StopReason::kStop) {
      ++stopped;
      EXPECT_EQ(rollout.text, bundle_.tokenizer.Decode({tokens.data(), tokens.size() - 1}));
    } else {
      ++cut;
      EXPECT_EQ(rollout.generation.reason, StopReason::kLength);
      EXPECT_EQ(rollout.text, bundle_.tokenizer.Decode(tokens));
    }
  }
  EXPECT_GT(stopped, 0);
  EXPECT_GT(cut, 0);
}

// The first two adjacent printable characters; "" if there are none.
std::string TwoLetters(const std::string& text) {
  const auto is_letter = [](char c) { return c >= '!' && c <= '~'; };
  for (size_t i = 1; i < text.size(); ++i) {
    if (is_letter(text[i - 1]) && is_letter(text[i])) return text.substr(i - 1, 2);
  }
  return "";
}

// Samples equal those without stop strings, up to the stop string.
TEST_F(RolloutTest, AStopStringEndsASampleAndLeavesItsText) {
  config_.group_size = 16;
  const Group free = Sample({"hello"})[0];
  size_t index = 0;
  while (TwoLetters(free.rollouts.at(index).text).empty()) ++index;
  const std::string whole = free.rollouts[index].text, stop = TwoLetters(whole);
  const Group group = Sample({"hello"}, {}, 8, {"", stop, "does not occur"})[0];
  const Rollout& stopped = group.rollouts[index];
  EXPECT_EQ(stopped.text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(stopped.generation.reason, StopReason::kCallback);
  EXPECT_THAT(bundle_.tokenizer.Decode(stopped.generation.tokens), EndsWith(stop));
  for (size_t j = 0; j < group.rollouts.size(); ++j) {
    const std::vector<int32_t>& tokens = group.rollouts[j].generation.tokens;
    const std::vector<int32_t>& longer = free.rollouts[j].generation.tokens;
    ASSERT_LE(tokens.size(), longer.size());
    EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), longer.begin()));
    EXPECT_EQ(group.rollouts[j].generation.logprobs.size(), tokens.size());
    EXPECT_THAT(group.rollouts[j].text, Not(HasSubstr(stop)));
  }
}

TEST_F(RolloutTest, RewardsGetEveryTextInOrderAndEachGradeFindsItsWay) {
  config_.group_size = 2;
  config_.sampling.stop_tokens = {'a', 'e', 'i'};
  std::vector<std::string> problems, prompts, completions;
  const RewardFunction reward = [&](std::span<const RewardRequest> requests) {
    std::vector<Grade> grades;
    for (const RewardRequest& request : requests) {
      problems.push_back(request.problem->id);
      prompts.emplace_back(request.prompt);
      completions.emplace_back(request.completion);
      grades.push_back({Verdict::kWrong, static_cast<double>(grades.size()), "", {{"url", 5}}});
    }
    return grades;
  };
  const std::vector<Group> groups = Sample({"hello", "2+2?"}, reward);
  EXPECT_THAT(problems, ::testing::ElementsAre("hello", "hello", "2+2?", "2+2?"));
  EXPECT_EQ(prompts[2], "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n");
  double next = 0;
  for (const Group& group : groups) {
    for (const Rollout& rollout : group.rollouts) {
      EXPECT_EQ(rollout.text, completions[static_cast<size_t>(next)]);
      EXPECT_EQ(rollout.grade.reward, next++);
      EXPECT_EQ(rollout.grade.parts.at(0).reward, 5);
    }
  }
}

TEST_F(RolloutTest, WithoutARewardProblemsAreGradedByTheirOwnGraders) {
  const std::vector<Group> groups = Sample({"hello"});
  for (const Rollout& rollout : groups[0].rollouts) {
    EXPECT_EQ(rollout.grade.verdict, Verdict::kCorrect) << rollout.text << rollout.grade.reason;
  }
}

TEST_F(RolloutTest, APromptBeginsWithBosOnce) {
  bundle_ = MakeTinyBundle({.chat_template = kLlama3, .eos = "<|eot_id|>", .add_bos = true});
  const ChatTemplate llama = *ChooseChatTemplate(bundle_, ""),
                     chatml = *ChooseChatTemplate(bundle_, "chatml");
  for (const ChatTemplate* each : {&llama, &chatml}) {
    const Group group = ChatFormat{bundle_, *each}.MakeGroup(Ask("hello"));
    EXPECT_EQ(std::count(group.prompt.begin(), group.prompt.end(), bundle_.bos_id), 1);
    EXPECT_EQ(group.prompt[0], bundle_.bos_id);
    EXPECT_EQ(group.problem.id, "hello");
  }
}

}  // namespace
}  // namespace lorikeet
