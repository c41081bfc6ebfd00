// Rows that other tools read in one way and programs often in another; tests/golden/data has the
// files. Texts and masks are those of `transformers` (tools/data_goldens.py).
#include "data/dataset_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
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

const std::string kFolder = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/data/";

std::string Case(const std::string& file) { return kFolder + "cases/" + file; }

// The small tokenizer; `templates`: a text, or an object of named ones.
TokenizerBundle BundleWith(const OrderedJson& templates) {
  OrderedJson config = {{"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}};
  config["chat_template"] = templates;
  if (templates.is_object()) {
    config["chat_template"] = OrderedJson::array();
    for (const auto& [name, source] : templates.items()) {
      config["chat_template"].push_back({{"name", name}, {"template", source}});
    }
  }
  TokenizerSources sources;
  sources.where = "case";
  sources.tokenizer_json = ReadFile(kFolder + "tokenizer.json");
  sources.tokenizer_config_json = config.dump();
  return LoadTokenizerBundle(sources);
}

struct Loaded {
  TokenizerBundle bundle;
  Dataset dataset;

  std::string Text(size_t example = 0) const {
    const Example& e = dataset.examples.at(example);
    std::vector<int32_t> ids = {e.tokens.front()};
    ids.insert(ids.end(), e.target_tokens.begin(), e.target_tokens.end());
    return bundle.tokenizer.Decode(ids);
  }
  // The trained tokens of an example, run by run.
  std::vector<std::string> Trained(size_t example = 0) const {
    const Example& e = dataset.examples.at(example);
    std::vector<std::string> parts;
    std::vector<int32_t> ids;
    for (size_t t = 0; t <= e.tokens.size(); ++t) {
      if (t < e.tokens.size() && e.weights[t] > 0) {
        ids.push_back(e.target_tokens[t]);
      } else if (!ids.empty()) {
        parts.push_back(bundle.tokenizer.Decode(ids));
        ids.clear();
      }
    }
    return parts;
  }
  const std::vector<std::string>& notes() const { return dataset.stats.notes; }
};

Loaded LoadFile(const std::string& path, const OrderedJson& templates = kChatMl,
                const RenderConfig& config = {}) {
  TokenizerBundle bundle = BundleWith(templates);
  Dataset dataset = LoadDataset(path, bundle, config);
  return {std::move(bundle), std::move(dataset)};
}

Loaded LoadRows(const std::string& rows, const OrderedJson& templates = kChatMl,
                const RenderConfig& config = {}) {
  const std::string path = testing::TempDir() + std::to_string(getpid()) + "_rows_test.jsonl";
  WriteFileAtomically(path, rows);
  return LoadFile(path, templates, config);
}

std::string Lines(const std::string& file, std::vector<size_t> wanted) {
  std::string lines, content = ReadFile(file);
  for (size_t line = 1; !content.empty(); ++line) {
    const size_t end = std::min(content.find('\n'), content.size() - 1) + 1;
    for (const size_t w : wanted) lines += w == line ? content.substr(0, end) : "";
    content.erase(0, end);
  }
  return lines;
}

TEST(Golden, RowsRenderAsInTransformers) {
  for (const OrderedJson& golden :
       ParseOrderedJson(ReadFile(kFolder + "rendering.json"), "rendering.json")) {
    const TokenizerBundle bundle = BundleWith(golden["templates"]);
    const std::string row = golden["row"].dump();
    const Renderer renderer(bundle, {});
    const auto result = renderer.Render(ParseRecord({row, 1}));
    ASSERT_EQ(result.renderings.size(), 1u) << golden["name"];
    EXPECT_EQ(result.renderings[0].text, golden["text"]) << golden["name"];
    for (const Remark& remark :
         result.remarks) {  // some of these templates have no place for tools
      EXPECT_THAT(remark.text, HasSubstr("does not write the tools")) << golden["name"];
    }
  }
}

TEST(Golden, MarksTrainTheTokensThatTransformersMasks) {
  for (const OrderedJson& golden :
       ParseOrderedJson(ReadFile(kFolder + "marks.json"), "marks.json")) {
    const TokenizerBundle bundle = BundleWith(golden["template"]);
    const std::string row = golden["row"].dump();
    const Renderer renderer(bundle, {.train_on = TrainOn::kGeneration});
    const auto result = renderer.Render(ParseRecord({row, 1}));
    ASSERT_EQ(result.renderings.size(), 1u) << golden["name"];
    const MarkedTokens marked = Mark(result.renderings[0], bundle);
    EXPECT_EQ(OrderedJson(marked.ids), golden["ids"]) << golden["name"];
    std::vector<int> mask(marked.weights.begin(), marked.weights.end());
    EXPECT_EQ(OrderedJson(mask), golden["mask"]) << golden["name"];
  }
}

// Templates that are used in the world. Not every one shows a difference between our cures and what
// `transformers` does with messages as they are: text for templates that read nothing but parts.
TEST(SlowGolden, RealTemplatesRenderRowsAsTransformers) {
  const char* set = std::getenv("LORIKEET_ROW_GOLDENS");
  const std::string folder =
      set != nullptr ? set : std::string(LORIKEET_SOURCE_DIR) + "/out/row_goldens";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << folder << " is absent; tools/data_goldens.py FOLDER writes it";
  }
  for (const OrderedJson& golden :
       ParseOrderedJson(ReadFile(folder + "/rendering.json"), "rendering.json")) {
    if (!golden.contains("text")) continue;
    const TokenizerBundle bundle = BundleWith(golden["templates"]);
    const std::string row = golden["row"].dump();
    const Record record = ParseRecord({row, 1});
    const std::string text =
        ChooseChatTemplate(bundle, "")
            ->Render(record.messages, {.tools = record.tools, .date = "2026-03-05"});
    EXPECT_EQ(text, golden["text"]) << golden["name"];
  }
  for (const OrderedJson& golden : ParseOrderedJson(ReadFile(folder + "/marks.json"), "marks")) {
    const TokenizerBundle bundle = BundleWith(golden["template"]);
    const std::string row = golden["row"].dump();
    const auto result =
        Renderer(bundle, {.train_on = TrainOn::kGeneration}).Render(ParseRecord({row, 1}));
    const MarkedTokens marked = Mark(result.renderings.at(0), bundle);
    std::vector<int> mask(marked.weights.begin(), marked.weights.end());
    EXPECT_EQ(OrderedJson(mask), golden["mask"]) << golden["name"];
  }
}

TEST(Case, template_drops_tool_calls) {
  const std::string rows = Case("template_drops_tool_calls/rows.jsonl");
  EXPECT_THAT([&] { LoadFile(rows); },
              ThrowsMessage<Error>(AllOf(
                  HasSubstr("rows.jsonl:1: message 2: the chat template does not write its tool "
                            "call \"multiply\""),
                  HasSubstr("\"train\": false"), HasSubstr("1 more bad row: line 2"))));
  const Loaded third = LoadRows(Lines(rows, {3}));
  EXPECT_THAT(third.notes(),
              ElementsAre(HasSubstr("does not write the tools of the row (the first: line 1)")));
  // A turn that is not trained may lose its call, and is named.
  std::string untrained = Lines(rows, {1});
  untrained.replace(untrained.find("\"tool_calls\""), 0, "\"train\": false, ");
  EXPECT_THAT(LoadRows(untrained).notes(),
              Contains(HasSubstr("keys ignored: messages.tool_calls (1 row)")));
  EXPECT_THAT([&] { LoadRows(Lines(rows, {2}), kChatMl, {.train_on = TrainOn::kAll}); },
              ThrowsMessage<Error>(HasSubstr("does not write its tool call")));
  // Arguments alone, and one call of two.
  const std::string names_only =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}"
      "{{ c.function.name }}{% endfor %}<|im_end|>{% endfor %}";
  EXPECT_THAT([&] { LoadRows(Lines(rows, {1}), names_only); },
              ThrowsMessage<Error>(HasSubstr("does not write the arguments of its tool call")));
  std::string two = Lines(rows, {1});
  two.replace(two.find("{\"id\""), 0,
              "{\"function\": {\"name\": \"add\", \"arguments\": {\"x\": 1}}}, ");
  const std::string first_only =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if m.tool_calls %}"
      "{{ m.tool_calls[0] | tojson }}{% endif %}<|im_end|>{% endfor %}";
  EXPECT_THAT([&] { LoadRows(two, first_only); },
              ThrowsMessage<Error>(HasSubstr("does not write its tool call \"multiply\"")));
}

