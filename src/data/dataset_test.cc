#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/random.h"
#include "data/inspect.h"
#include "data/tiny_bundle.h"

namespace lorikeet {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

std::string WriteTemp(std::string_view content) {
  const std::string path = testing::TempDir() + std::to_string(getpid()) + "_dataset_test.jsonl";
  WriteFileAtomically(path, content);
  return path;
}

Dataset Load(std::string_view content, const TokenizerBundle& bundle,
             const RenderConfig& config = {}) {
  return LoadDataset(WriteTemp(content), bundle, config);
}

std::string ChatRow(const std::string& question, const std::string& answer) {
  return OrderedJson{{"messages",
                      {{{"role", "user"}, {"content", question}},
                       {{"role", "assistant"}, {"content", answer}}}}}
             .dump() +
         "\n";
}

TEST(Dataset, ShiftsTargetsAndEndsWithTheLastTrainedOne) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  const Dataset dataset = Load(ChatRow("hi", "hello"), bundle);
  ASSERT_EQ(dataset.examples.size(), 1u);
  const Example& example = dataset.examples[0];
  EXPECT_EQ(
      bundle.tokenizer.Decode(example.tokens),
      "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello");  // its target is <|im_end|>
  for (size_t t = 0; t + 1 < example.tokens.size(); ++t) {
    EXPECT_EQ(example.target_tokens[t], example.tokens[t + 1]);
  }
  EXPECT_EQ(example.target_tokens.back(), bundle.eos_id);
  const auto last = example.weights.end();
  EXPECT_THAT(std::vector<float>(last - 2, last), ElementsAre(1, 1));  // "hello" is one token
  EXPECT_EQ(std::count(example.weights.begin(), example.weights.end(), 0.0F),
            std::ssize(example.weights) - 2);
  EXPECT_THAT(example.advantages, IsEmpty());
  EXPECT_EQ(dataset.stats.rows, 1);
  EXPECT_EQ(dataset.stats.examples, 1);
  EXPECT_EQ(dataset.stats.trained_tokens, 2);
  EXPECT_EQ(dataset.stats.tokens, example.num_tokens());
  EXPECT_THAT(dataset.stats.notes, IsEmpty());
}

TEST(Dataset, GivenTokens) {
  const TokenizerBundle bundle = MakeTinyBundle({});
  const Dataset dataset =
      Load("{\"tokens\": [5, 6, 7, 8, 9], \"weights\": [1, 0, 0.5, 2, 0]}\n", bundle);
  EXPECT_THAT(dataset.examples[0].tokens, ElementsAre(5, 6, 7));
  EXPECT_THAT(dataset.examples[0].target_tokens, ElementsAre(6, 7, 8));
  EXPECT_THAT(dataset.examples[0].weights, ElementsAre(0, 0.5F, 2));
  EXPECT_THAT([&] { Load("{\"tokens\": [5, 60000]}\n", bundle); },
              ThrowsMessage<Error>(HasSubstr("dataset_test.jsonl:1: token id 60000 is beyond")));
}

TEST(Dataset, TruncatesOrDropsAndSaysSo) {
  const TokenizerBundle bundle = MakeTinyBundle({.eos = "</s>"});
  const std::string content =
      "{\"prompt\": \"ab\", \"completion\": \"cd\"}\n{\"prompt\": \"ab\", \"completion\": "
      "\"cdefgh\"}\n"
      "{\"prompt\": \"abcdefgh\", \"completion\": \"c\"}\n";
  Dataset dataset = Load(content, bundle, {.max_length = 5});
  ASSERT_EQ(dataset.examples.size(), 2u);
  EXPECT_EQ(dataset.examples[0].num_tokens(), 4);
  EXPECT_EQ(dataset.examples[1].num_tokens(), 5);
  EXPECT_EQ(bundle.tokenizer.Decode(dataset.examples[1].target_tokens), "bcdef");
  EXPECT_EQ(dataset.stats.truncated, 1);
  EXPECT_EQ(dataset.stats.dropped_by_truncation, 1);
  EXPECT_EQ(dataset.stats.without_end, 1);
  EXPECT_THAT(dataset.stats.notes,
              Contains(HasSubstr("examples that train no end-of-turn or EOS token: 1")));
  dataset = Load(content, bundle, {.max_length = 5, .overlong = Overlong::kDrop});
  EXPECT_EQ(dataset.examples.size(), 1u);
  EXPECT_EQ(dataset.stats.dropped_too_long, 2);
  EXPECT_THAT([&] { Load(content, bundle, {.max_length = 1}); },
              ThrowsMessage<Error>(HasSubstr("max_length 1 cuts off every trained token")));
  EXPECT_THAT([&] { Load(content, bundle, {.max_length = 1, .overlong = Overlong::kDrop}); },
              ThrowsMessage<Error>(HasSubstr("all 3 examples are longer than max_length 1")));
}

