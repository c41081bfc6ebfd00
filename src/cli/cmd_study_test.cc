// Tests of the study rl command on a tiny chat model: refused arguments and output files.
#include <gmock/gmock.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <set>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "rl/tiny_policy_for_test.h"
#include "study/run_spec.h"

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

class StudyFingerprints : public StudyRlCommand {
 protected:
  std::set<std::string> Runs() const {
    std::set<std::string> ids;
    for (const auto& run : std::filesystem::directory_iterator(tmp_ / "out/runs")) {
      ids.insert(run.path().filename().string());
    }
    return ids;
  }
  // Gives the runs the IDs of a version that knew a model by a sample of its weights.
  void MakeOld() const {
    for (const std::string& id : Runs()) {
      const std::string dir = tmp_ / ("out/runs/" + id);
      Json run = ParseJson(ReadFile(dir + "/run.json"), dir);
      const auto print = run["model_print"].get<std::string>();
      run["model_print"] = print.substr(0, print.find('-'));
      const std::string old = RunId(RunSpecFromJson(run, dir));
      Json result = ParseJson(ReadFile(dir + "/result.json"), dir);
      result["id"] = old;
      WriteFileAtomically(dir + "/run.json", run.dump(2));
      WriteFileAtomically(dir + "/result.json", result.dump(2));
      std::filesystem::rename(dir, tmp_ / ("out/runs/" + old));
    }
  }
  // Changes the last bit of one weight, which the sample of the matrix does not cover.
  void ChangeAWeight() const {
    const std::string path = File("model.safetensors");
    std::string bytes = ReadFile(path);
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    const Json entries = ParseJson(bytes.substr(sizeof header, header), path);
    const auto begin = entries["model.embed_tokens.weight"]["data_offsets"][0].get<size_t>();
    char& second_weight = bytes[sizeof header + header + begin + sizeof(float)];
    second_weight = static_cast<char>(second_weight ^ 1);
    WriteFileAtomically(path, bytes);
  }
  CommandOutcome Study(bool quiet = true) const {
    std::vector<std::string> arguments = {"lr",           model_.path(),
                                          "--data",       tmp_ / "data.jsonl",
                                          "--output-dir", tmp_ / "out",
                                          "--ranks",      "1",
                                          "--steps",      "2",
                                          "--seeds",      "1",
                                          "--lr-points",  "3",
                                          "--batch-size", "2",
                                          "--dtype",      "f32",
                                          "--eval-split", "0.25",
                                          "--threads",    "1"};
    if (quiet) arguments.emplace_back("--quiet");
    return RunCommand(RunStudy, arguments);
  }
  void SetUp() override {
    std::string rows;
    for (int i = 0; i < 8; ++i) {
      rows += OrderedJson({{"prompt", "say " + std::to_string(i)}, {"completion", "a b"}}).dump();
      rows += "\n";
    }
    WriteFileAtomically(tmp_ / "data.jsonl", rows);
  }
};

TEST_F(StudyFingerprints, AModelWithAnotherBitHasRunsOfItsOwn) {
  ASSERT_EQ(Study().error, "");
  const std::set<std::string> first = Runs();
  ASSERT_EQ(Study().error, "");
  EXPECT_EQ(Runs(), first);
  ChangeAWeight();
  ASSERT_EQ(Study().error, "");
  std::set<std::string> both = Runs();
  for (const std::string& id : first) EXPECT_EQ(both.erase(id), 1u);
  EXPECT_GE(both.size(), 3u);  // none is shared
}

TEST_F(StudyFingerprints, AnOlderStudyContinuesWithItsOwnIds) {
  ASSERT_EQ(Study().error, "");
  MakeOld();
  const std::set<std::string> old = Runs();
  std::filesystem::remove(tmp_ / ("out/runs/" + *old.begin() + "/result.json"));
  const CommandOutcome outcome = Study(/*quiet=*/false);
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(Runs(), old);
  EXPECT_TRUE(std::filesystem::exists(tmp_ / ("out/runs/" + *old.begin() + "/result.json")));
  EXPECT_THAT(outcome.err, HasSubstr("tells models apart by a sample of their weights"));
}

}  // namespace
}  // namespace lorikeet
