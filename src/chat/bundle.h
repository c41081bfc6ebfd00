// A `TokenizerBundle` holds the text side of a model folder: tokenizer, chat template, special
// tokens.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace lorikeet {

// Contents of the files. All but tokenizer_json may be empty; without it sentencepiece_model is
// read.
struct TokenizerSources {
  std::string tokenizer_json, tokenizer_config_json, special_tokens_map_json,
      generation_config_json;
  std::string sentencepiece_model;  // tokenizer.model
  std::string added_tokens_json;    // added_tokens.json
  std::string chat_template;        // chat_template.jinja, if it exists
  // Sources of additional_chat_templates/NAME.jinja, by name.
  std::map<std::string, std::string> additional_templates;
  std::string where;  // folder or file, for errors
};

struct TokenizerBundle {
  Tokenizer tokenizer;
  std::string chat_template{};  // Jinja source; "" when there is none, or none called "default"
  std::map<std::string, std::string> named_templates{};  // the others: "tool_use", "rag", ...
  std::string bos_token{}, eos_token{}, pad_token{}, unk_token{};  // "" when there is none
  int32_t bos_id = -1, eos_id = -1, pad_id = -1;
  std::vector<int32_t> eos_ids{};  // tokens that end a generation: generation_config's, and eos_id
  std::vector<int32_t> leading_ids{};  // what the tokenizer puts before a text: mostly BOS alone
  bool add_bos = false;                // whether there are such
};

// Special tokens as in chat/special_tokens.h. Chat templates are taken as `transformers` does:
// chat_template.jinja and additional_chat_templates/ together replace those in
// tokenizer_config.json, where they are one template or a list of named ones. Throws Error naming
// file and key; BOS, EOS, PAD and UNK must be in the vocabulary.
TokenizerBundle LoadTokenizerBundle(const TokenizerSources& sources);
// Throws Error(kNotFound) when `dir` has neither tokenizer.json nor tokenizer.model.
TokenizerSources ReadTokenizerFolder(const std::string& dir);
// Whether a folder has one of the two files.
bool HasTokenizerFile(const std::string& dir);

// The folder of a model in which templates of other names than "default" are kept.
inline constexpr const char* kTemplateFolder = "additional_chat_templates";
// NAME of the file "additional_chat_templates/NAME.jinja"; "" if `file` has another name.
std::string AdditionalTemplateName(const std::string& file);
// Names of those files of a folder, relative to it, sorted; none if the folder has none.
std::vector<std::string> AdditionalTemplateFiles(const std::string& dir);

// Throws Error(kNotFound) for the model `where`, which has neither file; the message names the
// conversion of other files that it has.
[[noreturn]] void FailWithoutTokenizer(const std::string& where);

}  // namespace lorikeet
