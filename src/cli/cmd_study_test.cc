// Tests of the study rl command on a tiny chat model: refused arguments and output files.
#include <gmock/gmock.h>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "rl/tiny_policy_for_test.h"

namespace lorikeet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StudyRlCommand : public ::testing::Test {
 protected:
  StudyRlCommand() : model_(kTinyChat, "cmd_study") { WriteConfig(kChatMl); }
  std::string File(const std::string& name) const { return model_.path() + "/" + name; }
  void WriteConfig(const std::string& chat_template) const {
    OrderedJson config = {{"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}};
    if (!chat_template.empty()) config["chat_template"] = chat_template;
    WriteFileAtomically(File("tokenizer.json"), tiny_bundle::TokenizerJson({}).dump());
    WriteFileAtomically(File("tokenizer_config.json"), config.dump());
  }
  // Two steps of two prompts with two completions each.
  CommandOutcome Run(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"rl",
                                          model_.path(),
                                          "--output-dir",
                                          tmp_ / "out",
                                          "--ranks",
                                          "1",
                                          "--seeds",
                                          "1",
                                          "--lr-points",
                                          "3",
                                          "--steps",
                                          "2",
                                          "--prompts-per-step",
                                          "2",
                                          "--group-size",
                                          "2",
                                          "--dtype",
                                          "f32",
                                          "--max-tokens",
                                          "4",
                                          "--eval-problems",
                                          "2",
                                          "--threads",
                                          "1",
                                          "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(RunStudy, arguments);
  }
  std::string Refused(const std::vector<std::string>& more) const {
    const CommandOutcome outcome = Run(more);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.error, Not(HasSubstr("\n")));
    return outcome.error;
  }
  std::string Rows(const std::string& answer) const {
    std::string text;
    for (int i = 0; i < 20; ++i) {
      const OrderedJson row = {{"prompt", "say " + std::to_string(i)}, {"answer", answer}};
      text += row.dump() + "\n";
    }
    WriteFileAtomically(tmp_ / "rows.jsonl", text);
    return tmp_ / "rows.jsonl";
  }

  TemporaryFolder tmp_{"cmd_study_test"};
  RandomModel model_;
};

TEST_F(StudyRlCommand, AsksForATaskOrForDataAndForNoData) {
  EXPECT_THAT(Refused({}), AllOf(HasSubstr("--task"), HasSubstr("--data")));
  EXPECT_THAT(Refused({"--task", "add", "--data", Rows("1")}), HasSubstr("either --task"));
  EXPECT_THAT(Refused({"--task", "ad"}), HasSubstr("add"));
  EXPECT_THAT(Refused({"--task", "add", "--difficulty", "1000"}), HasSubstr("difficult"));
  EXPECT_THAT(Refused({"--data", Rows("1"), "--grader", "none"}), HasSubstr("grades nothing"));
  EXPECT_THAT(Refused({"--data", Rows("1"), "--eval-split", "0.001"}), HasSubstr("eval_split"));
  EXPECT_THAT(Refused({"--task", "add", "--schedules", "linear"}), HasSubstr("constant"));
  EXPECT_THAT(Refused({"--task", "add", "--objective", "grop"}), HasSubstr("grpo"));
}

TEST_F(StudyRlCommand, ABaseModelIsToldOfThePlainTemplate) {
  WriteConfig("");
  EXPECT_THAT(Refused({"--task", "add"}), HasSubstr("--chat-template plain"));
  EXPECT_EQ(Run({"--task", "add", "--chat-template", "plain", "--dry-run"}).status, 0);
}

TEST_F(StudyRlCommand, SaysBeforehandWhatItWillCost) {
  const CommandOutcome outcome = Run({"--task", "add", "--dry-run"});
  EXPECT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("6 runs of 2 swept conditions"), HasSubstr("max_tokens")));
}

TEST_F(StudyRlCommand, LeavesAReportFromProblemsOfAFile) {
  const std::vector<std::string> more = {"--data", Rows("[ -~]"),     "--grader",
                                         "regex",  "--lr-per-decade", "1"};
  const CommandOutcome outcome = Run(more);
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_THAT(outcome.out, HasSubstr("The untrained model's reward is"));
  EXPECT_THAT(ReadFile(tmp_ / "out/report.html"), HasSubstr("Optima after 2 steps"));
  EXPECT_THAT(ReadFile(tmp_ / "out/rl/config.yaml"), HasSubstr("grader: regex"));
  EXPECT_THAT(ReadFile(tmp_ / "out/rl/rl_optima.csv"), HasSubstr("highest final reward"));
}

}  // namespace
}  // namespace lorikeet
