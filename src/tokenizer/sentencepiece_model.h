// A `SentencePieceModel` is the content of a tokenizer.model file: pieces with scores and the rules
// for a text. The file is a protocol buffer; only what encoding and decoding need is read.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/sentencepiece_json.h"

namespace lorikeet {

struct SentencePieceModel {
  enum class Type { kUnigram = 1, kBpe = 2 };
  Type type = Type::kUnigram;
  // By id.
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;  // PieceType
  bool byte_fallback = false;
  int64_t unk_id = -1, bos_id = -1, eos_id = -1;  // -1: none
  std::string charsmap;                           // precompiled; empty: none
  bool add_dummy_prefix = true, remove_extra_whitespaces = true;
};

// `where` names the file in errors. Throws Error(kCorruptFile) for bytes that are not such a file,
// Error(kUnsupported) naming a part that is not supported.
SentencePieceModel ParseSentencePieceModel(std::string_view bytes, const std::string& where);

// What the files beside it say.
struct SentencePieceOptions {
  SentencePieceRules::Prefix prefix = SentencePieceRules::Prefix::kEachText;
  bool space_prefix = true;
  NamedId bos, eos;  // put around each text
};

// tokenizer.json with an extension that `tokenizers` does not read: ranks as a third value of
// merges. It is for Tokenizer::FromJson, not for a file.
std::string TokenizerJsonFromSentencePiece(const SentencePieceModel& model,
                                           const SentencePieceOptions& options);

}  // namespace lorikeet
