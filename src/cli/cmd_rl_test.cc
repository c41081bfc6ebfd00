// Tests of the rl command on a tiny chat model: refused arguments and output files.
#include <gmock/gmock.h>

#include <sstream>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "rl/objective.h"
#include "rl/tiny_policy_for_test.h"

namespace lorikeet {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class RlCommand : public ::testing::Test {
 protected:
  RlCommand() : model_(kTinyChat, "cmd_rl") {
    WriteFileAtomically(File("tokenizer.json"), tiny_bundle::TokenizerJson({}).dump());
    WriteConfig(kChatMl);
  }
  std::string File(const std::string& name) const { return model_.path() + "/" + name; }
  void WriteConfig(const std::string& chat_template) const {
    OrderedJson config = {{"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}};
    if (!chat_template.empty()) config["chat_template"] = chat_template;
    WriteFileAtomically(File("tokenizer_config.json"), config.dump());
  }
  // Arguments of a run of 2 steps of the tiny model into the folder `out`, with `more`.
  std::vector<std::string> Arguments(const std::string& out, std::vector<std::string> more) const {
    more.insert(more.begin(), {model_.path(), "--output-dir",
                               tmp_ / out,    "--max-steps",
                               "2",           "--prompts-per-step",
                               "2",           "--group-size",
                               "2",           "--max-tokens",
                               "4",           "--eval-problems",
                               "2",           "--eval-samples",
                               "2",           "--learning-rate",
                               "1e-2",        "--dtype",
                               "f32",         "--threads",
                               "1",           "--quiet"});
    return more;
  }
  CommandOutcome Run(const std::string& out, const std::vector<std::string>& more) const {
    return RunCommand(RunRl, Arguments(out, more));
  }
  // The error of a run that is refused before it writes anything.
  std::string Refused(const std::vector<std::string>& more) const {
    const CommandOutcome outcome = Run("refused", more);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.error, Not(HasSubstr("\n")));
    EXPECT_FALSE(std::filesystem::exists(tmp_ / "refused")) << outcome.error;
    return outcome.error;
  }
  // One problem a row: {"prompt": "say N", "answer": ANSWER}.
  std::string Data(const std::string& name, int rows, const std::string& answer) const {
    std::string text;
    for (int i = 0; i < rows; ++i) {
      const OrderedJson row = {{"prompt", "say " + std::to_string(i)}, {"answer", answer}};
      text += row.dump() + "\n";
    }
    WriteFileAtomically(tmp_ / name, text);
    return tmp_ / name;
  }
  std::string Result(const std::string& out) const {
    return ReadFile(tmp_ / (out + "/adapter_model.safetensors"));
  }

  // The lines of its metrics.jsonl except those of evaluations.
  std::vector<OrderedJson> Steps(const std::string& out) const {
    std::vector<OrderedJson> steps;
    std::istringstream lines(ReadFile(tmp_ / (out + "/metrics.jsonl")));
    for (std::string line; std::getline(lines, line);) {
      OrderedJson json = ParseOrderedJson(line, "line");
      if (json.contains("reward")) steps.push_back(std::move(json));
    }
    return steps;
  }

  TemporaryFolder tmp_;
  RandomModel model_;
};

TEST_F(RlCommand, WhatCannotBeIsRefusedInOneLine) {
  const std::string data = Data("some.jsonl", 3, "a");
  EXPECT_THAT(Refused({}), HasSubstr("give either --task"));
  EXPECT_THAT(Refused({"--task", "add", "--data", data}), HasSubstr("give either --task"));
  EXPECT_THAT(Refused({"--task", "ad"}), AllOf(HasSubstr("'ad'"), HasSubstr("add")));
  EXPECT_THAT(Refused({"--task", "add", "--difficulty", "99"}), HasSubstr("no difficulty 99"));
  EXPECT_THAT(Refused({"--task", "add", "--minibatches", "3"}),
              HasSubstr("minibatches 3 of prompts_per_step 2: each needs a prompt"));
  EXPECT_THAT(Refused({"--task", "add", "--overlong-buffer", "5"}),
              HasSubstr("overlong_buffer 5 exceeds max_tokens 4"));
  EXPECT_THAT(Refused({"--task", "add", "--objective", "grop"}),
              AllOf(HasSubstr("no objective 'grop'"), HasSubstr("grpo")));
  EXPECT_THAT(Refused({"--task", "add", "--group-size", "1"}), HasSubstr("group"));
  EXPECT_THAT(Refused({"--task", "add", "--temperature", "0"}), HasSubstr("temperature"));
  EXPECT_THAT(Refused({"--data", data, "--grader", "exakt"}), HasSubstr("exact"));
  EXPECT_THAT(Refused({"--data", tmp_ / "none.jsonl"}), HasSubstr("none.jsonl"));
  EXPECT_THAT(Refused({"--task", "add", "--target-modules", "knee_proj"}), HasSubstr("knee_proj"));
}

TEST_F(RlCommand, AModelWithoutAChatTemplateNeedsOne) {
  WriteConfig("");
  EXPECT_THAT(Refused({"--task", "add"}),
              AllOf(HasSubstr("has no chat template"), HasSubstr("--chat-template")));
  EXPECT_EQ(Run("given", {"--task", "add", "--chat-template", "chatml"}).error, "");
  EXPECT_THAT(ReadFile(tmp_ / "given/chat_template.jinja"), HasSubstr("im_start"));
}

TEST_F(RlCommand, NothingThatStandsInTheOutputFolderIsLost) {
  std::filesystem::create_directories(tmp_ / "out");
  WriteFileAtomically(tmp_ / "out/diary.txt", "dear diary");
  EXPECT_THAT(Run("out", {"--task", "add"}).error,
              AllOf(HasSubstr("is not empty"), HasSubstr("--resume"), HasSubstr("--overwrite")));
  EXPECT_EQ(Run("out", {"--task", "add", "--overwrite-output-dir"}).error, "");
  EXPECT_EQ(ReadFile(tmp_ / "out/diary.txt"), "dear diary");
  const std::string weights = ReadFile(File("model.safetensors"));
  EXPECT_THAT(RunCommand(RunRl, {model_.path(), "--task", "add", "--overwrite", "--output-dir",
                                 model_.path()})
                  .error,
              HasSubstr("what the run starts from"));
  EXPECT_TRUE(ReadFile(File("model.safetensors")) == weights);
}

TEST_F(RlCommand, LeavesWhatThePageSays) {
  const CommandOutcome outcome = Run("out", {"--task", "add,subtract", "--json"});
  ASSERT_EQ(outcome.error, "");
  // The tiny model solves no sum: all files are there, and the status says that nothing was
  // learned.
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("error: nothing was learned in 2 steps"));
  for (const char* name :
       {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "config.yaml", "metrics.jsonl", "train_summary.json",
        "transcripts/step-000001.txt", "transcripts/step-000002.txt",
        "checkpoint-2/adapter_model.safetensors", "checkpoint-2/training_state.safetensors",
        "checkpoint-2/run_state.json", "checkpoint-2/tokenizer.json", "checkpoint-2/config.yaml"}) {
    EXPECT_TRUE(std::filesystem::exists(tmp_ / ("out/" + std::string(name)))) << name;
  }
  EXPECT_EQ(ReadFile(tmp_ / "out/train_summary.json"), outcome.out);
  const OrderedJson json = outcome.Json();
  EXPECT_EQ(json["steps"], 2);
  EXPECT_EQ(json["samples"], 8);
  EXPECT_EQ(json["logp_difference_max"], 0);
  EXPECT_FALSE(json["interrupted"].get<bool>());
  EXPECT_EQ(json["learning_rate"], 1e-2);
  for (const char* when : {"heldout_before", "heldout_after"}) {
    EXPECT_TRUE(json[when].contains("accuracy") && json[when].contains("pass@2")) << json;
  }
  std::multiset<std::string> lines;  // lines of evaluations and of steps
  std::istringstream metrics(ReadFile(tmp_ / "out/metrics.jsonl"));
  for (std::string line; std::getline(metrics, line);) {
    const OrderedJson each = ParseOrderedJson(line, "line");
    lines.insert((each.contains("reward") ? "step " : "evaluation ") + each["step"].dump());
  }
  EXPECT_EQ(lines,
            (std::multiset<std::string>{"evaluation 0", "evaluation 2", "step 1", "step 2"}));
  EXPECT_THAT(ReadFile(tmp_ / "out/transcripts/step-000001.txt"),
              AllOf(HasSubstr("=== add-42-"), HasSubstr("=== subtract-42-")));
  // The file has every choice that was left to a default, so it reproduces the run.
  const std::string config = ReadFile(tmp_ / "out/config.yaml");
  EXPECT_THAT(config, AllOf(HasSubstr("learning_rate: 0.01"), HasSubstr("max_prompt_tokens: "),
                            Not(HasSubstr("max_prompt_tokens: null"))));
}

TEST_F(RlCommand, GoesOnFromItsOwnConfig) {
  ASSERT_EQ(Run("whole", {"--task", "add", "--max-steps", "4"}).error, "");
  ASSERT_EQ(Run("cut", {"--task", "add"}).error, "");
  const std::vector<std::string> resume = {"--config", tmp_ / "cut/config.yaml", "--resume"};
  const CommandOutcome done = RunCommand(RunRl, resume);
  EXPECT_EQ(done.error, "");
  EXPECT_THAT(done.out, AllOf(HasSubstr("2 steps; reward"), HasSubstr("no step in this process")));
  std::vector<std::string> longer = resume;
  longer.insert(longer.end(), {"--max-steps", "4"});
  ASSERT_EQ(RunCommand(RunRl, longer).error, "");
  EXPECT_TRUE(Result("cut") == Result("whole"));
}

// Later steps reach a problem that the first ones did not, with a longer prompt.
TEST_F(RlCommand, ALongerRunKeepsTheLimitOfPrompts) {
  std::string rows;
  for (int i = 0; i < 20; ++i) {
    const std::string prompt = i == 4 ? "say something longer" : "say " + std::string(1, 'a' + i);
    rows += OrderedJson({{"prompt", prompt}, {"answer", "a"}}).dump() + "\n";
  }
  WriteFileAtomically(tmp_ / "rows.jsonl", rows);
  const std::string data = tmp_ / "rows.jsonl";
  ASSERT_EQ(Run("out", {"--data", data}).error, "");
  const CommandOutcome longer =
      Run("out", {"--data", data, "--max-steps", "10", "--resume", "--json"});
  EXPECT_EQ(longer.error, "");
  EXPECT_EQ(longer.Json()["skipped_problems"], 1);
}

TEST_F(RlCommand, AResumedRunIsTheSameRun) {
  const std::string data = Data("some.jsonl", 5, "a");
  ASSERT_EQ(Run("out", {"--data", data, "--eval-data", data}).error, "");
  const auto error = [&](std::vector<std::string> more) {
    more.push_back("--resume");
    return Run("out", more).error;
  };
  EXPECT_EQ(error({"--data", data}), "");
  // The same files under other names.
  std::filesystem::copy(data, tmp_ / "copy.jsonl");
  EXPECT_EQ(error({"--data", tmp_ / "copy.jsonl"}), "");
  EXPECT_THAT(error({"--data", data, "--group-size", "3"}), HasSubstr("group_size was 2"));
  EXPECT_THAT(error({"--data", data, "--lora-r", "2"}), HasSubstr("lora_r was 1"));
  EXPECT_THAT(error({"--data", data, "--grader", "regex"}), HasSubstr("grader was"));
  EXPECT_THAT(error({"--task", "add"}), HasSubstr("cannot resume"));
  Data("some.jsonl", 5, "b");
  EXPECT_THAT(error({"--data", data}), HasSubstr("data is not what it was"));
  Data("some.jsonl", 5, "a");
  WriteFileAtomically(tmp_ / "other.jinja", std::string(kChatMl) + "Well, ");
  EXPECT_THAT(error({"--data", data, "--chat-template", tmp_ / "other.jinja"}),
              HasSubstr("chat_template was"));
  if (DefaultComputeDtype() == DType::kBF16) {
    EXPECT_THAT(error({"--data", data, "--dtype", "bf16"}),
                HasSubstr("dtype was \"f32\" and is \"bf16\" now"));
  }
}

TEST_F(RlCommand, StartsFromAnAdapterWithAnyTargets) {
  // Some random answers match, some do not.
  const std::string data = Data("some.jsonl", 5, "[ -~]{2}");
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--data", data, "--grader", "regex", "--group-size", "4"});
    return more;
  };
  ASSERT_EQ(Run("first", with({"--lora-r", "3", "--lora-alpha", "12", "--use-rslora",
                               "--target-modules", ".*[.]1[.].*(q|down)_proj,lm_head"}))
                .error,
            "");
  const std::string first = tmp_ / "first";
  // A rate so small changes no f32, so the written weights are the initial ones.
  ASSERT_EQ(Run("still", with({"--adapter", first, "--learning-rate", "1e-30"})).error, "");
  EXPECT_TRUE(Result("still") == Result("first"));
  const auto config = [&](const std::string& out) {
    return ParseJson(ReadFile(tmp_ / (out + "/adapter_config.json")), out);
  };
  for (const char* key : {"r", "lora_alpha", "use_rslora", "rank_pattern"}) {
    EXPECT_EQ(config("still")[key], config("first")[key]) << key;
  }
  // Sampling has the adapter too: the first step is on-policy.
  const CommandOutcome whole =
      Run("whole", with({"--adapter", first, "--max-steps", "4", "--json"}));
  ASSERT_EQ(whole.error, "");
  EXPECT_EQ(whole.Json()["logp_difference_max"], 0);
  EXPECT_FALSE(Result("whole") == Result("first"));
  // A resumed run is the uninterrupted one; the flag that began it may be repeated or not.
  ASSERT_EQ(Run("cut", with({"--adapter", first})).error, "");
  ASSERT_EQ(
      RunCommand(RunRl, {"--config", tmp_ / "cut/config.yaml", "--resume", "--max-steps", "4"})
          .error,
      "");
  EXPECT_TRUE(Result("cut") == Result("whole"));
  EXPECT_THAT(Refused({"--task", "add", "--adapter", first, "--lora-r", "1"}),
              HasSubstr("lora_r is 1, and the adapter " + first + " has 3"));
  EXPECT_THAT(Refused({"--task", "add", "--adapter", first, "--target-modules", "mlp"}),
              HasSubstr("target_modules is mlp, and the adapter " + first + " has "));
  EXPECT_THAT(Refused({"--task", "add", "--adapter", first, "--method", "full"}),
              HasSubstr("merge the adapter"));
}

