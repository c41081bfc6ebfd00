#include "data/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/random.h"
#include "data/tiny_bundle.h"

namespace lorikeet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

Record Conversation(const std::vector<std::pair<std::string, std::string>>& turns) {
  Record record;
  for (const auto& [role, content] : turns) {
    record.messages.push_back({role, content, OrderedJson::object()});
  }
  return record;
}

// The trained runs of tokens, decoded.
std::vector<std::string> TrainedParts(const MarkedTokens& marked, const TokenizerBundle& bundle) {
  std::vector<std::string> parts;
  std::vector<int32_t> ids;
  for (size_t i = 0; i <= marked.ids.size(); ++i) {
    if (i < marked.ids.size() && marked.weights[i] > 0) {
      ids.push_back(marked.ids[i]);
    } else if (!ids.empty()) {
      parts.push_back(bundle.tokenizer.Decode(ids));
      ids.clear();
    }
  }
  return parts;
}

// The trained parts of each example of the record.
std::vector<std::vector<std::string>> Trained(const Record& record, const TokenizerBundle& bundle,
                                              const RenderConfig& config = {}) {
  std::vector<std::vector<std::string>> trained;
  for (const Rendering& rendering : Renderer(bundle, config).Render(record).renderings) {
    trained.push_back(TrainedParts(Mark(rendering, bundle), bundle));
  }
  return trained;
}

const Record kTwoTurns =
    Conversation({{"user", "hi"}, {"assistant", "hello"}, {"user", "how?"}, {"assistant", "well"}});

TEST(Render, ChatMlTrainsTurnsThroughTheirEnd) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  EXPECT_THAT(Trained(kTwoTurns, bundle),
              ElementsAre(ElementsAre("hello<|im_end|>", "well<|im_end|>")));
  EXPECT_THAT(Trained(kTwoTurns, bundle, {.train_on = TrainOn::kLast}),
              ElementsAre(ElementsAre("well<|im_end|>")));
  EXPECT_THAT(Trained(kTwoTurns, bundle, {.train_on = TrainOn::kAll}),
              ElementsAre(ElementsAre(
                  "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n"
                  "<|im_start|>user\nhow?<|im_end|>\n<|im_start|>assistant\nwell<|im_end|>\n")));
}

TEST(Render, Llama3) {
  const TokenizerBundle bundle =
      MakeTinyBundle({.chat_template = kLlama3, .eos = "<|eot_id|>", .add_bos = true});
  EXPECT_THAT(Trained(kTwoTurns, bundle),
              ElementsAre(ElementsAre("hello<|eot_id|>", "well<|eot_id|>")));
}

TEST(Render, MistralTrainsTheSpaceThatTheModelWrites) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kMistral, .eos = "</s>"});
  EXPECT_THAT(Trained(kTwoTurns, bundle), ElementsAre(ElementsAre(" hello</s>", " well</s>")));
  EXPECT_THAT(
      [&] {
        Trained(Conversation({{"system", "S"}, {"user", "a"}, {"assistant", "b"}}), bundle);
      },
      ThrowsMessage<Error>(HasSubstr("Conversation roles must alternate")));
}

TEST(Render, EditedTurnsAreTrainedInTheTextTheModelSaw) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kForgetsThoughts});
  const Record record = Conversation({{"user", "a"},
                                      {"assistant", "plain"},
                                      {"user", "b"},
                                      {"assistant", "<think>x</think>y"},
                                      {"user", "c"},
                                      {"assistant", "<think>z</think>w"}});
  const Renderer::Result result = Renderer(bundle, {}).Render(record);
  EXPECT_EQ(result.edited_message, 3);
  EXPECT_THAT(Trained(record, bundle),
              ElementsAre(ElementsAre("<think>x</think>y<|im_end|>"),
                          ElementsAre("plain<|im_end|>", "<think>z</think>w<|im_end|>")));
  EXPECT_THAT(result.renderings[1].text, HasSubstr("assistant\ny<|im_end|>"));
  EXPECT_EQ(Renderer(bundle, {}).Render(kTwoTurns).edited_message, std::nullopt);
}

TEST(Render, GenerationPromptThatTheFinishedTurnLacks) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kOpensThought, .eos = "</s>"});
  EXPECT_THAT(Trained(kTwoTurns, bundle), ElementsAre(ElementsAre("hello</s>", "well</s>")));
  EXPECT_THAT(Trained(Conversation({{"user", "a"}, {"assistant", "<b>c"}}), bundle),
              ElementsAre(ElementsAre("<b>c</s>")));
}

TEST(Render, ConversationThatTheAssistantBegins) {
  for (const char* source : {kChatMl, kDefaultSystem}) {
    const TokenizerBundle bundle = MakeTinyBundle({.chat_template = source});
    EXPECT_THAT(
        Trained(Conversation({{"assistant", "e"}, {"user", "b"}, {"assistant", "c"}}), bundle),
        ElementsAre(ElementsAre("e<|im_end|>", "c<|im_end|>")));
  }
}