TEST(Case, template_drops_reasoning) {
  const auto row = [](const std::string& content) {
    return R"({"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": ")" +
           content + R"(", "reasoning_content": "two and two"}]})" + "\n";
  };
  EXPECT_THAT(LoadRows(row("4")).notes(),
              ElementsAre(AllOf(HasSubstr("does not write the reasoning"),
                                HasSubstr("(the first: line 1, message 2); such rows: 1"))));
  EXPECT_THAT([&] { LoadRows(row("")); },
              ThrowsMessage<Error>(HasSubstr("writes none of its reasoning")));
}

TEST(Case, tool_use_template_not_chosen) {
  const std::string folder = "tool_use_template_not_chosen/";
  const OrderedJson config =
      ParseOrderedJson(ReadFile(Case(folder + "tokenizer_config.json")), "config");
  OrderedJson named;
  for (const OrderedJson& item : config["chat_template"]) {
    named[item["name"].get<std::string>()] = item["template"];
  }
  const Loaded loaded = LoadFile(Case(folder + "rows.jsonl"), named);
  EXPECT_THAT(loaded.Text(), testing::StartsWith("TOOLS [{\"type\": \"function\""));
  EXPECT_THAT(loaded.notes(), IsEmpty());
  // By name, for all rows.
  const std::string plain =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  EXPECT_THAT(LoadRows(plain, named).Text(), testing::StartsWith("<|im_start|>"));
  EXPECT_THAT(LoadRows(plain, named, {.chat_template = "tool_use"}).Text(),
              testing::StartsWith("TOOLS null"));
  EXPECT_THAT([&] { LoadRows(plain, named, {.chat_template = "tool_us"}); },
              ThrowsMessage<Error>(HasSubstr("which are default, tool_use")));
  // Without a default one: refused, unless the row has tools.
  named.erase("default");
  named["rag"] = "R";
  EXPECT_THAT([&] { LoadRows(plain, named); },
              ThrowsMessage<Error>(AllOf(HasSubstr("several chat templates (rag, tool_use)"),
                                         HasSubstr("--chat-template"))));
  EXPECT_THAT(LoadFile(Case(folder + "rows.jsonl"), named).Text(), testing::StartsWith("TOOLS"));
}