// Written by version 0.1.0 (b2bfe19).
TEST_F(RlCommand, CheckpointsOfEarlierVersionsResume) {
  const std::string golden = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/checkpoint/rl/";
  const std::string model = tmp_ / "model", out = tmp_ / "old";
  std::filesystem::create_directories(model);
  std::filesystem::create_directories(out);
  for (const std::string name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(GoldenModel("llama") + "/" + name, model + "/" + name);
  }
  for (const std::string name : {"tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy(golden + name, model + "/" + name);
  }
  std::filesystem::copy(golden + "checkpoint-2", out + "/checkpoint-2");
  const std::vector<std::string> resume = {"--config",
                                           golden + "checkpoint-2/config.yaml",
                                           "--model",
                                           model,
                                           "--data",
                                           golden + "problems.jsonl",
                                           "--output-dir",
                                           out,
                                           "--resume",
                                           "--max-steps",
                                           "4",
                                           "--json"};
  std::vector<std::string> other = resume;
  other.insert(other.end(), {"--use-rslora"});
  EXPECT_THAT(RunCommand(RunRl, other).error, HasSubstr("use_rslora was not set and is true now"));
  const CommandOutcome outcome = RunCommand(RunRl, resume);
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.Json()["steps"], 4);
  EXPECT_EQ(outcome.Json()["samples"], 8);  // those of two steps
}

