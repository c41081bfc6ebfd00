// libFuzzer: any bytes as a template, rendered over a small conversation, result in a text or an
// Error. Seeds: tests/fuzz/chat_template/.
#include <cstdint>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  static const OrderedJson kTools =
      OrderedJson::parse(R"([{"type": "function", "function": {"name": "f", "parameters": )"
                         R"({"properties": {"a": {"type": "string"}}}}}])");
  static const std::vector<Message> kMessages = {
      {"system", "s", nullptr},
      {"user", " u\n\xC3\xA9 ", nullptr},
      {"assistant", "<think>t</think>a", {{"tool_calls", {{{"name", "f"}, {"n", 1.5}}}}}},
      {"assistant", "", OrderedJson::parse(R"({"content": null, "function_call": {"name": "f",
          "arguments": "{\"a\": 1}"}})")},
      {"user", "", OrderedJson::parse(R"({"content": [{"text": "p"}, {"type": "text"}]})")}};
  RenderOptions options;
  options.add_generation_prompt = true;
  options.tools = kTools;
  options.date = "2026-03-05";
  try {
    ChatTemplate(std::string(reinterpret_cast<const char*>(data), size), "fuzz", "<s>", "</s>")
        .RenderWithSpans(kMessages, options);
  } catch (const Error&) {  // the documented way to refuse
  }
  return 0;
}
