// libFuzzer target: any bytes as the files beside tokenizer.json give an Error or a tokenizer that
// works. The files are separated by form feeds: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json, generation_config.json, and a tokenizer.model, which replaces tokenizer.json
// if it is there. Seeds: tests/fuzz/special_tokens/.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "chat/bundle.h"
#include "core/check.h"
#include "core/error.h"

namespace {

constexpr const char* kTokenizerJson =
    R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "<s>": 2, "</s>": 3, "ab": 4},
        "merges": ["a b"]}, "added_tokens": [{"id": 2, "content": "<s>", "special": true},
        {"id": 3, "content": "</s>", "special": true}]})";

// Cuts the text before the first form feed off `rest`.
std::string NextFile(std::string_view* rest) {
  const size_t end = rest->find('\f');
  const std::string file(rest->substr(0, end));
  *rest = end == std::string_view::npos ? std::string_view() : rest->substr(end + 1);
  return file;
}

void CheckBundle(const lorikeet::TokenizerBundle& bundle) {
  const auto size = static_cast<int64_t>(bundle.tokenizer.VocabSize());
  for (const int32_t id : bundle.tokenizer.Encode(" ab<s>a</s>\xE2\x96\x81 <pad>b", true)) {
    CHECK(id >= 0 && id < size);
  }
  for (const std::string& token :
       {bundle.bos_token, bundle.eos_token, bundle.pad_token, bundle.unk_token}) {
    CHECK(token.empty() || bundle.tokenizer.TokenToId(token).has_value());
  }
  for (const int32_t id : bundle.leading_ids) CHECK(id >= 0 && id < size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  TokenizerSources sources;
  sources.where = "fuzz";
  for (std::string* file : {&sources.tokenizer_config_json, &sources.special_tokens_map_json,
                            &sources.added_tokens_json, &sources.generation_config_json}) {
    *file = NextFile(&rest);
  }
  sources.sentencepiece_model = std::string(rest);
  if (rest.empty()) sources.tokenizer_json = kTokenizerJson;
  try {
    CheckBundle(LoadTokenizerBundle(sources));
  } catch (const Error& e) {
    CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
