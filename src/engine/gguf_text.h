// The text side of a model as metadata of a GGUF file, in both directions: vocabulary, special
// tokens, chat templates.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/gguf.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/model_source.h"
#include "engine/text_files.h"
#include "tokenizer/gguf_tokenizer.h"

namespace lorikeet {

// Empty if the file has no tokenizer.
std::optional<GgufTokenizerFields> ReadGgufTokenizer(const GgufFile& gguf);

// tokenizer.json, tokenizer_config.json, generation_config.json and templates with what a file
// says.
std::vector<TextFile> TextFilesOfGguf(const GgufTokenizerFields& fields);

GgufMetadata GgufTokenizerMetadata(const GgufTokenizerFields& fields);

// A model's tokenizer for a file whose embedding has `rows` rows.
struct GgufText {
  GgufTokenizerFields fields;
  std::vector<std::string> notes;  // for the user: tokens that are left out, differences
};

// Empty if the model has no tokenizer. The fields are read again and compared: special tokens, the
// encodings of every token's text and of sample texts, and those of llama.cpp's own order of
// merges. Throws Error(kUnsupported) naming the first difference, or notes it with
// accept_differences.
std::optional<GgufText> MakeGgufText(const ModelSource& source, int64_t rows,
                                     bool accept_differences);

}  // namespace lorikeet