// Rows whose columns have other names give the run of those with the names that are expected.
TEST_F(RlCommand, ColumnsOfOtherNamesAreNamed) {
  std::string plain, other;
  for (int i = 0; i < 4; ++i) {
    const std::string say = "say " + std::to_string(i);
    plain += OrderedJson({{"prompt", say}, {"answer", "[a-z]"}}).dump() + "\n";
    other += OrderedJson({{"q", say}, {"solution", "[a-z]"}, {"answer", "none"}}).dump() + "\n";
  }
  const auto write = [&](const std::string& folder, const std::string& rows) {
    std::filesystem::create_directories(tmp_ / folder);
    WriteFileAtomically(tmp_ / (folder + "/rows.jsonl"), rows);
    return tmp_ / (folder + "/rows.jsonl");
  };
  const std::string expected = write("plain", plain), named = write("other", other);
  EXPECT_THAT(Refused({"--data", named, "--grader", "regex"}),
              HasSubstr("rows.jsonl:1: no \"prompt\" and no \"messages\" (the row's keys: q, "
                        "solution, answer); columns of other names can be named: --data-columns"));
  EXPECT_THAT(Refused({"--data", named, "--data-columns", "prompt=query,answer=solution"}),
              HasSubstr("no column \"query\", which data_columns names as \"prompt\""));
  EXPECT_THAT(Refused({"--data", named, "--data-columns", "prompt=q,completion=solution"}),
              HasSubstr("no problem has a \"completion\"; the names are messages, prompt, answer"));
  const std::string columns = "prompt=q,answer=solution";
  ASSERT_EQ(Run("plain/out", {"--data", expected, "--grader", "regex"}).error, "");
  ASSERT_EQ(Run("flag", {"--data", named, "--grader", "regex", "--data-columns", columns}).error,
            "");
  WriteFileAtomically(tmp_ / "run.yaml", "data_columns: [prompt=q, answer=solution]\n");
  ASSERT_EQ(
      Run("file", {"--data", named, "--grader", "regex", "--config", tmp_ / "run.yaml"}).error, "");
  const auto transcript = [&](const std::string& out) {
    return ReadFile(tmp_ / (out + "/transcripts/step-000002.txt"));
  };
  EXPECT_THAT(transcript("plain/out"), HasSubstr("correct"));
  EXPECT_EQ(transcript("flag"), transcript("plain/out"));
  EXPECT_EQ(transcript("file"), transcript("plain/out"));
  EXPECT_THAT(
      Run("flag", {"--data", named, "--grader", "regex", "--data-columns", "prompt=q", "--resume"})
          .error,
      HasSubstr("data_columns was [\"prompt=q\",\"answer=solution\"]"));
}

