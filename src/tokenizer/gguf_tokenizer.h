// The tokenizer of a GGUF file as Hugging Face tokenizer files. They are the only form: this text
// is loaded here, saved beside adapters, and read by `transformers`.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tokenizer/sentencepiece_json.h"

namespace lorikeet {

// Metadata under tokenizer.ggml.* and tokenizer.chat_template.
struct GgufTokenizerFields {
  // "gpt2" (byte-level BPE), "gemma4" (BPE of characters with merges), "llama" (SentencePiece BPE)
  // or "t5" (SentencePiece unigram)
  std::string model;
  std::string pre;  // names the pre-tokenizer of "gpt2" models
  std::vector<std::string> tokens;
  std::vector<float> scores;  // "llama", "t5": score of each token
  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
  std::vector<int32_t> token_types;
  std::vector<std::string> merges;  // "gpt2", "gemma4": "a b", in order
  int64_t bos_id = -1, eos_id = -1, unk_id = -1, pad_id = -1;
  int64_t eot_id = -1, eom_id = -1;  // further ends of a generation
  bool add_bos = false, add_eos = false, add_space_prefix = true;
  bool remove_extra_spaces = false;
  std::string precompiled_charsmap;  // "t5"; bytes, may be empty
  std::string chat_template;
  std::map<std::string, std::string> named_templates;  // those of other names than "default"
};

// tokenizer.json. Throws Error(kUnsupported) for other models and unknown values of `pre`,
// Error(kCorruptFile) for fields that contradict each other. ties: order of merges of equal scores;
// llama.cpp's is kLeftmost, in an extension that `tokenizers` does not read.
std::string TokenizerJsonFromGguf(const GgufTokenizerFields& fields, Ties ties = Ties::kByLength);
// tokenizer_config.json: special tokens, chat template, class PreTrainedTokenizerFast.
std::string TokenizerConfigJsonFromGguf(const GgufTokenizerFields& fields);

}  // namespace lorikeet
