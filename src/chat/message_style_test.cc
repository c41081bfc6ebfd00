#include "chat/message_style.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "core/error.h"

namespace lorikeet {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::string Rendered(const std::string& source, const std::string& messages) {
  std::vector<Message> list;
  for (const OrderedJson& message : ParseOrderedJson(messages, "test")) {
    list.push_back(MessageFromJson(message));
  }
  return ChatTemplate(source, "test", "<s>", "</s>").Render(list);
}

constexpr const char* kParts = R"([{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}])";
constexpr const char* kText = R"([{"role": "user", "content": "ab"}])";

TEST(MessageStyle, ContentHasTheFormThatIsRead) {
  const std::string text = "{% for m in messages %}{{ m.content + '.' }}{% endfor %}";
  EXPECT_EQ(Rendered(text, kParts), "ab.");
  const std::string parts =
      "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}."
      "{% endif %}{% endfor %}{% endfor %}";
  EXPECT_EQ(Rendered(parts, kParts), "a.b.");
  EXPECT_EQ(Rendered(parts, kText), "ab.");
  const std::string printed = "{% for m in messages %}{{ m.content }}{% endfor %}";
  EXPECT_EQ(Rendered(printed, kParts), "ab");
  const std::string as_json = "{% for m in messages %}{{ m.content | tojson }}{% endfor %}";
  EXPECT_EQ(Rendered(as_json, kParts), "\"ab\"");
}

// Parts for the user, text for the assistant.
TEST(MessageStyle, EachRoleHasItsOwn) {
  const std::string source =
      "{% for m in messages %}{% if m.role == 'user' %}{% for p in m.content %}{{ p.text }}"
      "{% endfor %}{% else %}{{ '/' + m.content }}{% endif %}{% endfor %}";
  EXPECT_EQ(Rendered(source, R"([{"role": "user", "content": "a"},
                                 {"role": "assistant", "content": [{"text": "b"}]}])"),
            "a/b");
}

TEST(MessageStyle, ArgumentsHaveTheFormThatIsRead) {
  const auto call = [](const std::string& arguments) {
    return R"([{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [
               {"function": {"name": "f", "arguments": )" +
           arguments + "}}]}]";
  };
  const auto source = [](const std::string& expression) {
    return "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ " + expression +
           " }}{% endfor %}{% endfor %}";
  };
  const std::string object = source("c.function.arguments | tojson");
  EXPECT_EQ(Rendered(object, call(R"({"a": 1})")), R"({"a": 1})");
  EXPECT_EQ(Rendered(object, call(R"("{\"a\":1}")")), R"({"a": 1})");
  EXPECT_EQ(Rendered(object, call("null")), "{}");
  EXPECT_EQ(Rendered(object, call(R"("")")), "{}");
  const std::string text = source("'<' + c.function.arguments + '>'");
  EXPECT_EQ(Rendered(text, call(R"("{\"a\":1}")")), R"(<{"a":1}>)");
  EXPECT_EQ(Rendered(text, call(R"({"a": [1, null]})")), R"(<{"a": [1, null]}>)");
  EXPECT_EQ(Rendered(text, call("null")), "<{}>");
  const std::string walk = source("c.function.arguments | items | list");
  EXPECT_EQ(Rendered(walk, call("null")), "[]");
  EXPECT_THAT([&] { Rendered(walk, call(R"("a=1")")); },
              ThrowsMessage<Error>(HasSubstr("message 2: the arguments of a tool call are a string "
                                             "that is not a JSON object")));
}

TEST(MessageStyle, DeepArgumentsStayText) {
  Message message = {"assistant", "", OrderedJson::object()};
  message.fields["tool_calls"] = OrderedJson::array(
      {{{"name", "f"}, {"arguments", std::string(1'000'000, '[') + std::string(1'000'000, ']')}}});
  const ChatTemplate chat("{{ messages[0].tool_calls[0].arguments is string }}", "test", "", "");
  EXPECT_EQ(chat.Render(std::vector{message}), "True");
}

// `content` is left out where a template can do without, as `transformers` does; else it is null or
// empty, so that the call is written.
TEST(MessageStyle, MessagesWithoutContent) {
  const std::string call = R"([{"role": "user", "content": "?"}, {"role": "assistant",
      "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}])";
  const auto source = [](const std::string& content) {
    return "{% for m in messages %}" + content +
           "{% for c in m.tool_calls or [] %}{{ c | tojson }}{% endfor %}{% endfor %}";
  };
  EXPECT_THAT(Rendered(source("{{ 'content' in m }}"), call), HasSubstr("False{\"function\""));
  EXPECT_THAT(Rendered(source("{{ m.content + '.' }}"), call), HasSubstr("?..{\"function\""));
  const std::string null_only =
      "{% for m in messages %}{% if m.role == 'assistant' and m.content is none %}"
      "{{ m.tool_calls[0] | tojson }}{% endif %}{% endfor %}";
  EXPECT_THAT(Rendered(null_only, call), HasSubstr("\"name\": \"f\""));
}

TEST(MessageStyle, OlderCalls) {
  const std::string older = R"([{"role": "user", "content": "?"}, {"role": "assistant",
      "function_call": {"name": "f", "arguments": "{}"}}, {"role": "function", "content": "1"}])";
  EXPECT_EQ(Rendered("{% for m in messages %}{{ m.role }} {% if m.tool_calls %}"
                     "{{ m.tool_calls | tojson }} {% endif %}{% endfor %}",
                     older),
            R"(user assistant [{"type": "function", "function": {"name": "f", "arguments": {}}}] )"
            "tool ");
  EXPECT_EQ(Rendered("{% for m in messages %}{{ m.role }} {{ m.function_call | default('') }} "
                     "{% endfor %}",
                     older),
            "user  assistant {'name': 'f', 'arguments': '{}'} function  ");
}

TEST(MessageStyle, AsGiven) {
  const std::vector<Message> messages = {
      {"assistant", "", {{"tool_calls", nullptr}, {"name", ""}, {"content", nullptr}}}};
  const ChatTemplate chat("{{ messages[0] | tojson }}", "test", "", "");
  EXPECT_EQ(chat.Render(messages, {.in_style = false}),
            R"({"role": "assistant", "tool_calls": null, "name": "", "content": null})");
}

}  // namespace
}  // namespace lorikeet
