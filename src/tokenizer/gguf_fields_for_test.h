// For tests: the tokenizer fields of a small GGUF file with SentencePiece pieces.
#pragma once
#include "tokenizer/gguf_tokenizer.h"

namespace lorikeet {

inline GgufTokenizerFields SentencePieceFields() {
  GgufTokenizerFields f;
  f.model = "llama";
  f.tokens = {"<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁a", "▁ab", "<0xC3>", "<0xA9>"};
  f.scores = {0, 0, 0, -3, -4, -5, -2, -1, -2.5f, 0, 0};
  f.token_types = {2, 3, 3, 1, 1, 1, 1, 1, 1, 6, 6};
  f.unk_id = 0;
  f.bos_id = 1;
  f.eos_id = 2;
  f.add_bos = true;
  return f;
}

}  // namespace lorikeet
