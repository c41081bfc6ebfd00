#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "data/tiny_bundle.h"
#include "model/random_model_for_test.h"
#include "options/args.h"
#include "recipes/rl_rewards.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RlOptions FromYaml(const std::string& yaml) {
  RlOptions options;
  SetDefaults(options);
  ApplyYaml(OptionTable(options), yaml, "run.yaml");
  return options;
}

std::vector<std::string> Resolved(const std::string& yaml) {
  RlOptions options = FromYaml(yaml);
  ResolveRewards(options);
  return options.rl().rewards;
}

std::string ErrorOf(const std::string& yaml) {
  try {
    Resolved(yaml);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(RlRewards, WithoutNamesWhatIsGivenCounts) {
  EXPECT_THAT(Resolved(""), ElementsAre("grader"));
  EXPECT_THAT(Resolved("reward_command: score\n"), ElementsAre("command"));
  EXPECT_THAT(Resolved("reward_command: [a, b]\nreward_url: ['http://h']\n"),
              ElementsAre("command", "command2", "url"));
  EXPECT_THAT(Resolved("rewards: [grader, url=-0.5]\nreward_url: http://h\n"),
              ElementsAre("grader", "url=-0.5"));
}

TEST(RlRewards, NamesMustStandForSomething) {
  EXPECT_THAT(ErrorOf("rewards: [think_fromat]\n"),
              HasSubstr("no reward 'think_fromat'; did you mean 'think_format'?"));
  EXPECT_THAT(ErrorOf("rewards: [grader, url]\n"), HasSubstr("--reward-url was given 0 times"));
  EXPECT_THAT(ErrorOf("rewards: [command, command3]\nreward_command: [a, b]\n"),
              HasSubstr("'command3' stands for nothing: --reward-command was given 2 times"));
  EXPECT_THAT(ErrorOf("rewards: [command1]\nreward_command: a\n"),
              HasSubstr("the first is command, the second command2"));
}

TEST(RlRewards, WhatIsGivenMustHaveAName) {
  EXPECT_THAT(ErrorOf("rewards: [grader, command]\nreward_command: [a, b]\n"),
              HasSubstr("'command2' is not among them, but --reward-command gives it"));
  EXPECT_THAT(ErrorOf("rewards: grader\nreward_url: http://h\n"), HasSubstr("'url' is not among"));
}

TEST(RlRewards, TheGraderCountsByItsWeight) {
  EXPECT_TRUE(GraderCounts(FromYaml("rewards: [url, grader=-1]\n")));
  EXPECT_FALSE(GraderCounts(FromYaml("rewards: [url, grader=0]\n")));
  EXPECT_FALSE(GraderCounts(FromYaml("rewards: [url]\n")));
}

constexpr Architecture kArchitecture = {"llama", 32, 2, 1, 16, 48, 2, 269, false, false};
constexpr const char* kHalf =
    "while read -r l; do id=${l#*:}; echo \"{\\\"id\\\":${id%%,*},\\\"reward\\\":0.5}\"; done";

// A base model: its tokenizer has no chat template.
class RlRewardsRun : public ::testing::Test {
 protected:
  RlRewardsRun() {
    const TinyBundleOptions bundle = {.eos = "</s>"};
    WriteFileAtomically(model_.path() + "/tokenizer.json",
                        tiny_bundle::TokenizerJson(bundle).dump());
    WriteFileAtomically(model_.path() + "/tokenizer_config.json",
                        R"({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"})");
  }
  CommandOutcome Rl(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {model_.path(),
                                          "--max-steps",
                                          "1",
                                          "--prompts-per-step",
                                          "2",
                                          "--group-size",
                                          "2",
                                          "--max-tokens",
                                          "8",
                                          "--eval-problems",
                                          "0",
                                          "--dtype",
                                          "f32",
                                          "--report-to",
                                          "none",
                                          "--output-dir",
                                          folder_ / "out"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(RunRl, arguments);
  }

  RandomModel model_{kArchitecture, "rl_rewards_test"};
  TemporaryFolder folder_;
};

TEST_F(RlRewardsRun, ABaseModelWithSeveralRewards) {
  EXPECT_THAT(Rl({"--task", "add"}).error,
              HasSubstr("give --chat-template plain for a base model"));
  const CommandOutcome outcome =
      Rl({"--task", "add", "--chat-template", "plain", "--reward-command", kHalf,
          "--reward-command", kHalf, "--rewards", "grader,command=2,command2=-0.5,think_format"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_THAT(outcome.err,
              HasSubstr("rewards: grader + command=2 + command2=-0.5 + think_format\n"));
  const std::string transcript = ReadFile(folder_ / "out/transcripts/step-000001.txt");
  EXPECT_THAT(transcript, HasSubstr("Question: "));
  EXPECT_THAT(transcript, HasSubstr("reward 0.75, wrong"));
  EXPECT_THAT(transcript, HasSubstr("; command 0.5; command2 0.5; think_format 0"));
  const std::string config = ReadFile(folder_ / "out/config.yaml");
  EXPECT_THAT(config,
              HasSubstr(R"(rewards: [grader, "command=2", "command2=-0.5", think_format])"));
  EXPECT_THAT(config, HasSubstr(R"(stop: ["\nQuestion:"])"));
}

TEST_F(RlRewardsRun, NoGrader) {
  WriteFileAtomically(folder_ / "rows.jsonl", R"({"prompt": "Say hello."})");
  const std::vector<std::string> data = {
      "--data", folder_ / "rows.jsonl", "--chat-template", "plain", "--grader", "none"};
  EXPECT_THAT(Rl(data).error, HasSubstr("rows.jsonl:1: the grader 'none' grades nothing"));
  std::vector<std::string> graded = data;
  graded.insert(graded.end(), {"--reward-command", kHalf});
  EXPECT_EQ(Rl(graded).error, "");
}

}  // namespace
}  // namespace lorikeet