TEST(Case, generation_tags_ignored) {
  const std::string rows = Case("generation_tags_ignored/row.jsonl");
  const std::string jinja = Case("generation_tags_ignored/answer_only.jinja");
  const Loaded marks =
      LoadFile(rows, kChatMl, {.train_on = TrainOn::kGeneration, .chat_template = jinja});
  EXPECT_THAT(marks.Trained(), ElementsAre("4<|im_end|>"));
  const Loaded turns = LoadFile(rows, kChatMl, {.chat_template = jinja});
  EXPECT_THAT(turns.Trained(), ElementsAre("<think>two and two</think>4<|im_end|>"));
  EXPECT_THAT(turns.notes(), ElementsAre(AllOf(HasSubstr("marks other text with {% generation %}"),
                                               HasSubstr("line 1, message 2"))));
  EXPECT_THAT([&] { LoadFile(rows, kChatMl, {.train_on = TrainOn::kGeneration}); },
              ThrowsMessage<Error>(HasSubstr("it has no such marks")));
  EXPECT_THAT([&] { LoadRows("{\"text\": \"a\"}\n", kChatMl, {.train_on = TrainOn::kGeneration}); },
              ThrowsMessage<Error>(HasSubstr("a row of this format has none")));
}

TEST(Case, generation_tags_follow_what_the_data_says) {
  const std::string marked =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
      "{% generation %}{{ m.content }}<|im_end|>\n{% endgeneration %}{% else %}{{ m.content }}"
      "<|im_end|>\n{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const std::string turns = Case("turn_flags_ignored/turns.jsonl");
  EXPECT_THAT(LoadFile(turns, marked, {.train_on = TrainOn::kGeneration}).Trained(),
              ElementsAre("Green.<|im_end|>\n"));
  const Loaded loaded = LoadFile(turns, marked);  // the line end alone is no difference
  EXPECT_THAT(loaded.Trained(), ElementsAre("Green.<|im_end|>"));
  EXPECT_THAT(loaded.notes(), IsEmpty());
}

