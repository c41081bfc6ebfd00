// Text files of a model folder: tokenizer, chat template and generation settings, which are copied
// byte for byte into every folder that this program writes.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "chat/bundle.h"
#include "checkpoint/model_source.h"

namespace lorikeet {

struct TextFile {
  std::string name;  // "tokenizer.json", "additional_chat_templates/tool_use.jinja"
  std::string content;
};

// The files beside the weights; for a GGUF file the same files made from its metadata. Empty if the
// model has no tokenizer.
std::vector<TextFile> CollectTextFiles(const ModelSource& source);

// The text files of a folder, such as an adapter's; they need not include a tokenizer.
std::vector<TextFile> TextFilesIn(const std::string& dir);

// Whether a file of this name is one of those, in any model.
bool IsModelTextFile(const std::string& name);

// Sources of a model's tokenizer; empty if it has none. files: those of CollectTextFiles; where:
// the model, for errors.
std::optional<TokenizerSources> TokenizerSourcesOf(const ModelSource& source);
std::optional<TokenizerSources> TokenizerSourcesOf(const std::vector<TextFile>& files,
                                                   const std::string& where);

// Removes the files of chat templates; one in tokenizer_config.json stays.
void RemoveChatTemplates(std::vector<TextFile>& files);
// Replaces the model's chat templates by `jinja`.
void ReplaceChatTemplate(std::vector<TextFile>& files, const std::string& jinja);

// Writes each file atomically into an existing folder. Throws Error(kIo).
void WriteTextFiles(const std::vector<TextFile>& files, const std::string& dir);

}  // namespace lorikeet
