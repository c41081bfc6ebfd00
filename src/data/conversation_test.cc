#include "data/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;
using testing::UnorderedElementsAre;

std::string WriteTemp(const std::string& name, std::string_view content) {
  const std::string path = testing::TempDir() + std::to_string(getpid()) + "_" + name;
  WriteFileAtomically(path, content);
  return path;
}

Record Parse(std::string_view text, std::set<std::string>* ignored = nullptr) {
  return ParseRecord({text, 1}, ignored);
}

std::vector<std::string> Turns(const Record& record) {
  std::vector<std::string> turns;
  for (const Message& message : record.messages) {
    turns.push_back(message.role + ": " + message.content);
  }
  return turns;
}

TEST(Rows, LinesWithMarkCrlfAndBlanks) {
  const auto rows = CutRows("\xEF\xBB\xBF{\"a\":1}\r\n\r\n  \n{\"b\":2}\n\t{\"c\":3}  ", "f");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].text, "{\"a\":1}");
  EXPECT_EQ(rows[1].text, "{\"b\":2}");
  EXPECT_EQ(rows[2].text, "{\"c\":3}");
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 4);
  EXPECT_EQ(rows[2].line, 5);
}

TEST(Rows, ElementsOfAnArray) {
  const auto rows = CutRows("\n[ {\"a\": \"]},{\\\"\"},\n\n {\"b\":\n[1,2]} , 7\n]\n", "f");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].text, "{\"a\": \"]},{\\\"\"}");
  EXPECT_EQ(rows[0].line, 2);
  EXPECT_EQ(rows[1].text, "{\"b\":\n[1,2]}");
  EXPECT_EQ(rows[1].line, 4);
  EXPECT_EQ(rows[2].text, "7");
  EXPECT_EQ(rows[2].line, 5);
  EXPECT_THAT(CutRows("[]", "f"), IsEmpty());
}

TEST(Rows, BrokenArraysAreErrorsWithTheirLine) {
  const auto cut = [](std::string_view text) { return [text] { CutRows(text, "f.json"); }; };
  EXPECT_THAT(cut("[{\"a\":1},\n{\"b\":"),
              ThrowsMessage<Error>(HasSubstr("f.json:2: the file ends before")));
  EXPECT_THAT(cut("["), ThrowsMessage<Error>(HasSubstr("f.json:1: the file ends before")));
  EXPECT_THAT(cut("[\"abc\\"), ThrowsMessage<Error>(HasSubstr("the file ends before")));
  EXPECT_THAT(cut("[1]\n x"), ThrowsMessage<Error>(HasSubstr("f.json:2: text after")));
  EXPECT_THAT(cut("[1}"), ThrowsMessage<Error>(HasSubstr("f.json:1: a '}' too many")));
  EXPECT_THAT(cut(std::string_view("\xFF\xFE[\0", 4)), ThrowsMessage<Error>(HasSubstr("UTF-16")));
}

TEST(Conversation, Messages) {
  const Record record = Parse(
      R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": [
          {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
          {"role": "assistant", "content": null, "tool_calls": [{"x": 1}], "weight": 0}],
          "tools": "[{\"name\": \"f\"}]", "chat_template_kwargs": {"enable_thinking": false}})");
  EXPECT_EQ(record.format, Format::kMessages);
  EXPECT_THAT(Turns(record), ElementsAre("system: S", "user: ab", "assistant: "));
  EXPECT_EQ(record.messages[2].fields["tool_calls"][0]["x"], 1);
  EXPECT_EQ(record.messages[2].fields["weight"], 0);
  EXPECT_EQ(record.tools[0]["name"], "f");
  EXPECT_EQ(record.template_variables["enable_thinking"], false);
}