TEST(Case, content_parts_templates) {
  const std::string rows = Case("content_parts_templates/row.jsonl");
  const RenderConfig config = {.chat_template = Case("content_parts_templates/parts.jinja")};
  const Loaded loaded = LoadFile(rows, kChatMl, config);
  EXPECT_THAT(loaded.Text(), HasSubstr("user\nWhat is 2+2?<|im_end|>"));
  EXPECT_THAT(loaded.Trained(), ElementsAre("It is 4.<|im_end|>"));
  EXPECT_THAT(loaded.notes(), IsEmpty());
  // Text for a template that reads nothing but parts; parts for one that reads nothing but text.
  const std::string text =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  EXPECT_THAT(LoadRows(text, kChatMl, config).Trained(), ElementsAre("b<|im_end|>"));
  EXPECT_THAT(LoadFile(rows).Trained(), ElementsAre("It is 4.<|im_end|>"));
  EXPECT_THAT(LoadFile(rows).Text(), HasSubstr("user\nWhat is 2+2?<|im_end|>"));
}

TEST(Case, words_of_a_prompt_that_the_template_drops) {
  const std::string silent =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role != 'system' %}{{ m.content }}"
      "{% endif %}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const std::string row =
      R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"},
          {"role": "assistant", "content": "b"}]})";
  std::string line = row;
  line.erase(line.find('\n'), 1);
  EXPECT_THAT(LoadRows(line, silent).notes(),
              ElementsAre(HasSubstr("does not write the words of a message (role system) (the "
                                    "first: line 1, message 1)")));
}

TEST(Case, turn_flags_ignored) {
  for (const char* file : {"turns", "sharegpt", "weights"}) {
    const Loaded loaded = LoadFile(Case(std::string("turn_flags_ignored/") + file + ".jsonl"));
    EXPECT_THAT(loaded.Trained(), ElementsAre("Green.<|im_end|>")) << file;
    EXPECT_THAT(loaded.notes(), IsEmpty()) << file;
  }
  const auto flag = [](const std::string& user, const std::string& assistant) {
    return R"({"messages": [{"role": "user", "content": "a")" + user +
           R"(}, {"role": "assistant", "content": "b")" + assistant +
           R"(}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]})" + "\n";
  };
  for (const char* off : {R"(, "training": false)", R"(, "loss": 0)",
                          R"(, "train": 0, "weight": 0)", R"(, "train": null, "loss": false)"}) {
    EXPECT_THAT(LoadRows(flag("", off)).Trained(), ElementsAre("d<|im_end|>")) << off;
  }
  EXPECT_THAT(LoadRows(flag("", R"(, "train": null)")).Trained(),
              ElementsAre("b<|im_end|>", "d<|im_end|>"));
  EXPECT_THAT([&] { LoadRows(flag("", R"(, "train": "no")")); },
              ThrowsMessage<Error>(HasSubstr("message 2: \"train\" must be 0 or 1")));
  EXPECT_THAT([&] { LoadRows(flag("", R"(, "train": true, "weight": 0)")); },
              ThrowsMessage<Error>(HasSubstr("contradict each other")));
  EXPECT_THAT([&] { LoadRows(flag("", R"(, "mask": true)")); },
              ThrowsMessage<Error>(HasSubstr("message 2: \"mask\" may mean")));
  EXPECT_THAT(LoadRows(flag(R"(, "train": true)", "")).notes(),
              ElementsAre(HasSubstr("line 1, message 1")));
  EXPECT_THAT(LoadRows(flag(R"(, "train": false, "mood": "dull")", "")).notes(),
              ElementsAre("keys ignored: messages.mood (1 row)"));
}

