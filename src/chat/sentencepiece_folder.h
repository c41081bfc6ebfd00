// A folder with tokenizer.model and no tokenizer.json, as Llama 2 and Mistral were first published.
#pragma once
#include <string>

#include "chat/special_tokens.h"
#include "core/json_fields.h"

namespace lorikeet {

// tokenizer.json for Tokenizer::FromJson from the bytes of tokenizer.model. `config`:
// tokenizer_config.json. A LlamaTokenizer treats spaces as `transformers` 5.23 does ("legacy",
// "add_prefix_space"), any other class as SentencePiece itself does. BOS and EOS are put around a
// text if the config says so (add_bos_token, add_eos_token). Names in `tokens` that are absent are
// those of the model's own pieces.
std::string TokenizerJsonOfFolder(const std::string& sentencepiece_model, const JsonFields& config,
                                  const std::string& where, SpecialTokens* tokens);

}  // namespace lorikeet
