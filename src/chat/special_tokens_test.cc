// Tokens of the files beside tokenizer.json against `transformers`
// (tools/special_token_goldens.py).
#include "chat/special_tokens.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "chat/bundle.h"
#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

OrderedJson Golden() {
  const std::string path = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/special_tokens.json";
  return ParseOrderedJson(ReadFile(path), path);  // the order of keys counts
}

TokenizerSources SourcesOf(const OrderedJson& base, const OrderedJson& golden_case) {
  const auto text = [](const OrderedJson& json) {
    return json.is_null() ? std::string() : json.dump();
  };
  TokenizerSources sources;
  sources.where = "model";
  sources.tokenizer_json = base.dump();
  sources.tokenizer_config_json = text(golden_case["config"]);
  sources.special_tokens_map_json = text(golden_case["map"]);
  sources.added_tokens_json = text(golden_case["added"]);
  return sources;
}

OrderedJson TokensOf(const Tokenizer& tokenizer) {
  std::map<int64_t, OrderedJson> sorted;
  for (const AddedToken& token : tokenizer.added_tokens()) {
    sorted[token.id] = OrderedJson::array({token.id, token.content, token.Flags()});
  }
  OrderedJson list = OrderedJson::array();
  for (auto& [id, token] : sorted) list.push_back(std::move(token));
  return list;
}

TEST(SpecialTokens, AreThoseOfTransformers) {
  const OrderedJson golden = Golden();
  // `transformers` gives these tokens another id than their file says.
  const std::set<std::string> refused = {"added_tokens_other_id", "decoder_other_id"};
  int compared = 0;
  for (const auto& [name, want] : golden["cases"].items()) {
    if (refused.contains(name) || !want.contains("tokens")) continue;
    SCOPED_TRACE(name);
    const TokenizerBundle bundle = LoadTokenizerBundle(SourcesOf(golden["base"], want));
    EXPECT_EQ(TokensOf(bundle.tokenizer), want["tokens"]);
    EXPECT_EQ(bundle.tokenizer.Encode(golden["text"].get<std::string>()), want["ids"].get<Ids>());
    EXPECT_EQ(bundle.eos_token, want["eos"]);
    EXPECT_EQ(bundle.pad_token, want["pad"]);
    ++compared;
  }
  EXPECT_GT(compared, 25);
}

std::string Problem(const TokenizerSources& sources) {
  try {
    LoadTokenizerBundle(sources);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(SpecialTokens, OtherIdsAndFormsAreRefusedByName) {
  const OrderedJson golden = Golden();
  const auto problem = [&](const OrderedJson& config, const OrderedJson& map,
                           const OrderedJson& added) {
    return Problem(SourcesOf(golden["base"], {{"config", config}, {"map", map}, {"added", added}}));
  };
  EXPECT_THAT(
      problem({}, {}, {{"<tool>", 15}}),
      HasSubstr("model: added_tokens.json: '<tool>' has id 15, but the next free id is 11"));
  EXPECT_THAT(problem({}, {}, {{"<in>", 12}}), HasSubstr("its id in the vocabulary is 8"));
  EXPECT_THAT(problem({}, {}, {{"<tool>", "x"}}), HasSubstr("'<tool>' must be"));
  EXPECT_THAT(problem({{"added_tokens_decoder", {{"x", {{"content", "<t>"}}}}}}, {}, {}),
              HasSubstr("the key 'x' is not an id"));
  EXPECT_THAT(problem({{"added_tokens_decoder", {{"11", 3}}}}, {}, {}), HasSubstr("'11' must be"));
  EXPECT_THAT(problem({{"additional_special_tokens", "<t>"}}, {}, {}), HasSubstr("a list"));
  EXPECT_THAT(problem({{"additional_special_tokens", {7}}}, {}, {}), HasSubstr("a token"));
  EXPECT_THAT(problem({{"eos_token", 7}}, {}, {}), HasSubstr("'eos_token' must be a token"));
  EXPECT_THAT(problem({{"eos_token", "<end>"}}, {}, {}),
              HasSubstr("eos_token '<end>' is not in the tokenizer's vocabulary"));
  EXPECT_EQ(problem({{"eos_token", "<end>"}}, {}, {{"<end>", 11}}), "");
}

// Lists of objects, which `transformers` 5.23 refuses and earlier ones wrote.
TEST(SpecialTokens, ListsOfObjects) {
  const OrderedJson golden = Golden();
  const auto bundle =
      LoadTokenizerBundle(SourcesOf(golden["base"], golden["cases"]["map_additional_objects"]));
  EXPECT_EQ(bundle.tokenizer.Encode("a <tool>"), (Ids{2, 11}));  // lstrip
}

}  // namespace
}  // namespace lorikeet
