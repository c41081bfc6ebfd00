#include "verify/problem_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::string WriteTemp(const std::string& name, std::string_view content) {
  const std::string path = testing::TempDir() + std::to_string(getpid()) + "_" + name;
  WriteFileAtomically(path, content);
  return path;
}

std::vector<Problem> Load(std::string_view content, std::string_view grader) {
  return LoadTaskFile(WriteTemp("task.jsonl", content), grader);
}

std::string ErrorOf(std::string_view content, std::string_view grader = "exact") {
  try {
    Load(content, grader);
  } catch (const Error& error) {
    const std::string what = error.what();
    return what.substr(what.find(".jsonl:") + 7);
  }
  return "";
}

TEST(LoadTaskFile, ReadsPromptsMessagesAndColumns) {
  const auto problems = Load(
      R"({"prompt": "2 + 2?", "answer": 4, "level": 3, "solution": null}
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital?"}], "answer": "Paris", "grader": "exact:ignore_case", "id": "geo-1", "tools": [{"name": "map"}], "chat_template_kwargs": {"enable_thinking": false}}

{"question": "True?", "answer": true, "grader": "exact", "id": 7}
{"prompt": [{"role": "user", "content": "Say it."}], "grader": "none"}
)",
      "gsm8k");
  ASSERT_EQ(problems.size(), 4u);
  EXPECT_THAT(problems[0].task, EndsWith("_task.jsonl"));
  EXPECT_EQ(problems[0].grader, "gsm8k");
  EXPECT_EQ(problems[0].answer, "4");
  ASSERT_EQ(problems[0].messages.size(), 1u);
  EXPECT_EQ(problems[0].messages[0].role, "user");
  EXPECT_EQ(problems[0].messages[0].content, "2 + 2?");
  EXPECT_EQ(problems[0].data, (Json{{"level", 3}, {"solution", nullptr}}));
  EXPECT_THAT(problems[0].id, EndsWith("_task.jsonl:1"));
  EXPECT_EQ(problems[1].messages.size(), 2u);
  EXPECT_EQ(problems[1].grader, "exact:ignore_case");
  EXPECT_EQ(problems[1].id, "geo-1");
  EXPECT_EQ(problems[1].tools[0]["name"], "map");
  EXPECT_EQ(problems[1].template_variables["enable_thinking"], false);
  EXPECT_TRUE(problems[1].data.empty());
  EXPECT_EQ(problems[2].answer, "true");
  EXPECT_EQ(problems[2].id, "7");
  EXPECT_EQ(problems[3].answer, "");
  EXPECT_EQ(problems[3].grader, "none");
  ExpectVerdicts(problems[0], {{"#### 4.0", kRight}, {"5", kFalse}});
  ExpectVerdicts(problems[1], {{"paris", kRight}, {"Rome", kFalse}});
}