TEST_F(RlCommand, ToolsThatTheTemplateDoesNotWriteAreNoted) {
  const OrderedJson tool = {{"type", "function"}, {"function", {{"name", "add"}}}};
  const OrderedJson plain = {{"prompt", "say a"}, {"answer", "a"}};
  OrderedJson with_tools = plain;
  with_tools["tools"] = OrderedJson::array({tool});
  with_tools["chat_template_kwargs"] = {{"mood", "grim"}};
  const std::string data = tmp_ / "tools.jsonl";
  WriteFileAtomically(data, plain.dump() + "\n" + with_tools.dump() + "\n" + with_tools.dump());
  std::vector<std::string> loud = Arguments("loud", {"--data", data});
  std::erase(loud, "--quiet");
  const CommandOutcome outcome = RunCommand(RunRl, loud);
  ASSERT_EQ(outcome.error, "");
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("the chat template does not write the tools of the row (the first: "
                              "tools.jsonl:2); such rows: 2"),
                    HasSubstr("the chat template never reads chat_template_kwargs.mood (the first: "
                              "tools.jsonl:2); such rows: 2")));
  WriteFileAtomically(data, plain.dump() + "\n" + plain.dump() + "\n" + plain.dump());
  std::vector<std::string> without = Arguments("without", {"--data", data});
  std::erase(without, "--quiet");
  EXPECT_THAT(RunCommand(RunRl, without).err, Not(HasSubstr("the chat template")));
}

TEST_F(RlCommand, FullFineTuningWithAReference) {
  const CommandOutcome outcome =
      Run("full", {"--task", "add", "--method", "full", "--kl-coef", "0.1", "--objective", "grpo",
                   "--minibatches", "2", "--json"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.Json()["logp_difference_max"], 0);
  EXPECT_TRUE(std::filesystem::exists(tmp_ / "full/model.safetensors"));
  // The reference is the initial model.
  EXPECT_EQ(Steps("full").at(0)["kl"], 0);
}

TEST_F(RlCommand, HelpListsTasksAndObjectivesAndFitsTheWidth) {
  const CommandOutcome outcome = RunCommand(RunRl, {"--help"});
  EXPECT_EQ(outcome.status, 0);
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  for (const Task& task : GeneratedTasks()) {
    EXPECT_THAT(outcome.out, HasSubstr("\n  " + task.name + " "));
  }
  for (const Objective& objective : Objectives()) {
    EXPECT_THAT(outcome.out, HasSubstr("\n  " + objective.name + " "));
  }
  EXPECT_THAT(outcome.out, HasSubstr("difficulty 1 to 18 [1]: digits of each number\n"));
}

}  // namespace
}  // namespace lorikeet
