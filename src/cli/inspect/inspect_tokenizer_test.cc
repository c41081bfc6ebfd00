#include "cli/inspect/inspect_tokenizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <functional>

#include "cli/command_for_test.h"
#include "cli/commands.h"
#include "core/file.h"
#include "data/tiny_bundle.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

// Writes a tokenizer's files; `change` may alter them first.
void Write(const std::string& dir, const TinyBundleOptions& options,
           const std::function<void(OrderedJson&)>& change = {}) {
  std::filesystem::create_directories(dir);
  OrderedJson tokenizer = tiny_bundle::TokenizerJson(options);
  if (change) change(tokenizer);
  const OrderedJson config = {{"bos_token", options.bos},
                              {"eos_token", options.eos},
                              {"chat_template", options.chat_template}};
  WriteFileAtomically(dir + "/tokenizer.json", tokenizer.dump());
  WriteFileAtomically(dir + "/tokenizer_config.json", config.dump());
}

CommandOutcome Inspect(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "tokenizer");
  return RunCommand(RunInspect, std::move(arguments));
}

TEST(InspectTokenizer, SaysWhatItIs) {
  const TemporaryFolder tmp;
  Write(tmp / "a", {.chat_template = kChatMl, .add_bos = true});
  const CommandOutcome outcome = Inspect({tmp / "a"});
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("BPE"));
  EXPECT_THAT(outcome.out, HasSubstr("put before a text"));
  const OrderedJson json = Inspect({tmp / "a", "--json"}).Json();
  EXPECT_EQ(json["bos_token"]["content"], "<s>");
  EXPECT_TRUE(json["adds_bos"].get<bool>());
  EXPECT_EQ(json["added_tokens"].size(), 9);
  EXPECT_EQ(json["chat_template_bytes"], std::string(kChatMl).size());
  EXPECT_EQ(json["chat_template_hash"].get<std::string>().size(), 16);
}

TEST(InspectTokenizer, ACopyDoesNotDiffer) {
  const TemporaryFolder tmp;
  Write(tmp / "a", {.chat_template = kChatMl});
  Write(tmp / "b", {.chat_template = kChatMl});
  const CommandOutcome outcome = Inspect({tmp / "a", "--against", tmp / "b"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("no difference"));
  EXPECT_TRUE(Inspect({tmp / "a", "--against", tmp / "b", "--json"}).Json()["same"].get<bool>());
}

// Each kind of drift is named, and no other.
TEST(InspectTokenizer, EveryKindOfDriftIsFound) {
  const TemporaryFolder tmp;
  const TinyBundleOptions same = {.chat_template = kChatMl};
  Write(tmp / "a", same);
  const auto differences = [&](const TinyBundleOptions& options,
                               const std::function<void(OrderedJson&)>& change = {}) {
    Write(tmp / "b", options, change);
    const CommandOutcome outcome = Inspect({tmp / "a", "--against", tmp / "b", "--json"});
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.status, 1);
    std::vector<std::string> kinds;
    const OrderedJson found = outcome.Json()["differences"];
    for (const auto& [key, value] : found.items()) {
      if (value.is_array() && !value.empty()) kinds.push_back(key);
    }
    return fmt::format("{}", fmt::join(kinds, " "));
  };
  EXPECT_EQ(differences({.chat_template = std::string(kChatMl) + " "}), "chat_template");
  EXPECT_EQ(differences({.chat_template = kChatMl, .eos = "</s>"}), "special_tokens");
  EXPECT_EQ(differences({.chat_template = kChatMl, .add_bos = true}), "special_tokens encodings");
  EXPECT_EQ(differences({.chat_template = kChatMl, .merges = {"h e", "l l", "he ll", "i s"}}),
            "ids encodings");
  EXPECT_EQ(differences(same, [](OrderedJson& json) { json["added_tokens"][0]["lstrip"] = true; }),
            "added_tokens");
  // A pre-tokenizer that cuts elsewhere: the same tokens, other ids for a text.
  EXPECT_EQ(differences(same,
                        [](OrderedJson& json) {
                          json["pre_tokenizer"] = {{"type", "ByteLevel"},
                                                   {"add_prefix_space", true},
                                                   {"use_regex", true}};
                        }),
            "encodings");
}

}  // namespace
}  // namespace lorikeet
