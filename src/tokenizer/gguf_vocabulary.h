// A tokenizer as the vocabulary of a GGUF file: the inverse of gguf_tokenizer.h.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/sentencepiece_model.h"
#include "tokenizer/tokenizer.h"

namespace lorikeet {

// The files of a tokenizer: one of the two, or both if they hold the same vocabulary.
struct VocabularySources {
  Json tokenizer_json;  // null: there is none
  std::optional<SentencePieceModel> sentencepiece;
  std::string where;  // for errors
};

// Model, pre, tokens, types, merges and scores; special ids and templates are not set. Ids from the
// tokenizer's up to `rows`, the rows of the embedding, get names of their own; tokens beyond them
// are left out. Scores are those of tokenizer.model, or minus the rank of a token's merge. Throws
// Error(kUnsupported) for a tokenizer that llama.cpp does not have: unigram models, other
// pre-tokenizers.
GgufTokenizerFields VocabularyFields(const Tokenizer& tokenizer, const VocabularySources& sources,
                                     int64_t rows);

}  // namespace lorikeet
