// libFuzzer target: a hostile tokenizer.model gives an Error or a tokenizer that works.
#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "core/error.h"
#include "core/utf8.h"
#include "tokenizer/sentencepiece_model.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string_view text =
      " Hello,  wörld's 123 \xF0\x9F\x98\x80 \xFF <s> a\xCC\x81\n\n x\t\xE2\x96\x81y \xEF\xAC\x81";
  using Prefix = SentencePieceRules::Prefix;
  try {
    const SentencePieceModel model = ParseSentencePieceModel(bytes, "fuzz");
    for (const Prefix prefix : {Prefix::kEachText, Prefix::kMetaspaceFirst}) {
      const auto tokenizer = Tokenizer::FromJson(
          TokenizerJsonFromSentencePiece(
              model, {.prefix = prefix, .space_prefix = model.add_dummy_prefix}),
          "fuzz");
      const Encoding e = tokenizer.EncodeWithOffsets(text, true);
      CHECK(tokenizer.Encode(text, true) == e.ids);
      for (size_t t = 0; t < e.ids.size(); ++t) {
        CHECK(e.ids[t] >= 0 && e.ids[t] < tokenizer.VocabSize());
        CHECK(e.begin[t] <= e.end[t] && e.end[t] <= text.size());
      }
      CHECK(IsValidUtf8(tokenizer.Decode(e.ids)));
    }
  } catch (const Error&) {
  }
  return 0;
}
