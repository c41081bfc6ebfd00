// The options of rendering are the same in every command that renders, `eval` among them; weights
// that are not finite are errors.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "checkpoint/safetensors.h"
#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "core/threads_scope_for_test.h"
#include "rl/tiny_policy_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

// Begins with a mood, where it is given one.
constexpr const char* kMoody =
    "{{ mood | default('') }}{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

class RenderingInCommands : public ::testing::Test {
 protected:
  RenderingInCommands() : model_(kTinyChat, "cmd_eval") {
    WriteFileAtomically(model_.path() + "/tokenizer.json", tiny_bundle::TokenizerJson({}).dump());
    WriteFileAtomically(
        model_.path() + "/tokenizer_config.json",
        OrderedJson{{"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}, {"chat_template", kChatMl}}
            .dump());
    WriteFileAtomically(folder_ / "moody.jinja", kMoody);
    std::string rows, problems;
    for (int i = 0; i < 4; ++i) {
      const std::string question = "say " + std::to_string(i);
      rows += OrderedJson{{"messages",
                           {{{"role", "user"}, {"content", question}},
                            {{"role", "assistant"}, {"content", "well"}}}}}
                  .dump() +
              "\n";
      problems += OrderedJson{{"prompt", question}, {"answer", "a"}}.dump() + "\n";
    }
    WriteFileAtomically(folder_ / "rows.jsonl", rows);
    WriteFileAtomically(folder_ / "problems.jsonl", problems);
  }
  // stdout and stderr of the command; `more` are options of rendering.
  CommandOutcome Run(int (*command)(int, char**), Words arguments, const Words& more) const {
    arguments.insert(arguments.end(), more.begin(), more.end());
    CommandOutcome outcome = RunCommand(command, arguments);
    EXPECT_EQ(outcome.error, "");
    return outcome;
  }

  const ThreadsScope threads_{1};
  const TemporaryFolder folder_{"rendering"};
  const RandomModel model_;
};

// A command, and how many tokens its prompts or its data have.
struct Rendered {
  std::string name;
  std::function<int64_t(const Words& more)> tokens;
};

TEST_F(RenderingInCommands, AreTheSameInEveryCommand) {
  const std::string model = model_.path(), rows = folder_ / "rows.jsonl";
  const auto json = [&](int (*command)(int, char**), const Words& arguments, const char* key) {
    return [this, command, arguments, key](const Words& more) -> int64_t {
      return Run(command, arguments, more).Json()[key];
    };
  };
  const Words rl = {model,
                    "--data",
                    folder_ / "problems.jsonl",
                    "--output-dir",
                    folder_ / "rl",
                    "--max-steps",
                    "1",
                    "--prompts-per-step",
                    "2",
                    "--group-size",
                    "2",
                    "--max-tokens",
                    "2",
                    "--eval-samples",
                    "0",
                    "--learning-rate",
                    "1e-3",
                    "--dtype",
                    "f32",
                    "--overwrite-output-dir",
                    "--quiet"};
  const Words study = {"rl",           model,
                       "--data",       folder_ / "problems.jsonl",
                       "--output-dir", folder_ / "study",
                       "--steps",      "2",
                       "--max-tokens", "2",
                       "--dry-run",    "--eval-split",
                       "0.5",          "--dtype",
                       "f32"};
  const std::vector<Rendered> commands = {
      {"sft",
       json(RunSft, {model, "--data", rows, "--output-dir", folder_ / "sft", "--dry-run", "--json"},
            "tokens")},
      {"eval", json(RunEval, {model, "--data", rows, "--json"}, "tokens")},
      {"estimate",
       [&](const Words& more) -> int64_t {
         return Run(RunEstimate, {model, "--data", rows, "--peak-gflops", "100", "--json"}, more)
             .Json()["data"]["tokens"];
       }},
      {"inspect data", json(RunInspect, {"data", rows, "--model", model, "--json"}, "tokens")},
      {"merge",
       [&](const Words& more) -> int64_t {
         if (!std::filesystem::exists(folder_ / "adapter")) {
           Run(RunSft,
               {model, "--data", rows, "--output-dir", folder_ / "adapter", "--max-steps", "1",
                "--quiet"},
               {});
         }
         return Run(RunMerge,
                    {folder_ / "adapter", folder_ / "merged", "--overwrite", "--verify-data", rows,
                     "--verify-tokens", "10000", "--json"},
                    more)
             .Json()["verify"]["tokens"];
       }},
      {"generate", json(RunGenerate, {model, "--prompt", "say", "--max-tokens", "1", "--json"},
                        "prompt_tokens")},
      {"rl",
       [&](const Words& more) -> int64_t {
         Run(RunRl, rl, more);
         const std::string config = ReadFile(folder_ / "rl/config.yaml");
         const std::string key = "max_prompt_tokens: ";
         return std::stoll(config.substr(config.find(key) + key.size()));
       }},
      {"study rl",
       [&](const Words& more) -> int64_t {
         // tokens of prompts decide the cost that the plan says
         return static_cast<int64_t>(std::hash<std::string>()(Run(RunStudy, study, more).out));
       }},
  };
  for (const Rendered& command : commands) {
    SCOPED_TRACE(command.name);
    Words more = {"--chat-template", folder_ / "moody.jinja"};
    const int64_t plain = command.tokens(more);
    more.insert(more.end(), {"--chat-template-kwargs", R"({"mood": "grumpy, grumpy, grumpy"})"});
    const int64_t moody = command.tokens(more);
    EXPECT_NE(moody, plain);
  }
}

TEST_F(RenderingInCommands, TheDateReachesThePrompt) {
  WriteFileAtomically(
      folder_ / "dated.jinja",
      "{{ strftime_now('%Y') }}{% for m in messages %}{{ m['content'] }}{% endfor %}");
  const Words dated = {"--chat-template", folder_ / "dated.jinja", "--date", "1066-10-14"};
  const std::string rows = folder_ / "rows.jsonl";
  const CommandOutcome shown =
      Run(RunInspect, {"data", rows, "--model", model_.path(), "--train-on", "all", "--no-color"},
          dated);
  EXPECT_THAT(shown.out, HasSubstr("066say 0well"));  // after the first token, untrained
  Run(RunRl,
      {model_.path(), "--data", folder_ / "problems.jsonl", "--output-dir", folder_ / "rl",
       "--max-steps", "1", "--prompts-per-step", "1", "--group-size", "2", "--max-tokens", "2",
       "--eval-problems", "0", "--learning-rate", "1e-3", "--quiet"},
      dated);
  EXPECT_THAT(ReadFile(folder_ / "rl/transcripts/step-000001.txt"), HasSubstr("1066"));
}

TEST_F(RenderingInCommands, WhatIsLearnedIsSaidInOneWay) {
  const std::string rows = folder_ / "rows.jsonl";
  const auto counted = [&](const Words& more) -> int64_t {
    return Run(RunEval, {model_.path(), "--data", rows, "--json"}, more).Json()["counted_tokens"];
  };
  EXPECT_EQ(counted({"--train-on", "all"}), counted({"--count", "all"}));
  EXPECT_EQ(counted({"--train-on", "all"}), counted({"--no-assistant-only-loss"}));
  EXPECT_LT(counted({}), counted({"--train-on", "all"}));
  const CommandOutcome both = RunCommand(
      RunEval, {model_.path(), "--data", rows, "--train-on", "last", "--assistant-only-loss"});
  EXPECT_THAT(both.error, HasSubstr("contradict each other"));
  const CommandOutcome bad =
      RunCommand(RunEval, {model_.path(), "--data", rows, "--chat-template-kwargs", "[1]"});
  EXPECT_THAT(bad.error, HasSubstr("--chat-template-kwargs: give a JSON object"));
}

// `inspect data` and `sft` take the same rendering options and count the same trained tokens.
TEST_F(RenderingInCommands, options_of_inspect_and_sft_differ) {
  WriteFileAtomically(folder_ / "named.jsonl", R"({"q": "2+2?", "a": "4"})"
                                               "\n"
                                               R"({"q": "3+3?", "a": "6"})"
                                               "\n");
  WriteFileAtomically(folder_ / "render.yaml",
                      "data_columns: [instruction=q, output=a]\ntrain_on: last\n");
  const std::string model = model_.path(), rows = folder_ / "named.jsonl";
  const auto tokens = [&](const Words& more) {
    const int64_t shown =
        Run(RunInspect, {"data", rows, "--model", model, "--json"}, more).Json()["trained_tokens"];
    const OrderedJson trained =
        Run(RunSft, {model, "--data", rows, "--output-dir", folder_ / "o", "--dry-run", "--json"},
            more)
            .Json();
    EXPECT_EQ(trained["trained_tokens"], shown);
    return shown;
  };
  const Words columns = {"--data-columns", "instruction=q,output=a"};
  for (const Words& more :
       {Words{"--chat-template-kwargs", R"({"enable_thinking": false})"},
        Words{"--train-on", "last"}, Words{"--train-on", "all"}, Words{"--date", "2026-01-01"}}) {
    Words both = columns;
    both.insert(both.end(), more.begin(), more.end());
    EXPECT_GT(tokens(both), 0);
  }
  EXPECT_EQ(tokens({"--config", folder_ / "render.yaml"}), tokens(columns));
  const auto counted =
      Run(RunEval, {model, "--data", rows, "--json"}, columns).Json()["counted_tokens"];
  EXPECT_EQ(counted, tokens(columns));
  EXPECT_THAT(RunCommand(RunSft, {model, "--data", rows, "--output-dir", folder_ / "o"}).error,
              HasSubstr("--data-columns"));
}

TEST_F(RenderingInCommands, tool_use_template_not_chosen) {
  const std::string model = model_.path(), extra = "/additional_chat_templates/tool_use.jinja";
  std::filesystem::create_directories(model + "/additional_chat_templates");
  WriteFileAtomically(model + "/chat_template.jinja", kChatMl);
  WriteFileAtomically(model + extra, std::string("TOOLS {{ tools | tojson }}\n") + kChatMl);
  const std::string rows = std::string(LORIKEET_SOURCE_DIR) +
                           "/tests/golden/data/cases/tool_use_template_not_chosen/rows.jsonl";
  const CommandOutcome shown = Run(RunInspect, {"data", rows, "--model", model, "--no-color"}, {});
  EXPECT_THAT(shown.out, HasSubstr("TOOLS [{\"type\": \"function\""));
  const Words sft = {model, "--data", rows, "--max-steps", "1", "--quiet", "--output-dir"};
  Run(RunSft, sft, {folder_ / "named"});
  EXPECT_EQ(ReadFile((folder_ / "named") + extra), ReadFile(model + extra));
  Run(RunMerge, {folder_ / "named", folder_ / "merged"}, {});
  EXPECT_EQ(ReadFile((folder_ / "merged") + extra), ReadFile(model + extra));
  // Another template replaces them all.
  Run(RunSft, sft, {folder_ / "chosen", "--chat-template", folder_ / "moody.jinja"});
  EXPECT_FALSE(std::filesystem::exists((folder_ / "chosen") + extra));
  Run(RunMerge, {folder_ / "chosen", folder_ / "merged2"}, {});
  EXPECT_FALSE(std::filesystem::exists((folder_ / "merged2") + extra));
  EXPECT_EQ(ReadFile((folder_ / "merged2") + "/chat_template.jinja"), kMoody);
}

// A piece of plain text begins with what the tokenizer puts before a text.
TEST_F(RenderingInCommands, TextBeginsWithBos) {
  WriteFileAtomically(folder_ / "a.txt", "well, say a");  // a token each, as no merge fits
  const auto count = [&](const Words& more) {
    return Run(RunEval, {model_.path(), "--text", folder_ / "a.txt", "--json"}, more).Json();
  };
  const int64_t letters = static_cast<int64_t>(count({})["tokens"]) + 1;
  EXPECT_EQ(count({})["counted_tokens"], letters - 1);
  WriteFileAtomically(model_.path() + "/tokenizer.json",
                      tiny_bundle::TokenizerJson({.add_bos = true}).dump());
  EXPECT_EQ(count({})["counted_tokens"], letters);  // the first one too
  EXPECT_EQ(count({})["counted_bytes"], 11);
  const OrderedJson pieces = count({"--max-length", "4"});
  EXPECT_EQ(pieces["counted_tokens"], letters);
  EXPECT_EQ(pieces["sequences"], (letters + 2) / 3);
}

class DamagedWeights : public ::testing::Test {
 protected:
  DamagedWeights() {
    WriteFileAtomically(folder_ / "data.jsonl", R"({"tokens": [1, 5, 9, 4, 2, 80, 33, 7]})");
  }
  CommandOutcome Eval(const std::string& adapter) const {
    return RunCommand(RunEval, {GoldenModel("llama"), "--adapter", adapter, "--data",
                                folder_ / "data.jsonl", "--dtype", "f32", "--train_on", "all"});
  }
  // The golden adapter, its last value replaced.
  std::string DamagedAdapter(float value) const {
    const std::string from = GoldenModel("llama") + "/adapter", to = folder_ / "damaged";
    fs::copy(from, to);
    const std::string path = to + "/adapter_model.safetensors";
    std::string bytes = ReadFile(path);
    const Tensor first = OpenSafetensors(path)->tensors()[0].tensor;
    EXPECT_EQ(first.dtype, DType::kF32);
    bytes.replace(bytes.size() - sizeof value, sizeof value, reinterpret_cast<const char*>(&value),
                  sizeof value);
    std::ofstream(path, std::ios::binary) << bytes;
    return to;
  }

  const ThreadsScope threads_{1};
  const TemporaryFolder folder_{"damaged"};
};

TEST_F(DamagedWeights, ALossThatIsNotFiniteIsAnErrorOfEval) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const CommandOutcome outcome = Eval(DamagedAdapter(nan));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.error, AllOf(HasSubstr("damaged: lora_"), HasSubstr("NaN or infinite"),
                                   HasSubstr("get it again")));
}

TEST_F(DamagedWeights, OverflowOnTheWayIsAnErrorOfEvalToo) {
  const CommandOutcome outcome = Eval(DamagedAdapter(std::numeric_limits<float>::max()));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.error, HasSubstr("although every weight is finite"));
}

TEST_F(DamagedWeights, MergeWritesNoValueThatIsNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string adapter = DamagedAdapter(nan);
  const CommandOutcome outcome = RunCommand(
      RunMerge, {adapter, folder_ / "merged", "--model", GoldenModel("llama"), "--dtype", "f32"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.error, AllOf(HasSubstr("tensor 'model.layers."), HasSubstr("not finite")));
  EXPECT_FALSE(fs::exists(folder_ / "merged"));
  EXPECT_FALSE(fs::exists(folder_ / "merged.tmp"));
}

}  // namespace
}  // namespace lorikeet