TEST(Render, WeightsAndCompletionsChooseTurns) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  Record record = kTwoTurns;
  record.messages[1].fields["weight"] = 0;
  EXPECT_THAT(Trained(record, bundle), ElementsAre(ElementsAre("well<|im_end|>")));
  record = kTwoTurns;
  record.first_trainable = 3;
  EXPECT_THAT(Trained(record, bundle), ElementsAre(ElementsAre("well<|im_end|>")));
  EXPECT_THAT(Trained(Conversation({{"user", "only"}}), bundle), IsEmpty());
}

TEST(Render, ContentThatLooksLikeAnEnd) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  EXPECT_THAT(Trained(Conversation({{"user", "a"}, {"assistant", "say <|im_end|> now"}}), bundle),
              ElementsAre(ElementsAre("say <|im_end|> now<|im_end|>")));
  EXPECT_THAT(Trained(Conversation({{"user", "a"}, {"assistant", ""}}), bundle),
              ElementsAre(ElementsAre("<|im_end|>")));
}

TEST(Render, TemplateThatEndsTurnsTwice) {
  const std::string source =
      std::string(kChatMl) + "{% if not add_generation_prompt %}{{ '</s>' }}{% endif %}";
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = source, .eos = "</s>"});
  EXPECT_THAT(Trained(kTwoTurns, bundle),
              ElementsAre(ElementsAre("hello<|im_end|>", "well<|im_end|>")));
}

TEST(Render, PromptCompletionAndText) {
  const TokenizerBundle bundle = MakeTinyBundle({.eos = "</s>", .add_bos = true});
  Record record;
  record.format = Format::kPromptCompletion;
  record.prompt = "Q: x\nA:";
  record.completion = " hello";
  EXPECT_THAT(Trained(record, bundle), ElementsAre(ElementsAre(" hello</s>")));
  EXPECT_THAT(Trained(record, bundle, {.train_on = TrainOn::kAll}),
              ElementsAre(ElementsAre("Q: x\nA: hello</s>")));
  record.completion = " hello</s>";  // has its end already
  EXPECT_THAT(Trained(record, bundle), ElementsAre(ElementsAre(" hello</s>")));
  record = {};
  record.format = Format::kText;
  record.text = "once";
  EXPECT_THAT(Trained(record, bundle), ElementsAre(ElementsAre("once</s>")));
  const MarkedTokens marked = Mark(Renderer(bundle, {}).Render(record).renderings[0], bundle);
  EXPECT_EQ(marked.ids.front(), bundle.bos_id);
  EXPECT_EQ(marked.weights.front(), 0);
}

TEST(Render, AlpacaWithoutATemplate) {
  const TokenizerBundle bundle = MakeTinyBundle({.eos = "</s>"});
  Record record = Conversation({{"user", "Do"}, {"assistant", "Done"}});
  record.format = Format::kAlpaca;
  const auto result = Renderer(bundle, {}).Render(record);
  ASSERT_EQ(result.renderings.size(), 1u);
  EXPECT_EQ(result.renderings[0].text, "### Instruction:\nDo\n\n### Response:\nDone");
  EXPECT_THAT(Trained(record, bundle), ElementsAre(ElementsAre("Done</s>")));
}

TEST(Render, BosIsNeverDoubled) {
  const TokenizerBundle with =
      MakeTinyBundle({.chat_template = kLlama3, .eos = "<|eot_id|>", .add_bos = true});
  const MarkedTokens marked = Mark(Renderer(with, {}).Render(kTwoTurns).renderings[0], with);
  EXPECT_EQ(marked.ids[0], with.bos_id);
  EXPECT_NE(marked.ids[1], with.bos_id);
  EXPECT_TRUE(NeedsBos(with, "text"));
  EXPECT_FALSE(NeedsBos(with, "<s>text"));
  EXPECT_FALSE(NeedsBos(MakeTinyBundle({.add_bos = false}), "text"));
}

TEST(Render, TokenAcrossTheBeginningIsCountedAndNotTrained) {
  // "\n" and "\n" make one token: the template's line break and the first one of the answer.
  const TokenizerBundle bundle =
      MakeTinyBundle({.chat_template = kChatMl, .merges = {"\u010A \u010A"}});
  const Record record = Conversation({{"user", "a"}, {"assistant", "\n b"}});
  const MarkedTokens marked = Mark(Renderer(bundle, {}).Render(record).renderings[0], bundle);
  EXPECT_EQ(marked.straddling, 1);
  EXPECT_THAT(TrainedParts(marked, bundle), ElementsAre(" b<|im_end|>"));
}

TEST(Render, BuiltInChatMl) {
  const TokenizerBundle none = MakeTinyBundle({.eos = "</s>"});
  EXPECT_THAT([&] { Trained(kTwoTurns, none); },
              ThrowsMessage<Error>(
                  HasSubstr("no chat template for \"messages\" data; give --chat-template FILE")));
  EXPECT_THAT(Trained(kTwoTurns, none, {.chat_template = "chatml"}),
              ElementsAre(ElementsAre("hello<|im_end|>", "well<|im_end|>")));
}