TEST(Dataset, RefusesAFileInWhichNothingIsTrained) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  EXPECT_THAT(
      [&] { Load("{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n", bundle); },
      ThrowsMessage<Error>(
          HasSubstr("nothing in it would be trained (rows: 1): no row has an assistant")));
  EXPECT_THAT([&] { Load("{\"tokens\": [1, 2], \"weights\": [1, 0]}\n", bundle); },
              ThrowsMessage<Error>(HasSubstr("would be trained")));
}

TEST(Dataset, NotesWhatAPersonShouldKnow) {
  const TokenizerBundle bundle =
      MakeTinyBundle({.chat_template = kChatMl, .merges = {"\u010A \u010A"}});
  const Dataset dataset =
      Load("{\"id\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n" +
               ChatRow("a", "\n b") + ChatRow("a", "b"),
           bundle);
  EXPECT_EQ(dataset.stats.rows_without_target, 1);
  EXPECT_EQ(dataset.stats.straddling, 1);
  EXPECT_THAT(
      dataset.stats.notes,
      ElementsAre(
          HasSubstr("keys ignored: id"), HasSubstr("left out: 1 (the first: line 1)"),
          HasSubstr("tokens that reach from a prompt into a trained part, not trained: 1")));
  EXPECT_THAT(dataset.line, ElementsAre(2, 3));
}

TEST(Dataset, WarnsWhenTheTemplateChangesWords) {
  const TokenizerBundle bundle = MakeTinyBundle(
      {.chat_template =
           "{% for m in messages %}{{ m.role }}: {{ m.content | upper }}<|im_end|>{% endfor %}"
           "{% if add_generation_prompt %}assistant: {% endif %}"});
  const Dataset dataset = Load(ChatRow("a", "b"), bundle);
  EXPECT_EQ(dataset.stats.reworded, 1);
  EXPECT_THAT(dataset.stats.notes, ElementsAre(HasSubstr("(the first: line 1, message 2)")));
}

TEST(Dataset, RefusesATemplateThatLosesWords) {
  const TokenizerBundle bundle = MakeTinyBundle(
      {.chat_template =
           "{% for m in messages %}{{ m.role }}: {% if m.content is not string %}{{ m.content }}"
           "{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif "
           "%}"});
  EXPECT_THAT([&] { Load(ChatRow("a", "b"), bundle); },
              ThrowsMessage<Error>(HasSubstr("message 2: the chat template writes none of its "
                                             "words")));
}

TEST(Dataset, WarnsWhenNoEndIsTrained) {
  const TokenizerBundle bundle = MakeTinyBundle({.eos = ""});
  EXPECT_THAT(Load("{\"text\": \"abc\"}\n", bundle).stats.notes,
              Contains(HasSubstr("will not learn to stop")));
}

TEST(Dataset, SplitsTurnsThatTheTemplateEdits) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kForgetsThoughts});
  const Dataset dataset =
      Load(OrderedJson{{"messages",
                        {{{"role", "user"}, {"content", "a"}},
                         {{"role", "assistant"}, {"content", "<think>x</think>y"}},
                         {{"role", "user"}, {"content", "b"}},
                         {{"role", "assistant"}, {"content", "z"}}}}}
                   .dump() +
               "\n",
           bundle);
  EXPECT_EQ(dataset.stats.split_rows, 1);
  EXPECT_EQ(dataset.stats.examples, 2);
  EXPECT_THAT(dataset.line, ElementsAre(1, 1));
  EXPECT_THAT(
      dataset.stats.notes,
      ElementsAre(HasSubstr("(the first: line 1, message 2); rows whose turns became examples")));
}

TEST(Dataset, SaysHowTheFirstTokenCameAbout) {
  const std::string row = ChatRow("a", "b");
  const auto rule = [&](const TinyBundleOptions& options) {
    return Load(row, MakeTinyBundle(options)).stats.bos_rule;
  };
  EXPECT_THAT(rule({.chat_template = kLlama3, .eos = "<|eot_id|>", .add_bos = true}),
              HasSubstr("none added"));
  EXPECT_THAT(rule({.chat_template = kChatMl, .add_bos = true}),
              HasSubstr("added, as the tokenizer asks"));
  EXPECT_THAT(rule({.chat_template = kChatMl}), HasSubstr("does not ask"));
}

TEST(Dataset, ErrorsNameTheLineInOrderOnAnyNumberOfThreads) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kMistral, .eos = "</s>"});
  std::string content;
  for (int i = 0; i < 300; ++i) {
    content += i == 17    ? "{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}\n"
               : i == 200 ? std::string("{\"text\": \"x\"}\n")
               : i == 250 ? std::string("nonsense\n")
                          : ChatRow("q", "a");
  }
  const int threads = NumThreads();
  for (const int n : {1, 4}) {
    SetNumThreads(n);
    EXPECT_THAT([&] { Load(content, bundle); },
                ThrowsMessage<Error>(AllOf(HasSubstr("dataset_test.jsonl:18: "),
                                           HasSubstr("roles must alternate"),
                                           HasSubstr("(and 2 more bad rows: lines 201, 251)"))));
  }
  SetNumThreads(threads);
}