TEST(Case, alpaca_history_dropped) {
  const std::string rows = Case("alpaca_history_dropped/rows.jsonl");
  const Loaded loaded = LoadFile(rows);
  EXPECT_THAT(loaded.Text(0),
              AllOf(HasSubstr("system\nAnswer briefly.<|im_end|>\n<|im_start|>user\nWhich country"),
                    HasSubstr("Spanish.<|im_end|>\n<|im_start|>user\nAnd its capital?")));
  EXPECT_THAT(loaded.Trained(0),
              ElementsAre("Peru.<|im_end|>", "Spanish.<|im_end|>", "Lima.<|im_end|>"));
  EXPECT_THAT(loaded.Trained(1), ElementsAre("4<|im_end|>"));
  EXPECT_THAT(loaded.notes(), IsEmpty());
  EXPECT_THAT(LoadFile(rows, kChatMl, {.train_on = TrainOn::kLast}).Trained(0),
              ElementsAre("Lima.<|im_end|>"));
  // Without a template each answer is an example, as the end token stands in no prompt.
  const Loaded plain = LoadFile(rows, "");
  ASSERT_EQ(plain.dataset.examples.size(), 4u);
  EXPECT_EQ(plain.Text(1),
            "Answer briefly.\n\n### Instruction:\nWhich country is south of Ecuador?\n\n"
            "### Response:\nPeru.\n\n### Instruction:\nWhich language is spoken most there?\n\n"
            "### Response:\nSpanish.<|im_end|>");
  EXPECT_THAT(plain.Trained(1), ElementsAre("Spanish.<|im_end|>"));
  EXPECT_THAT(
      [] { LoadRows(R"({"instruction": "a", "output": "b", "history": [["c"]]})"); },
      ThrowsMessage<Error>(HasSubstr("\"history\" must be a list of [question, answer] pairs")));
  EXPECT_THAT([] { LoadRows(R"({"prompt": "a", "completion": "b", "history": [["c", "d"]]})"); },
              ThrowsMessage<Error>(HasSubstr("\"history\" beside a prompt")));
}

TEST(Case, tool_arguments_as_string) {
  const std::string rows = Case("tool_arguments_as_string/rows.jsonl");
  const RenderConfig walk = {.chat_template = Case("tool_arguments_as_string/walk.jinja")};
  const Loaded loaded = LoadFile(rows, kChatMl, walk);
  EXPECT_THAT(loaded.Trained(0),
              ElementsAre("<function=multiply><parameter=a>3</parameter><parameter=b>4</parameter>"
                          "</function><|im_end|>",
                          "12.<|im_end|>"));
  EXPECT_THAT(loaded.Trained(1)[0], "<function=ping></function><|im_end|>");
  std::string bad = Lines(rows, {1});
  const std::string arguments = R"("{\"a\": 3, \"b\": 4}")";
  bad.replace(bad.find(arguments), arguments.size(), "\"a=3\"");
  EXPECT_THAT([&] { LoadRows(bad, kChatMl, walk); },
              ThrowsMessage<Error>(AllOf(HasSubstr("message 2: the arguments of a tool call"),
                                         HasSubstr("not a JSON object"))));
}

