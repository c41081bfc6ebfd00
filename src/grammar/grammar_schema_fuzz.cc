// libFuzzer target: any bytes as a JSON Schema give an Error of one line or a grammar in which
// every text that has begun can be continued to an end.
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "core/error.h"
#include "grammar/grammar.h"
#include "grammar/matcher.h"

namespace {

// Writes a text, by turns the lowest and the highest byte that is allowed.
void Follow(const std::shared_ptr<const lorikeet::Grammar>& grammar) {
  lorikeet::GrammarMatcher matcher(grammar);
  for (int step = 0; step < 100 && !matcher.IsComplete(); ++step) {
    bool advanced = false;
    for (int i = 0; i < 256 && !advanced; ++i) {
      const char byte = static_cast<char>(step % 2 == 0 ? i : 255 - i);
      advanced = matcher.Advance(std::string_view(&byte, 1));
    }
    CHECK(advanced);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    Follow(Grammar::Compile(JsonSchema(ParseOrderedJson(input, "fuzz"))));
  } catch (const Error& e) {
    CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