std::string ManyRows(int count) {
  const RandomStream random(3, "dataset_test");
  std::string content;
  for (int i = 0; i < count; ++i) {
    content += ChatRow("question " + std::to_string(i),
                       std::string(random.Below(static_cast<uint64_t>(i), 90), 'x'));
  }
  return content;
}

TEST(Dataset, DoesNotDependOnThreads) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  const std::string content = ManyRows(500);
  const int threads = NumThreads();
  SetNumThreads(1);
  const Dataset one = Load(content, bundle);
  SetNumThreads(4);
  const Dataset four = Load(content, bundle);
  SetNumThreads(threads);
  ASSERT_EQ(one.examples.size(), 500u);
  ASSERT_EQ(four.examples.size(), 500u);
  EXPECT_EQ(one.line, four.line);
  for (size_t i = 0; i < 500; ++i) {
    ASSERT_EQ(one.examples[i].tokens, four.examples[i].tokens);
    ASSERT_EQ(one.examples[i].weights, four.examples[i].weights);
  }
}

TEST(Dataset, HistogramCountsEveryExample) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  const LengthHistogram lengths = Load(ManyRows(200), bundle).stats.lengths;
  EXPECT_LE(lengths.counts.size(), 12u);
  int64_t total = 0;
  for (const int64_t count : lengths.counts) total += count;
  EXPECT_EQ(total, 200);
  EXPECT_GT(lengths.counts.back(), 0);
  EXPECT_LE(lengths.shortest, lengths.median);
  EXPECT_LE(lengths.median, lengths.percentile_90);
  EXPECT_LE(lengths.percentile_90, lengths.longest);
  EXPECT_EQ((lengths.longest - lengths.first) / lengths.width, std::ssize(lengths.counts) - 1);
  EXPECT_GT(lengths.counts.front(), 0);
}

TEST(HeldOut, SplitsRowsBySeedAndKeepsTheirExamplesTogether) {
  Dataset dataset;
  for (int i = 0; i < 100; ++i) {
    Example example;
    example.tokens = example.target_tokens = {i};
    example.weights = {1};
    dataset.examples.push_back(example);
    dataset.line.push_back(1 + i / 2);  // two examples a row
  }
  const auto [train, held] = SplitHeldOut(dataset, 0.2, 5);
  EXPECT_EQ(held.examples.size(), 20u);
  EXPECT_EQ(train.examples.size(), 80u);
  EXPECT_EQ(train.stats.tokens, 80);
  EXPECT_TRUE(std::is_sorted(train.line.begin(), train.line.end()));
  for (const int64_t line : held.line) EXPECT_THAT(train.line, Not(Contains(line)));
  EXPECT_EQ(SplitHeldOut(dataset, 10, 5).second.line, held.line);
  EXPECT_NE(SplitHeldOut(dataset, 10, 6).second.line, held.line);
  for (const double amount : {0.0, -1.0, 0.001, 50.0, 1e30, std::nan("")}) {
    EXPECT_THAT([&] { SplitHeldOut(dataset, amount, 5); },
                ThrowsMessage<Error>(HasSubstr("cannot hold out")));
  }
}

TEST(Inspect, ShowsWhatIsTrained) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  const Dataset dataset = Load(ChatRow("hi", "hello\x1b[2J"), bundle);
  const std::string text = InspectData(dataset, bundle, {});
  const std::string end = std::to_string(bundle.eos_id);
  EXPECT_THAT(text, HasSubstr("<|im_start|>assistant\n⟦hello␛[2J<|im_end|>⟧"));
  EXPECT_THAT(text, HasSubstr(end + " \"<|im_end|>\"\n"));
  EXPECT_THAT(text, HasSubstr("of them trained 6 ("));
  EXPECT_THAT(text, HasSubstr("in batches of at most 2,048 tokens: 1,"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(InspectData(dataset, bundle, {.color = true}),
              HasSubstr("\x1b[32mhello␛[2J<|im_end|>\x1b[0m"));
  EXPECT_THAT([&] { InspectData(dataset, bundle, {.first_example = 1}); },
              ThrowsMessage<Error>(HasSubstr("example 2: the data holds 1")));
}

TEST(Inspect, JsonHoldsTheSameFacts) {
  const TokenizerBundle bundle = MakeTinyBundle({.chat_template = kChatMl});
  const Dataset dataset = Load(ChatRow("hi", "hello"), bundle);
  const OrderedJson json = InspectDataJson(dataset, bundle, {.tokens_per_batch = 64});
  EXPECT_EQ(json["format"], "messages");
  EXPECT_EQ(json["trained_tokens"], 2);
  EXPECT_EQ(json["packing"]["batches"], 1);
  EXPECT_EQ(json["first_ids"].size(), 8u);
  EXPECT_EQ(json["shown"][0]["parts"][1]["text"], "hello<|im_end|>");
  EXPECT_EQ(json["shown"][0]["parts"][1]["trained"], true);
  EXPECT_EQ(InspectDataJson(dataset, bundle, {.examples = 0})["shown"].size(), 0u);
  EXPECT_EQ(InspectDataJson(dataset, bundle, {.tokens_per_batch = 4})["packing"]["batches"], 0);
}

}  // namespace
}  // namespace lorikeet
