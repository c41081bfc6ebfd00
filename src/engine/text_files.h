// The text side of a model folder: tokenizer, chat template and generation settings, as files to be
// copied byte for byte into every folder that this program writes.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "chat/bundle.h"
#include "checkpoint/model_source.h"

namespace lorikeet {

struct TextFile {
  std::string name;  // "tokenizer.json"
  std::string content;
};

// The files beside the weights as they are; for a GGUF file the same ones made from its metadata.
// Empty when the model has no tokenizer.
std::vector<TextFile> CollectTextFiles(const ModelSource& source);

// Those of them that lie in a folder, an adapter's say; a tokenizer need not be among them.
std::vector<TextFile> TextFilesIn(const std::string& dir);

// What a tokenizer is loaded from; nothing when the model has no tokenizer.
std::optional<TokenizerSources> TokenizerSourcesOf(const ModelSource& source);

// Puts `jinja` in the place of the model's own chat template.
void ReplaceChatTemplate(std::vector<TextFile>& files, const std::string& jinja);

// Writes each file atomically into an existing folder. Throws Error(kIo).
void WriteTextFiles(const std::vector<TextFile>& files, const std::string& dir);

}  // namespace lorikeet