TEST(Conversation, PromptAndCompletion) {
  const Record strings = Parse(R"({"prompt": "Q: \u00e9", "completion": " A"})");
  EXPECT_EQ(strings.format, Format::kPromptCompletion);
  EXPECT_EQ(strings.prompt, "Q: é");
  EXPECT_EQ(strings.completion, " A");
  const Record lists = Parse(
      R"({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                     {"role": "user", "content": "c"}],
          "completion": [{"role": "assistant", "content": "d"}]})");
  EXPECT_EQ(lists.format, Format::kPromptCompletion);
  EXPECT_THAT(Turns(lists), ElementsAre("user: a", "assistant: b", "user: c", "assistant: d"));
  EXPECT_EQ(lists.first_trainable, 3);
}

TEST(Conversation, Text) { EXPECT_EQ(Parse(R"({"text": "once"})").text, "once"); }

TEST(Conversation, Alpaca) {
  EXPECT_THAT(Turns(Parse(R"({"instruction": "Do", "input": "", "output": "Done"})")),
              ElementsAre("user: Do", "assistant: Done"));
  EXPECT_THAT(
      Turns(Parse(R"({"instruction": "Do", "input": "it", "output": "Done", "system": "Be"})")),
      ElementsAre("system: Be", "user: Do\n\nit", "assistant: Done"));
  EXPECT_EQ(Parse(R"({"instruction": "Do", "output": "Done"})").format, Format::kAlpaca);
}

TEST(Conversation, ShareGpt) {
  const Record record = Parse(
      R"({"system": "S", "conversations": [{"from": "human", "value": "a"},
          {"from": "gpt", "value": "b"}, {"from": "tool", "value": "c"},
          {"from": "assistant", "value": "d"}, {"from": "user", "value": "e"}]})");
  EXPECT_EQ(record.format, Format::kShareGpt);
  EXPECT_THAT(Turns(record), ElementsAre("system: S", "user: a", "assistant: b", "tool: c",
                                         "assistant: d", "user: e"));
  EXPECT_THAT(Turns(Parse(R"({"conversations": [{"role": "user", "content": "a"}]})")),
              ElementsAre("user: a"));
}

TEST(Conversation, Tokens) {
  const Record record = Parse(R"({"tokens": [3, 1, 2], "weights": [0, 1, 0.5]})");
  EXPECT_EQ(record.format, Format::kTokens);
  EXPECT_THAT(record.tokens, ElementsAre(3, 1, 2));
  EXPECT_THAT(record.weights, ElementsAre(0, 1, 0.5F));
  EXPECT_THAT(Parse(R"({"tokens": [3]})").weights, IsEmpty());
}

TEST(Conversation, UnknownKeysAreNamedAndNullsAreAbsent) {
  std::set<std::string> ignored;
  const Record record = Parse(
      R"({"id": 7, "messages": null, "text": "t", "source": {"a": []}, "a\nb": 1})", &ignored);
  EXPECT_EQ(record.format, Format::kText);
  EXPECT_THAT(ignored, UnorderedElementsAre("id", "source", "a?b"));
}

