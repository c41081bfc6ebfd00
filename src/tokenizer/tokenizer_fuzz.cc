// libFuzzer target: a hostile tokenizer.json gives an Error or a tokenizer that works.
#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "core/error.h"
#include "core/utf8.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const std::string_view text =
      "Hello,  wörld's 123 \xF0\x9F\x98\x80 \xFF <s> a\xCC\x81\n\n x\t\xE2\x96\x81y";
  try {
    const auto tokenizer = lorikeet::Tokenizer::FromJson(json, "fuzz");
    const lorikeet::Encoding e = tokenizer.EncodeWithOffsets(text, true);
    CHECK(tokenizer.Encode(text, true) == e.ids);
    CHECK(e.begin.size() == e.ids.size() && e.end.size() == e.ids.size());
    for (size_t t = 0; t < e.ids.size(); ++t) {
      CHECK(e.ids[t] >= 0 && e.ids[t] < tokenizer.VocabSize());
      CHECK(e.begin[t] <= e.end[t] && e.end[t] <= text.size());
    }
    CHECK(lorikeet::IsValidUtf8(tokenizer.Decode(e.ids)));
    lorikeet::StreamDecoder stream(tokenizer);
    for (const int32_t id : e.ids) stream.Push(id);
    stream.Finish();
  } catch (const lorikeet::Error&) {
  }
  return 0;
}
