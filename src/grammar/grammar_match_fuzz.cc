// libFuzzer target: a schema, a line feed and any bytes as a text: how the text is cut does not
// matter, what is accepted is JSON, and the mask of tokens is what each of them can do alone.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/error.h"
#include "grammar/grammar.h"
#include "grammar/matcher.h"
#include "grammar/token_mask.h"

namespace {

using lorikeet::GrammarMatcher;
using lorikeet::TokenMask;

std::vector<std::string> Tokens() {
  std::vector<std::string> tokens = {"<end>"};
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* text :
       {"{\"", "\":", "\", \"", "\"}", ", ", ",\n  ", "[[", "]]", "ab", "12", "\\u00", "\\ud8",
        "\xC3\xA9", "\xE2\x82", "null", "tr", "0.5", "\"a\": "}) {
    tokens.emplace_back(text);
  }
  return tokens;
}

void CheckMask(const TokenMask& masks, const GrammarMatcher& matcher) {
  std::vector<uint64_t> mask;
  const bool any = masks.AllowedTokens(matcher, &mask);
  bool found = matcher.CanEnd();
  for (int32_t id = 1; id < masks.vocab_size(); ++id) {
    GrammarMatcher fork = matcher;
    const bool allowed = fork.Advance(masks.Bytes(id));
    CHECK(allowed == ((mask[id / 64] >> (id % 64) & 1) != 0));
    found = found || allowed;
  }
  CHECK(any && found);
}

void Match(const std::shared_ptr<const lorikeet::Grammar>& grammar, std::string_view text) {
  static const TokenMask masks(Tokens(), {0});
  GrammarMatcher matcher(grammar);
  size_t length = 0;
  while (length < text.size() && matcher.Advance(text.substr(length, 1))) ++length;
  GrammarMatcher whole(grammar);
  CHECK(whole.Advance(text.substr(0, length)) && whole.CanEnd() == matcher.CanEnd());
  GrammarMatcher longer(grammar);
  CHECK(length == text.size() || !longer.Advance(text.substr(0, length + 1)));
  if (matcher.CanEnd()) CHECK(lorikeet::Json::accept(text.substr(0, length)));
  CheckMask(masks, matcher);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), size);
  try {
    const auto grammar =
        Grammar::Compile(JsonSchema(ParseOrderedJson(input.substr(0, end), "fuzz")));
    Match(grammar, input.substr(std::min(end + 1, size)));
  } catch (const Error&) {  // not a schema
  }
  return 0;
}
