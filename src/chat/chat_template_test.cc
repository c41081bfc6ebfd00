#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

OrderedJson ReadJson(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return ParseOrderedJson(text.str(), path.string());
}

std::vector<fs::path> JsonFiles(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<Message> Messages(const OrderedJson& json) {
  std::vector<Message> messages;
  for (const auto& message : json) messages.push_back(MessageFromJson(message));
  return messages;
}

std::string RenderSimple(const std::string& source, OrderedJson variables = nullptr) {
  RenderOptions options;
  options.variables = std::move(variables);
  return ChatTemplate(source, "test", "<s>", "</s>").Render({}, options);
}

std::string ErrorOf(const std::string& source) {
  try {
    RenderSimple(source);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

// Where the template itself refuses (raise_exception), its message must come through.
std::string RefusalDifference(std::string got, std::string expected) {
  const std::string_view kRefusal = "TemplateError: ";
  if (!expected.starts_with(kRefusal)) return "";
  std::replace(expected.begin(), expected.end(), '\n', ' ');
  const bool same = got.ends_with("refuses the conversation: " + expected.substr(kRefusal.size()));
  return same ? "" : got + " instead of " + expected;
}

// Difference of the result from one golden case; empty when they agree. An expected error must be
// an Error here too.
std::string Difference(const std::string& source, const OrderedJson& record,
                       const OrderedJson& golden) {
  RenderOptions options;
  options.in_style = false;
  options.add_generation_prompt = golden.value("add_generation_prompt", false);
  options.date = golden.value("date", "2026-03-05 14:07:09");
  if (golden.contains("tools")) options.tools = golden["tools"];
  if (golden.contains("variables")) options.variables = golden["variables"];
  RenderedChat got;
  try {
    const ChatTemplate chat(source, "test", record.value("bos_token", "<s>"),
                            record.value("eos_token", "</s>"));
    got = chat.RenderWithSpans(
        Messages(golden.contains("messages") ? golden["messages"] : OrderedJson::array()), options);
  } catch (const Error& e) {
    if (std::string_view(e.what()).find('\n') != std::string_view::npos) {
      return "the error is more than one line";
    }
    if (!golden.contains("error")) return std::string("error: ") + e.what();
    return RefusalDifference(e.what(), golden["error"].get<std::string>());
  }
  if (golden.contains("error")) return "no error, expected " + golden["error"].get<std::string>();
  const auto& expected = golden["expected"].get_ref<const std::string&>();
  if (got.text != expected) return "got      " + got.text + "\nexpected " + expected;
  OrderedJson spans = OrderedJson::array();
  for (const ByteSpan& span : got.generation) spans.push_back({span.begin, span.end});
  if (golden.contains("generation") && spans != golden["generation"]) {
    return "spans " + spans.dump() + ", expected " + golden["generation"].dump();
  }
  return "";
}

TEST(ChatTemplateTest, EveryConstructRendersAsJinja2) {
  int cases = 0;
  for (const fs::path& file :
       JsonFiles(fs::path(LORIKEET_SOURCE_DIR) / "tests/golden/chat_template")) {
    for (const OrderedJson& golden : ReadJson(file)) {
      const auto source = golden["template"].get<std::string>();
      EXPECT_EQ(Difference(source, golden, golden), "") << file.filename() << ": " << source;
      ++cases;
    }
  }
  EXPECT_GT(cases, 150);
}

TEST(SlowChatTemplateTest, RealTemplatesRenderAsTransformers) {
  const char* set = std::getenv("LORIKEET_TEMPLATE_GOLDENS");
  const fs::path folder =
      set ? fs::path(set) : fs::path(LORIKEET_SOURCE_DIR) / "out/template_goldens";
  if (!fs::exists(folder)) {
    GTEST_SKIP() << folder << " is absent; tools/chat_template_goldens.py real writes it";
  }
  int cases = 0;
  int texts = 0;
  for (const fs::path& file : JsonFiles(folder)) {
    const OrderedJson record = ReadJson(file);
    const auto source = record["template"].get<std::string>();
    for (const OrderedJson& golden : record["cases"]) {
      EXPECT_EQ(Difference(source, record, golden), "")
          << file.filename() << ": " << golden["name"];
      ++cases;
      texts += golden.contains("expected") ? 1 : 0;
    }
  }
  EXPECT_GT(cases, 0);
  std::printf("%d conversations rendered, %d of them to text\n", cases, texts);
}

TEST(ChatTemplateTest, ErrorsNameWhereLineAndConstruct) {
  EXPECT_EQ(ErrorOf("a\n{% if x %}\n{{ y.z }}\n{% endif %}{{ q.w }}"),
            "test line 4: 'q' is undefined");
  EXPECT_EQ(ErrorOf("\n\n{{ 1 | nosuch }}"), "test line 3: the filter 'nosuch' is not supported");
  EXPECT_EQ(ErrorOf("\n{% include 'a' %}"), "test line 2: the tag {% include %} is not supported");
  EXPECT_EQ(ErrorOf("{{ raise_exception('Roles\nmust alternate') }}"),
            "test line 1: the template refuses the conversation: Roles must alternate");
  EXPECT_EQ(ErrorOf("{% for x in [1] recursive %}{% endfor %}"),
            "test line 1: recursive loops are not supported");
}

// No template may hang, crash or exhaust memory.
TEST(ChatTemplateTest, HostileTemplatesEndInErrors) {
  const std::string forever =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
      "{% endfor %}{% endfor %}{% endfor %}";
  EXPECT_NE(ErrorOf(forever).find("steps"), std::string::npos);
  EXPECT_NE(ErrorOf("{% set x = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}"
                    "{% set x.s = x.s + x.s %}{% endfor %}")
                .find("MB"),
            std::string::npos);
  EXPECT_NE(ErrorOf("{{ 'abc' * 999999999999 }}").find("MB"), std::string::npos);
  EXPECT_NE(ErrorOf("{{ [0] * 999999999999 }}").find("MB"), std::string::npos);
  EXPECT_NE(ErrorOf("{{ '%999999999d' % 1 }}").find("width"), std::string::npos);
  EXPECT_NE(ErrorOf("{% set n = namespace(l=[]) %}{% for i in range(9999) %}{% set n.l = [n.l] %}"
                    "{% endfor %}")
                .find("nest"),
            std::string::npos);
  EXPECT_NE(ErrorOf("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").find("recursion"),
            std::string::npos);
  EXPECT_NE(ErrorOf("{{ 9223372036854775807 + 1 }}").find("64 bits"), std::string::npos);
  EXPECT_NE(ErrorOf("{{ 10 ** 99 }}").find("64 bits"), std::string::npos);
}

TEST(ChatTemplateTest, DeepNestingEndsInErrors) {
  auto repeat = [](std::string_view text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  for (const std::string& source :
       {"{{ " + repeat("(", 100000) + "1" + repeat(")", 100000) + " }}",
        "{{ " + repeat("[", 100000) + repeat("]", 100000) + " }}",
        "{{ " + repeat("-", 100000) + "1 }}", "{{ " + repeat("not ", 100000) + "1 }}",
        "{{ 1" + repeat("+1", 100000) + " }}", "{{ x" + repeat(".y", 100000) + " }}",
        "{{ x" + repeat("|trim", 100000) + " }}", repeat("{% if 1 %}", 100000),
        "{{ 1" + repeat(" if 1 else 1", 100000) + " }}",
        "{% set " + repeat("(", 100000) + "x = 1 %}"}) {
    EXPECT_NE(ErrorOf(source), "no error") << source.substr(0, 20);
  }
  OrderedJson deep = 1;
  for (int i = 0; i < 300; ++i) deep = OrderedJson::array({std::move(deep)});
  EXPECT_THROW(RenderSimple("{{ x }}", {{"x", deep}}), Error);
}

TEST(ChatTemplateTest, MessagesKeepTheirFields) {
  const std::vector<Message> messages = Messages(OrderedJson::parse(
      R"([{"role": "user", "content": [{"type": "text", "text": "a"}]},
          {"role": "assistant", "tool_calls": [{"id": 1}]}])"));
  const ChatTemplate chat(
      "{{ messages[0].content[0].text }} {{ messages[1].content is defined }} "
      "{{ messages[1].tool_calls[0].id }}",
      "test", "", "");
  EXPECT_EQ(chat.Render(messages), "a False 1");
  EXPECT_THROW(MessageFromJson(OrderedJson::parse(R"({"content": "x"})")), Error);
}

TEST(ChatTemplateTest, OneTemplateServesManyThreads) {
  const ChatTemplate chat(
      "{% macro f(m) %}<{{ m.role }}>{{ m.content | trim }}{% endmacro %}"
      "{% for m in messages %}{{ f(m) }}{% endfor %}",
      "test", "", "");
  const std::vector<Message> messages = {{"user", " a ", nullptr}, {"assistant", "b", nullptr}};
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) text = chat.Render(messages);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, "<user>a<assistant>b");
}

TEST(ChatTemplateTest, TodayIsUsedWithoutADate) {
  EXPECT_GE(RenderSimple("{{ strftime_now('%Y') }}"), "2024");
  RenderOptions options;
  options.date = "yesterday";
  EXPECT_THROW(ChatTemplate("{{ strftime_now('%Y') }}", "test", "", "").Render({}, options), Error);
}

}  // namespace
}  // namespace lorikeet