std::string Plain(const std::vector<Message>& messages, bool prompt) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl, .eos = "</s>"});
  return ChooseChatTemplate(bundle, "plain")->Render(messages, {.add_generation_prompt = prompt});
}

TEST(Render, BuiltInPlain) {
  const Message system = {"system", "Be brief."}, two = {"user", "2+2?"}, four = {"assistant", "4"},
                three = {"user", "3+3?"};
  EXPECT_EQ(Plain({two}, true), "Question: 2+2?\nAnswer:");
  EXPECT_EQ(Plain({system, two, four, three}, true),
            "Be brief.\n\nQuestion: 2+2?\nAnswer: 4\n\nQuestion: 3+3?\nAnswer:");
  EXPECT_EQ(Plain({two, four}, false), "Question: 2+2?\nAnswer: 4</s>");
  EXPECT_THAT(
      [&] {
        Plain({two, {"tool", "4"}}, true);
      },
      ThrowsMessage<Error>(HasSubstr("none of role tool")));
}

// The end token is trained after each answer, and never occurs within a prompt.
TEST(Render, BuiltInPlainTrainsAnswersWithTheirEnd) {
  const TokenizerBundle none = MakeTinyBundle({.eos = "</s>"});
  EXPECT_THAT(Trained(kTwoTurns, none, {.chat_template = "plain"}),
              ElementsAre(ElementsAre(" hello</s>"), ElementsAre(" well</s>")));
}

TEST(Render, OnlyThePlainTemplateHasAStopString) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  const ChatTemplate plain = *ChooseChatTemplate(bundle, "plain");
  std::vector<std::string> stops = {"."};
  AddStopStrings(*ChooseChatTemplate(bundle, ""), &stops);
  EXPECT_THAT(stops, ElementsAre("."));
  AddStopStrings(plain, &stops);
  AddStopStrings(plain, &stops);
  EXPECT_THAT(stops, ElementsAre(".", "\nQuestion:"));
  // A folder that was trained with it holds the template itself.
  const TokenizerBundle trained = MakeTinyBundle({.chat_template = plain.source()});
  stops.clear();
  AddStopStrings(*ChooseChatTemplate(trained, ""), &stops);
  EXPECT_THAT(stops, ElementsAre("\nQuestion:"));
}

TEST(Render, TemplateFromAFile) {
  const std::string path = testing::TempDir() + "render_test.jinja";
  WriteFileAtomically(path, kMistral);
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl, .eos = "</s>"});
  EXPECT_THAT(Trained(kTwoTurns, bundle, {.chat_template = path}),
              ElementsAre(ElementsAre(" hello</s>", " well</s>")));
  EXPECT_THAT([&] { Trained(kTwoTurns, bundle, {.chat_template = "/nonexistent.jinja"}); },
              ThrowsMessage<Error>(HasSubstr("/nonexistent.jinja")));
}

std::string RandomText(const RandomStream& random, uint64_t& draw) {
  static const char* const kPieces[] = {
      "hello", "he", " ",       "\n",  "\n\n",   "\t", "é",  "🦜", "👩‍👩‍👧",
      "世界",  "'s", "123",     "<b>", "user\n", "\\", "\"", "{}",   " x",
      "ll",    "ﬁ",  "e\u0301", "."};
  std::string text;
  const uint64_t count = random.Below(draw++, 8);
  for (uint64_t i = 0; i < count; ++i) text += kPieces[random.Below(draw++, std::size(kPieces))];
  return text;
}

// For any conversation exactly the assistant's turns are trained, with their end tokens.
TEST(Render, PropertyTrainedTokensDecodeToTheTurns) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  const Renderer renderer(bundle, {});
  const RandomStream random(1, "render_test");
  uint64_t draw = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::pair<std::string, std::string>> turns;
    if (random.Below(draw++, 2) == 0) turns.emplace_back("system", RandomText(random, draw));
    std::vector<std::string> expected;
    for (uint64_t i = 0, n = 1 + random.Below(draw++, 4); i < n; ++i) {
      turns.emplace_back("user", RandomText(random, draw));
      turns.emplace_back("assistant", RandomText(random, draw));
      expected.push_back(turns.back().second + "<|im_end|>");
    }
    const auto result = renderer.Render(Conversation(turns));
    ASSERT_EQ(result.renderings.size(), 1u);
    const MarkedTokens marked = Mark(result.renderings[0], bundle);
    ASSERT_EQ(marked.straddling, 0);
    ASSERT_EQ(TrainedParts(marked, bundle), expected) << result.renderings[0].text;
    ASSERT_EQ(bundle.tokenizer.Decode(marked.ids), result.renderings[0].text);
  }
}

}  // namespace
}  // namespace lorikeet
