// `SpecialTokens` are the tokens that the files beside tokenizer.json name, read as `transformers`
// 5.23 reads them. tokenizer_config.json decides: with an "added_tokens_decoder" neither
// special_tokens_map.json nor added_tokens.json is read for tokens (the map still names BOS, EOS,
// PAD and UNK if the config does not); without one the map goes before the config.
#pragma once
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "tokenizer/added_tokens.h"

namespace lorikeet {

struct SpecialTokens {
  std::string bos, eos, pad, unk;  // "" when there is none
  std::vector<AddedToken> tokens;  // in the order in which they get ids
};

// The files' contents, by name; each may be empty.
struct SpecialTokenFiles {
  const std::string& config;        // tokenizer_config.json
  const std::string& map;           // special_tokens_map.json
  const std::string& added_tokens;  // added_tokens.json
  const std::string& where;         // folder or file, for errors
};

// Throws Error(kCorruptFile) naming file and key.
SpecialTokens ReadSpecialTokens(const SpecialTokenFiles& files);

}  // namespace lorikeet
