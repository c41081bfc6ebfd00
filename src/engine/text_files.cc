#include "engine/text_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "core/file.h"
#include "core/json.h"
#include "tokenizer/gguf_tokenizer.h"

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

// llama.cpp's default for files that do not say whether BOS is to be added.
bool AddsBosByDefault(const std::string& model, const std::string& pre) {
  constexpr std::array kBpeWithBos = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1",
                                      "pixtral",   "tekken", "lfm2",     "llama4",  "chatglm-bpe"};
  return model == "llama" || model == "gemma4" || pre == "gemma4" ||
         std::find(kBpeWithBos.begin(), kBpeWithBos.end(), pre) != kBpeWithBos.end();
}

GgufTokenizerFields TokenizerFields(const GgufFile& gguf) {
  const auto key = [](const char* name) { return std::string("tokenizer.ggml.") + name; };
  const auto strings = [&](const char* name) {
    return gguf.Has(key(name)) ? gguf.Strings(key(name)) : std::vector<std::string>();
  };
  GgufTokenizerFields fields;
  fields.model = gguf.String(key("model"));
  fields.pre = gguf.StringOr(key("pre"), "");
  fields.tokens = gguf.Strings(key("tokens"));
  fields.merges = strings("merges");
  if (gguf.Has(key("scores"))) fields.scores = gguf.Floats(key("scores"));
  if (gguf.Has(key("token_type"))) {
    for (const int64_t type : gguf.Ints(key("token_type"))) {
      fields.token_types.push_back(static_cast<int32_t>(type));
    }
  }
  // Some writers store "none", which is -1, in an unsigned field.
  const auto id = [&](const char* name, int64_t when_absent) {
    const int64_t value = gguf.IntOr(key(name), when_absent);
    return value == UINT32_MAX ? -1 : value;
  };
  const bool t5 = fields.model == "t5";
  fields.bos_id = id("bos_token_id", -1);
  fields.eos_id = id("eos_token_id", t5 ? 1 : -1);
  fields.unk_id = id("unknown_token_id", t5 ? 2 : -1);
  fields.pad_id = id("padding_token_id", t5 ? 0 : -1);
  // Files of Gemma 4 may say false; llama.cpp puts BOS nevertheless, as the model's own tokenizer.
  fields.add_bos = gguf.BoolOr(key("add_bos_token"), AddsBosByDefault(fields.model, fields.pre)) ||
                   (fields.bos_id >= 0 && (fields.model == "gemma4" || fields.pre == "gemma4"));
  fields.add_eos = gguf.BoolOr(key("add_eos_token"), t5);
  fields.add_space_prefix = gguf.BoolOr(key("add_space_prefix"), !t5);
  fields.remove_extra_spaces = gguf.BoolOr(key("remove_extra_whitespaces"), false);
  if (gguf.Has(key("precompiled_charsmap"))) {
    for (const int64_t byte : gguf.Ints(key("precompiled_charsmap"))) {
      fields.precompiled_charsmap += static_cast<char>(byte);
    }
  }
  fields.chat_template = gguf.StringOr("tokenizer.chat_template", "");
  return fields;
}

// generation_config.json with the ids that end a generation. A GGUF file may name an end of turn
// besides its EOS.
std::string GenerationConfig(const GgufFile& gguf, const GgufTokenizerFields& fields) {
  OrderedJson json = OrderedJson::object();
  if (fields.bos_id >= 0) json["bos_token_id"] = fields.bos_id;
  OrderedJson eos = OrderedJson::array();
  const int64_t vocab = static_cast<int64_t>(fields.tokens.size());
  for (const int64_t id : {fields.eos_id, gguf.IntOr("tokenizer.ggml.eot_token_id", -1)}) {
    if (id >= 0 && id < vocab && std::find(eos.begin(), eos.end(), id) == eos.end()) {
      eos.push_back(id);
    }
  }
  if (!eos.empty()) json["eos_token_id"] = eos.size() == 1 ? eos[0] : eos;
  if (fields.pad_id >= 0) json["pad_token_id"] = fields.pad_id;
  return json.dump(2) + "\n";
}

// Chat templates of other names, as files; with them the default one must be a file too.
void AddNamedTemplates(const GgufFile& gguf, const std::string& standard,
                       std::vector<TextFile>& files) {
  if (!gguf.Has("tokenizer.chat_templates")) return;
  const size_t before = files.size();
  for (const std::string& name : gguf.Strings("tokenizer.chat_templates")) {
    const bool is_name = !name.empty() && name.find_first_of("/\\") == std::string::npos;
    const std::string source = gguf.StringOr("tokenizer.chat_template." + name, "");
    if (!is_name || name == "default" || source.empty()) continue;
    files.push_back({std::string(kTemplateFolder) + "/" + name + ".jinja", source});
  }
  if (files.size() > before && !standard.empty()) files.push_back({kTemplateFile, standard});
}

std::vector<TextFile> FromGguf(const GgufFile& gguf) {
  if (!gguf.Has("tokenizer.ggml.model") || !gguf.Has("tokenizer.ggml.tokens")) return {};
  const GgufTokenizerFields fields = TokenizerFields(gguf);
  std::vector<TextFile> files = {{"tokenizer.json", TokenizerJsonFromGguf(fields)},
                                 {"tokenizer_config.json", TokenizerConfigJsonFromGguf(fields)},
                                 {"generation_config.json", GenerationConfig(gguf, fields)}};
  AddNamedTemplates(gguf, fields.chat_template, files);
  return files;
}

void AddTemplateFolder(const std::string& dir, std::vector<TextFile>& files) {
  for (const std::string& name : AdditionalTemplateFiles(dir)) {
    files.push_back({name, ReadFile(dir + "/" + name)});
  }
}

}  // namespace

std::vector<TextFile> CollectTextFiles(const ModelSource& source) {
  if (source.IsGguf()) return FromGguf(*source.gguf());
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

std::optional<TokenizerSources> TokenizerSourcesOf(const ModelSource& source) {
  const std::vector<TextFile> files = CollectTextFiles(source);
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
  sources.where = source.path();
  return sources;
}

void ReplaceChatTemplate(std::vector<TextFile>& files, const std::string& jinja) {
  std::erase_if(files, [](const TextFile& file) {
    return file.name == kTemplateFile || file.name == "chat_template.json" ||
           !AdditionalTemplateName(file.name).empty();
  });
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
