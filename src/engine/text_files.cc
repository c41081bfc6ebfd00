#include "engine/text_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "core/file.h"
#include "engine/gguf_text.h"

namespace lorikeet {
namespace {

constexpr const char* kTemplateFile = "chat_template.jinja";
// Files that `transformers` may look for. tokenizer.json or tokenizer.model defines a tokenizer;
// the others are optional. The last two describe the processor of a model with a vision tower.
constexpr std::array kTextFiles = {"tokenizer.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "generation_config.json",
                                   kTemplateFile,
                                   "chat_template.json",
                                   "added_tokens.json",
                                   "tokenizer.model",
                                   "vocab.json",
                                   "merges.txt",
                                   "preprocessor_config.json",
                                   "processor_config.json"};

void AddTemplateFolder(const std::string& dir, std::vector<TextFile>& files) {
  for (const std::string& name : AdditionalTemplateFiles(dir)) {
    files.push_back({name, ReadFile(dir + "/" + name)});
  }
}

}  // namespace

std::vector<TextFile> CollectTextFiles(const ModelSource& source) {
  if (source.IsGguf()) {
    const auto fields = ReadGgufTokenizer(*source.gguf());
    return fields ? TextFilesOfGguf(*fields) : std::vector<TextFile>();
  }
  std::vector<TextFile> files;
  for (const char* name : kTextFiles) {
    std::string content = source.TextFile(name);
    if (!content.empty()) files.push_back({name, std::move(content)});
  }
  const bool has_tokenizer = std::any_of(files.begin(), files.end(), [](const TextFile& file) {
    return file.name == "tokenizer.json" || file.name == "tokenizer.model";
  });
  if (has_tokenizer) AddTemplateFolder(source.path(), files);
  return has_tokenizer ? files : std::vector<TextFile>();
}

std::vector<TextFile> TextFilesIn(const std::string& dir) {
  namespace fs = std::filesystem;
  std::vector<TextFile> files;
  for (const char* name : kTextFiles) {
    const fs::path path = fs::path(dir) / name;
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) files.push_back({name, ReadFile(path.string())});
  }
  AddTemplateFolder(dir, files);
  return files;
}

bool IsModelTextFile(const std::string& name) {
  return std::find(kTextFiles.begin(), kTextFiles.end(), name) != kTextFiles.end();
}

std::optional<TokenizerSources> TokenizerSourcesOf(const ModelSource& source) {
  return TokenizerSourcesOf(CollectTextFiles(source), source.path());
}

std::optional<TokenizerSources> TokenizerSourcesOf(const std::vector<TextFile>& files,
                                                   const std::string& where) {
  if (files.empty()) return std::nullopt;
  const auto content = [&](std::string_view name) {
    const auto found = std::find_if(files.begin(), files.end(),
                                    [&](const TextFile& file) { return file.name == name; });
    return found == files.end() ? std::string() : found->content;
  };
  TokenizerSources sources;
  sources.tokenizer_json = content("tokenizer.json");
  sources.sentencepiece_model = content("tokenizer.model");
  sources.added_tokens_json = content("added_tokens.json");
  sources.tokenizer_config_json = content("tokenizer_config.json");
  sources.special_tokens_map_json = content("special_tokens_map.json");
  sources.generation_config_json = content("generation_config.json");
  sources.chat_template = content(kTemplateFile);
  for (const TextFile& file : files) {
    const std::string name = AdditionalTemplateName(file.name);
    if (!name.empty()) sources.additional_templates[name] = file.content;
  }
  sources.where = where;
  return sources;
}

void RemoveChatTemplates(std::vector<TextFile>& files) {
  std::erase_if(files, [](const TextFile& file) {
    return file.name == kTemplateFile || file.name == "chat_template.json" ||
           !AdditionalTemplateName(file.name).empty();
  });
}

void ReplaceChatTemplate(std::vector<TextFile>& files, const std::string& jinja) {
  RemoveChatTemplates(files);
  files.push_back({kTemplateFile, jinja});
}

void WriteTextFiles(const std::vector<TextFile>& files, const std::string& dir) {
  for (const TextFile& file : files) {
    const std::string path = dir + "/" + file.name;
    if (!AdditionalTemplateName(file.name).empty()) CreateFolders(dir + "/" + kTemplateFolder);
    WriteFileAtomically(path, file.content);
  }
}

}  // namespace lorikeet
