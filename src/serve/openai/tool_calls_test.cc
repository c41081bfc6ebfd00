#include "serve/openai/tool_calls.h"

#include <gtest/gtest.h>

#include <string>

namespace lorikeet {
namespace {

ChatTemplate Template(const std::string& source) { return {source, "test", "", ""}; }

TEST(ToolCalls, TheFormIsThatOfTheTemplate) {
  const OrderedJson tools = OrderedJson::parse(R"([{"type": "function"}])");
  const auto form = [&](const std::string& source) { return ToolFormOf(Template(source), tools); };
  EXPECT_EQ(form("{{ messages[0].content }}"), ToolForm::kNone);
  EXPECT_EQ(form("{{ tools }}"), ToolForm::kUnknown);
  EXPECT_EQ(form("{{ tools }}<tool_call>{\"name\": x, \"arguments\": y}</tool_call>"),
            ToolForm::kHermes);
  EXPECT_EQ(form("{{ tools }}<tool_call><function=x>arguments"), ToolForm::kUnknown);
  EXPECT_EQ(form("{{ tools }}<|start_header_id|>{\"name\": x, \"parameters\": y}"),
            ToolForm::kLlama3);
  EXPECT_EQ(form("{{ tools }}<start_function_call>call:"), ToolForm::kFunctionGemma);
}

TEST(ToolCalls, HermesCallsAreTakenOutOfTheText) {
  const ParsedAnswer parsed = ParseToolCalls(
      ToolForm::kHermes,
      "Let me see.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": [2]}}\n"
      "</tool_call>\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>");
  EXPECT_EQ(parsed.content, "Let me see.");
  ASSERT_EQ(parsed.calls.size(), 2U);
  EXPECT_EQ(parsed.calls[0].name, "add");
  EXPECT_EQ(parsed.calls[0].arguments, R"({"a":1,"b":[2]})");
  EXPECT_EQ(parsed.calls[1].name, "now");
  EXPECT_EQ(parsed.calls[1].arguments, "{}");
}

TEST(ToolCalls, WhatIsNotWellFormedStaysText) {
  for (const std::string text :
       {"<tool_call>add(1, 2)</tool_call>", "<tool_call>{\"name\": \"add\"}</tool_call>",
        "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>", "no call at all", ""}) {
    const ParsedAnswer parsed = ParseToolCalls(ToolForm::kHermes, text);
    EXPECT_TRUE(parsed.calls.empty()) << text;
    EXPECT_EQ(parsed.content, text);
  }
}

TEST(ToolCalls, LlamaCallsAreTheWholeAnswer) {
  for (const std::string text : {R"({"name": "add", "parameters": {"a": 1}})",
                                 R"(<|python_tag|>{"name": "add", "parameters": {"a": 1}})"}) {
    const ParsedAnswer parsed = ParseToolCalls(ToolForm::kLlama3, text);
    ASSERT_EQ(parsed.calls.size(), 1U) << text;
    EXPECT_EQ(parsed.calls[0].arguments, R"({"a":1})");
    EXPECT_EQ(parsed.content, "");
  }
  EXPECT_TRUE(ParseToolCalls(ToolForm::kLlama3, "Sure: {\"name\": \"add\"}").calls.empty());
}

TEST(ToolCalls, FunctionGemmasNotationBecomesJson) {
  const ParsedAnswer parsed = ParseToolCalls(
      ToolForm::kFunctionGemma,
      "<start_function_call>call:look{place:<escape>Rio, {a}<escape>,days:3,list:[1,true],"
      "deep:{x:null}}<end_function_call>");
  ASSERT_EQ(parsed.calls.size(), 1U);
  EXPECT_EQ(parsed.calls[0].name, "look");
  EXPECT_EQ(parsed.calls[0].arguments,
            R"({"place":"Rio, {a}","days":3,"list":[1,true],"deep":{"x":null}})");
  const std::string broken = "<start_function_call>call:look{place:<escape>Rio}<end_function_call>";
  EXPECT_EQ(ParseToolCalls(ToolForm::kFunctionGemma, broken).content, broken);
  const std::string deep = "<start_function_call>call:f{a:" + std::string(1000, '[') + "}";
  EXPECT_EQ(ParseToolCalls(ToolForm::kFunctionGemma, deep).content, deep);
}

TEST(ToolCalls, AGrowingAnswerHoldsBackWhatMayBecomeACall) {
  EXPECT_EQ(ContentBytes(ToolForm::kHermes, "Hello <tool"), 6U);
  EXPECT_EQ(ContentBytes(ToolForm::kHermes, "Hello <tools"), 12U);
  EXPECT_EQ(ContentBytes(ToolForm::kHermes, "Hi <tool_call>{"), 3U);
  EXPECT_EQ(ContentBytes(ToolForm::kLlama3, " {\"na"), 0U);
  EXPECT_EQ(ContentBytes(ToolForm::kLlama3, "<|pyth"), 0U);
  EXPECT_EQ(ContentBytes(ToolForm::kLlama3, "Hello"), 5U);
  EXPECT_EQ(ContentBytes(ToolForm::kNone, "<tool_call>"), 11U);
}

}  // namespace
}  // namespace lorikeet