TEST(LoadTaskFile, ReadsRowsOfGsm8kAndMathAsTheyAre) {
  const auto gsm8k = Load(R"({"question": "How many?", "answer": "3 * 6 = 18\n#### 18"})", "gsm8k");
  ExpectVerdicts(gsm8k[0], {{"18", kRight}, {"19", kFalse}});
  const auto math =
      Load(R"([{"problem": "Half?", "answer": "\\frac{1}{2}", "level": "1"}])", "math");
  ExpectVerdicts(math[0], {{"\\boxed{\\frac{2}{4}}", kRight}, {"\\boxed{2}", kFalse}});
}

TEST(LoadTaskFile, TakesColumnsByTheNamesThatAreGiven) {
  const auto load = [](std::string_view rows, const std::vector<std::string>& columns) {
    return LoadTaskFile(WriteTemp("columns.jsonl", rows), "exact",
                        ColumnMap(columns, RowKind::kProblems));
  };
  const auto problems = load(
      R"({"dialog": [{"speaker": "user", "words": "2 + 2?"}], "answer": 5, "solution": 4, "kind": "gsm8k", "key": "a"}
{"dialog": [{"speaker": "user", "words": "3 + 3?"}], "prompt": "x", "answer": 7, "solution": 6, "functions_of": [{"name": "map"}]})",
      {"messages=dialog", "role=speaker", "content=words", "answer=solution", "grader=kind",
       "id=key", "tools=functions_of"});
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].messages[0].content, "2 + 2?");
  EXPECT_EQ(problems[0].answer, "4");
  EXPECT_EQ(problems[0].grader, "gsm8k");
  EXPECT_EQ(problems[0].id, "a");
  EXPECT_EQ(problems[0].data, (Json{{"answer", 5}}));  // a column as any other
  EXPECT_EQ(problems[1].tools[0]["name"], "map");
  EXPECT_EQ(problems[1].grader, "exact");
  EXPECT_EQ(problems[1].data, (Json{{"answer", 7}, {"prompt", "x"}}));
  const auto error = [&](const std::string& row, const std::vector<std::string>& columns) {
    try {
      load(row, columns);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::string row = R"({"q": "a", "prompt": "c", "answer": "b"})";
  EXPECT_THAT(error(row, {"prompt=query"}),
              EndsWith(":1: no column \"query\", which data_columns names as \"prompt\" (the row's "
                       "keys: q, prompt, answer)"));
  EXPECT_THAT(error(row, {"answer=solution"}), HasSubstr("no column \"solution\""));
  EXPECT_THAT(error(row, {"prompt=q", "tools=functions_of"}),
              EndsWith("no row has the column \"functions_of\" that data_columns names"));
  EXPECT_THAT(error(R"({"q": 5, "answer": "b"})", {"prompt=q"}),
              EndsWith("\"q\" (taken as prompt) must be a list of messages, got number"));
  EXPECT_THAT(error(row, {"prompt"}), HasSubstr("is no pair"));
  EXPECT_THAT(error(row, {"text=q"}), HasSubstr("no problem has a \"text\""));
}

TEST(LoadTaskFile, SaysWhereAndWhatIsWrong) {
  const std::string good = R"({"prompt": "a", "answer": "b"})";
  EXPECT_THAT(ErrorOf(good + "\n{\"prompt\": \"a\"}"),
              "2: no \"answer\"; without one only the grader 'none' is of use");
  EXPECT_THAT(ErrorOf(good + "\n\n{\"answer\": \"a\"}"), "3: no \"prompt\" and no \"messages\"");
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\", \"answer\": }"), HasSubstr("1: not valid JSON: column"));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\"\n}"), HasSubstr("1: not valid JSON"));
  EXPECT_THAT(ErrorOf("[1]"), "1: expected a JSON object, got number");
  EXPECT_THAT(ErrorOf(R"({"prompt": 5, "answer": "b"})"),
              "1: \"prompt\" must be a list of messages, got number");
  EXPECT_THAT(ErrorOf(R"({"prompt": "", "answer": "b"})"), "1: \"prompt\" is empty");
  EXPECT_THAT(ErrorOf(R"({"messages": "hi", "answer": "b"})"),
              "1: \"messages\" must be a list of messages, got string");
  EXPECT_THAT(ErrorOf(R"({"messages": [], "answer": "b"})"), "1: \"messages\" is empty");
  EXPECT_THAT(ErrorOf(R"({"messages": [{"role": "owner", "content": "x"}], "answer": "b"})"),
              HasSubstr("1: message 1: unknown role \"owner\""));
  EXPECT_THAT(ErrorOf(R"({"messages": [{"role": "assistant", "content": "x"}], "answer": "b"})"),
              HasSubstr("1: the last message is the assistant's; leave it out"));
  EXPECT_THAT(ErrorOf(R"({"prompt": "a", "answer": ["b"]})"),
              "1: \"answer\" must be a string or a number, got array");
  EXPECT_THAT(ErrorOf(R"({"prompt": "a", "answer": "b", "grader": "exct"})"),
              "1: no grader 'exct'; did you mean 'exact'?");
  EXPECT_THAT(ErrorOf(R"({"prompt": "a", "answer": "b", "grader": "gsm8k"})"),
              "1: \"answer\" does not suit grader 'gsm8k': the reference 'b' is no number");
  EXPECT_THAT(ErrorOf("{\"prompt\": \"\xFF\", \"answer\": \"b\"}"), HasSubstr("1: "));
  EXPECT_THAT(ErrorOf("{}\n" + good + "\n{}\n{}"),
              "1: no \"prompt\" and no \"messages\" (and 2 more bad rows: lines 3, 4)");
}

TEST(LoadTaskFile, RefusesFilesAndGradersThatAreNotThere) {
  EXPECT_THROW(LoadTaskFile("/nowhere/task.jsonl", "exact"), Error);
  EXPECT_THAT([] { Load("", "exact"); }, ThrowsMessage<Error>(HasSubstr("holds no rows")));
  EXPECT_THAT([] { Load("{}", "exactly"); },
              ThrowsMessage<Error>(HasSubstr("did you mean 'exact'?")));
}

}  // namespace
}  // namespace lorikeet