TEST(Conversation, SaysWhatIsWrong) {
  const std::pair<std::string, const char*> cases[] = {
      {"{", "not valid JSON"},
      {"{", "each row is one line"},
      {R"({"text": "a" "b"})", "not valid JSON: column 16: syntax error"},
      {"[1]", "expected a JSON object, got array"},
      {R"({"a": 1, "b": 2})", "no known format (its keys: a, b)"},
      {"{}", "its keys: none"},
      {R"({"prompt": "a", "chosen": "b"})", "no known format"},
      {R"({"text": 5})", "\"text\" must be a string, got number"},
      {R"({"messages": []})", "\"messages\" is empty"},
      {R"({"messages": "x"})", "\"messages\" must be a list, got string"},
      {R"({"messages": [1]})", "message 1: expected an object"},
      {R"({"messages": [{"content": "x"}]})", "message 1: no \"role\""},
      {R"({"messages": [{"role": "user"}]})", "message 1: no \"content\""},
      {R"({"messages": [{"role": "user", "content": 1}]})",
       "message 1: \"content\" must be a string"},
      {R"({"messages": [{"role": "asistant", "content": ""}]})",
       "message 1: unknown role \"asistant\""},
      {R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})", "only text parts"},
      {R"({"messages": [{"role": "user", "content": "", "weight": 2}]})",
       "\"weight\" must be 0 or 1"},
      {R"({"messages": [{"role": "user", "content": ""}], "tools": 1})",
       "\"tools\" must be a list"},
      {R"({"messages": [{"role": "user", "content": ""}], "tools": "{"})",
       "\"tools\" is a string that"},
      {R"({"prompt": "a", "completion": []})", "two strings or two lists"},
      {R"({"prompt": [], "completion": []})", "\"completion\" is empty"},
      {R"({"conversations": [{"from": "bot", "value": ""}]})",
       "message 1: unknown speaker \"bot\""},
      {R"({"conversations": [{"from": "gpt"}]})", "message 1: expected \"from\" and \"value\""},
      {R"({"conversations": [{"from": "gpt", "value": 3}]})", "must be strings"},
      {R"({"tokens": [1.5]})", "\"tokens\" must be ids"},
      {R"({"tokens": [-1]})", "\"tokens\" must be ids"},
      {R"({"tokens": [2147483648]})", "\"tokens\" must be ids"},
      {R"({"tokens": [1], "weights": [-1]})", "\"weights\" must be finite"},
      {R"({"tokens": [1], "weights": [1e300]})", "\"weights\" must be finite"},
      {R"({"tokens": [1], "weights": [1, 1]})", "1 tokens but 2 weights"},
      {"{\"text\": \"caf\xE9\"}", "invalid UTF-8: byte 0xE9 at column 14"},
      {"{\"text\": \"\xED\xA0\x80\"}", "invalid UTF-8"},
      {"{\"text\": \"\xC0\xAF\"}", "invalid UTF-8"},
      {R"({"text": "\ud800"})", "not valid JSON"},
      {"{\"text\": " + std::string(100000, '[') + "}", "nested deeper than 64"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_THAT([&text = text] { Parse(text); }, ThrowsMessage<Error>(HasSubstr(message)))
        << text.substr(0, 99);
  }
}

TEST(Conversation, ErrorsStayOneShortLine) {
  const std::string unterminated = "{\"text\": \"" + std::string(100000, 'x') + "\n";
  try {
    Parse(unterminated);
    FAIL();
  } catch (const Error& e) {
    EXPECT_LT(std::string(e.what()).size(), 250u);
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
  }
}

TEST(Conversation, BadRowsAreReportedTogether) {
  const std::string path =
      WriteTemp("bad.jsonl", "{\"text\": \"a\"}\nx\n\n{\"text\": 1}\r\n{\"text\": \"b\"}\n{\n");
  EXPECT_THAT([&] { ReadRecords(path); },
              ThrowsMessage<Error>(AllOf(HasSubstr("bad.jsonl:2: not valid JSON"),
                                         EndsWith("(and 2 more bad rows: lines 4, 6)"))));
  std::string many;
  for (int i = 0; i < 100; ++i) many += "x\n";
  EXPECT_THAT([p = WriteTemp("many.jsonl", many)] { ReadRecords(p); },
              ThrowsMessage<Error>(HasSubstr("(and at least 19 more bad rows: lines 2, 3, ")));
}

TEST(Conversation, MixedFormatsAreRefused) {
  const std::string path =
      WriteTemp("mixed.jsonl", "{\"text\": \"a\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}\n");
  EXPECT_THAT([&] { ReadRecords(path); },
              ThrowsMessage<Error>(
                  HasSubstr("mixed.jsonl:2: a row of format prompt/completion in a file of")));
}

TEST(Conversation, FilesWithoutRowsAreRefused) {
  for (const char* content : {"", "\n \r\n", "\xEF\xBB\xBF", "[ ]"}) {
    EXPECT_THAT([p = WriteTemp("empty.jsonl", content)] { ReadRecords(p); },
                ThrowsMessage<Error>(HasSubstr("holds no rows")));
  }
  EXPECT_THAT([] { ReadRecords("/nonexistent/x.jsonl"); },
              ThrowsMessage<Error>(HasSubstr("/nonexistent/x.jsonl")));
}

}  // namespace
}  // namespace lorikeet