TEST(Case, function_call_of_older_files) {
  const std::string rows =
      R"({"messages": [{"role": "user", "content": "3*4?"}, {"role": "assistant", "content": null, )"
      R"("function_call": {"name": "multiply", "arguments": "{\"a\": 3}"}}, {"role": "function", )"
      R"("name": "multiply", "content": "12"}, {"role": "assistant", "content": "12."}], )"
      R"("functions": [{"name": "multiply", "parameters": {}}]})";
  const std::string jinja =
      "{{ tools | tojson }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
      "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const Loaded loaded = LoadRows(rows, jinja);
  EXPECT_THAT(
      loaded.Text(),
      AllOf(HasSubstr(R"([{"type": "function", "function": {"name": "multiply", "parameters")"),
            HasSubstr("tool\n12<|im_end|>")));
  EXPECT_THAT(loaded.Trained()[0],
              R"([{"type": "function", "function": {"name": "multiply", "arguments": {"a": 3}}}])"
              "<|im_end|>");
  EXPECT_THAT([&] { LoadRows(rows); }, ThrowsMessage<Error>(HasSubstr("does not write its tool")));
}

TEST(Case, sharegpt_function_call) {
  const std::string jinja =
      "{% for t in tools or [] %}{{ t.function.name }}\n{% endfor %}{% for m in messages %}"
      "<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}<call>"
      "{{ c.function | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const Loaded loaded = LoadFile(Case("sharegpt_function_call/rows.jsonl"), jinja);
  EXPECT_EQ(loaded.dataset.stats.format, Format::kShareGpt);
  EXPECT_THAT(loaded.Text(), AllOf(testing::StartsWith("multiply\n"), HasSubstr("tool\n12<")));
  EXPECT_THAT(loaded.Trained(),
              ElementsAre(R"(<call>{"name": "multiply", "arguments": {"a": 3, "b": 4}}</call>)"
                          "<|im_end|>",
                          "12.<|im_end|>"));
  const auto turn = [](const std::string& value) {
    return R"({"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": )" +
           value + "}]}";
  };
  const Loaded two = LoadRows(
      turn(R"("[{\"name\": \"f\", \"arguments\": {\"x\": 1}}, {\"name\": \"g\"}]")"), jinja);
  EXPECT_THAT(two.Trained()[0], HasSubstr(R"(</call><call>{"name": "g", "arguments": {}})"));
  EXPECT_THAT([&] { LoadRows(turn("\"f 1\""), jinja); },
              ThrowsMessage<Error>(HasSubstr("message 2: a call must be a JSON object")));
}

TEST(Case, columns_of_other_names) {
  const std::string folder = "columns_of_other_names/";
  const std::pair<const char*, const char*> files[] = {
      {"question_answer", "instruction=question,output=answer"},
      {"prompt_response", "instruction=prompt,output=response"},
      {"input_output", "instruction=input"},
      {"conversation", "messages=conversation"},
      {"dolly", "input=context,output=response"},
      {"messages_and_text", ""},
      {"bare_list", ""}};
  for (const auto& [file, taken] : files) {
    const Loaded loaded = LoadFile(Case(folder + file + ".jsonl"));
    EXPECT_THAT(loaded.Trained(), ElementsAre("4<|im_end|>")) << file;
    EXPECT_THAT(loaded.Text(), HasSubstr(std::string(file) == "dolly" ? "user\nSum.\n\n2 and 2<"
                                                                      : "user\n2+2?<|im_end|>"))
        << file;
    if (*taken == '\0') continue;
    EXPECT_THAT(loaded.notes(), Contains(HasSubstr(taken))) << file;
  }
  const std::string turn =
      R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  EXPECT_EQ(LoadRows(turn + "\n" + turn + "\n").dataset.stats.rows, 2);
  EXPECT_EQ(LoadRows("[" + turn + ",\n" + turn + "]\n").dataset.stats.rows, 2);
}

TEST(Case, columns_that_the_user_names) {
  const auto load = [](const std::string& rows, const std::vector<std::string>& columns) {
    return LoadRows(rows, kChatMl, {.columns = ColumnMap(columns)});
  };
  const std::string row = R"({"instruction": "Q:", "text": "no", "response": " A", "prompt": "x"})";
  const Loaded strings = load(row, {"prompt=instruction", "completion=response"});
  EXPECT_EQ(strings.dataset.stats.format, Format::kPromptCompletion);
  EXPECT_EQ(strings.Text(), "Q: A<|im_end|>");
  EXPECT_THAT(strings.Trained(), ElementsAre(" A<|im_end|>"));
  EXPECT_THAT(strings.notes(), ElementsAre("keys ignored: prompt (1 row), text (1 row)"));
  EXPECT_THAT(load(row, {"text=response"}).Text(), " A<|im_end|>");
  const Loaded turns = load(
      R"({"dialog": [{"who": "user", "says": "a"}, {"who": "assistant", "says": "b"}], "sys": "S"})",
      {"messages=dialog", "role=who", "content=says", "system=sys"});
  EXPECT_THAT(turns.Text(), HasSubstr("system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>"));
  EXPECT_THAT(turns.notes(), IsEmpty());
  EXPECT_THAT(
      [&] {
        load(row, {"prompt=instrucion", "completion=response"});
      },
      ThrowsMessage<Error>(HasSubstr("no column \"instrucion\", which data_columns names")));
  EXPECT_THAT(
      [&] {
        load(row, {"prompt=instruction", "completion=response", "system=sys"});
      },
      ThrowsMessage<Error>(HasSubstr("no row has the column \"sys\"")));
  EXPECT_THAT(
      [&] {
        load(R"({"q": 1, "a": "b"})", {"instruction=q", "output=a"});
      },
      ThrowsMessage<Error>(HasSubstr("\"q\" (taken as instruction) must be a string")));
  EXPECT_THAT([] { ColumnMap({"prompt"}); }, ThrowsMessage<Error>(HasSubstr("is no pair")));
  EXPECT_THAT([] { ColumnMap({"promt=a"}); }, ThrowsMessage<Error>(HasSubstr("no format has")));
  EXPECT_THAT(
      [] {
        ColumnMap({"prompt=a", "prompt=b"});
      },
      ThrowsMessage<Error>(HasSubstr("given twice")));
}

TEST(Case, system_beside_a_system_turn) {
  const auto row = [](const std::string& own, const std::string& turn) {
    return R"({"system": ")" + own + R"(", "messages": [)" + turn +
           R"({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})" + "\n";
  };
  const std::string turn = R"({"role": "system", "content": "T"}, )";
  EXPECT_THAT(LoadRows(row("S", "")).Text(), testing::StartsWith("<|im_start|>system\nS<"));
  EXPECT_THAT(LoadRows(row("T", turn)).notes(), IsEmpty());
  const Loaded both = LoadRows(row("S", turn));
  EXPECT_THAT(both.Text(), AllOf(HasSubstr("system\nT<"), Not(HasSubstr("system\nS<"))));
  EXPECT_THAT(both.notes(), ElementsAre(HasSubstr("\"system\" of a row is not used")));
}

TEST(Case, variables_that_the_template_never_reads) {
  const std::string row =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  RenderConfig config;
  config.template_variables = {{"enable_thinkin", false}};
  EXPECT_THAT(LoadRows(row, kChatMl, config).notes(),
              ElementsAre("keys ignored: chat_template_kwargs.enable_thinkin (1 row)"));
}

TEST(Case, empty_keys_are_as_absent) {
  const std::string calls =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if 'tool_calls' in m %}CALL{% endif %}"
      "{{ m.content }}<|im_end|>\n{% endfor %}{% if tools is not none %}TOOLS{% endif %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const std::string row =
      R"({"id": null, "text": null, "tools": [], "functions": "", "chat_template_kwargs": {}, )"
      R"("messages": [{"role": "user", "content": "a", "tool_calls": null}, )"
      R"({"role": "assistant", "content": "b", "tool_calls": [], "weight": null, "name": ""}]})";
  const Loaded loaded = LoadRows(row, calls);
  EXPECT_THAT(loaded.Text(), Not(HasSubstr("CALL")));
  EXPECT_THAT(loaded.Text(), Not(HasSubstr("TOOLS")));
  EXPECT_THAT(loaded.notes(), IsEmpty());
}

}  // namespace
}  // namespace lorikeet
