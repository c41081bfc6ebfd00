// Tests of the generate command on a tiny chat model: prompts of rows, and notes about them.
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

class GenerateCommand : public ::testing::Test {
 protected:
  GenerateCommand() : model_(kTinyChat, "cmd_generate") {
    WriteFileAtomically(model_.path() + "/tokenizer.json", tiny_bundle::TokenizerJson({}).dump());
    SetTemplate(kChatMl);
  }
  void SetTemplate(const std::string& chat_template) const {
    const OrderedJson config = {
        {"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}, {"chat_template", chat_template}};
    WriteFileAtomically(model_.path() + "/tokenizer_config.json", config.dump());
  }
  // Generates one token for each of the rows.
  CommandOutcome Generate(const std::string& rows) const {
    WriteFileAtomically(folder_ / "rows.jsonl", rows);
    return RunCommand(RunGenerate, {model_.path(), "--data", folder_ / "rows.jsonl", "--max-tokens",
                                    "1", "--dtype", "f32", "--threads", "1"});
  }

  const TemporaryFolder folder_{"generate"};
  RandomModel model_;
};

constexpr const char* kTools = R"([{"type": "function", "function": {"name": "add"}}])";

TEST_F(GenerateCommand, ToolsThatTheTemplateDoesNotWriteAreNoted) {
  const std::string plain = R"({"messages": [{"role": "user", "content": "say a"}]})";
  const std::string tools =
      R"({"messages": [{"role": "user", "content": "say a", "mood": "grim"}], "tools": )" +
      std::string(kTools) + "}";
  const CommandOutcome outcome = Generate(plain + "\n" + tools + "\n" + tools + "\n");
  ASSERT_EQ(outcome.error, "");
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("note: the chat template does not write the tools of the row (the "
                              "first: line 2); such rows: 2\n"),
                    HasSubstr("note: the chat template never reads messages.mood (the first: line "
                              "2); such rows: 2\n")));
  EXPECT_THAT(Generate(plain).err, Not(HasSubstr("chat template")));
}

// The tools of a row reach the template, whether its prompt is a text or a list of messages.
TEST_F(GenerateCommand, APromptOfTextTakesTheToolsOfItsRow) {
  SetTemplate("{{ tools | tojson }}" + std::string(kChatMl));
  const std::string tools = std::string(R"("tools": )") + kTools + "}";
  const auto tokens = [&](const std::string& row) -> int64_t {
    const CommandOutcome outcome = Generate(row);
    EXPECT_EQ(outcome.error, "");
    return outcome.Json()["prompt_tokens"];
  };
  const int64_t expected =
      tokens(R"({"messages": [{"role": "user", "content": "say a"}], )" + tools);
  EXPECT_EQ(tokens(R"({"prompt": "say a", )" + tools), expected);
  EXPECT_GT(expected, tokens(R"({"prompt": "say a", "tools": null})"));
}

}  // namespace
}  // namespace lorikeet
