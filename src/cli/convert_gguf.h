// `lorikeet convert MODEL OUT.gguf`: writes a whole model as a GGUF file, with a Modelfile for
// Ollama beside it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_source.h"
#include "core/json.h"

namespace lorikeet {

struct GgufConversion {
  std::string output;          // the file
  std::string dtype = "auto";  // as ChooseGgufTypes takes it
  bool overwrite = false;
  bool accept_tokenizer = false;
  bool verify = true;  // compare the file's logits with the source's before it gets its name
  int64_t verify_tokens = 256;
};

struct GgufReport {
  OrderedJson json;
  std::string text;
};

// Throws Error; where the verification fails no file is left.
GgufReport ConvertToGguf(const ModelSource& source, const GgufConversion& conversion);

// Modelfile of a model without its first line: parameters of generation_config.json ("" if there is
// none) and the tokens that end a generation. Ollama takes the chat template from the file; a model
// without one gets its prompts as they are.
struct ModelfileFacts {
  std::string generation_config;
  std::vector<std::string> end_tokens;
  bool chat_template = false;
};
std::string ModelfileText(const std::string& file_name, const ModelfileFacts& facts);

}  // namespace lorikeet
