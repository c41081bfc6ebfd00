#include "chat/bundle.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "chat/sentencepiece_folder.h"
#include "chat/special_tokens.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace lorikeet {
namespace {

Json ParseOptional(const std::string& text, const std::string& where) {
  Json json = text.empty() ? Json::object() : ParseJson(text, where);
  if (!json.is_object()) Fail(ErrorCode::kCorruptFile, "{}: expected a JSON object", where);
  return json;
}

// Templates by name; a single one is called "default".
std::map<std::string, std::string> TemplatesOf(const TokenizerSources& sources,
                                               const JsonFields& config) {
  std::map<std::string, std::string> templates = sources.additional_templates;
  if (!sources.chat_template.empty()) templates.emplace("default", sources.chat_template);
  if (!templates.empty()) return templates;
  const Json& value = config.At("chat_template");
  if (!value.is_array()) {
    std::string source = config.String("chat_template", "");
    if (!source.empty()) templates["default"] = std::move(source);
    return templates;
  }
  for (const Json& item : value) {
    const JsonFields named(item, config.Where("chat_template"));
    templates[named.String("name")] = named.String("template");
  }
  return templates;
}

int32_t IdOf(const Tokenizer& tokenizer, const std::string& token, const std::string& key,
             const std::string& where) {
  if (token.empty()) return -1;
  const auto id = tokenizer.TokenToId(token);
  if (!id) {
    Fail(ErrorCode::kCorruptFile, "{}: {} '{}' is not in the tokenizer's vocabulary", where, key,
         token);
  }
  return *id;
}

// generation_config.json has one id or a list of ids; -1 is none.
std::vector<int32_t> EosIds(const JsonFields& generation, int32_t vocab_size) {
  const Json& value = generation.At("eos_token_id");
  std::vector<int32_t> ids;
  for (const Json& id : value.is_array() ? value : Json::array({value})) {
    if (id.is_null() || id == -1) continue;
    const bool ok = id.is_number_unsigned() && id.get<uint64_t>() < uint64_t(vocab_size);
    if (!ok) generation.Expected("eos_token_id", fmt::format("ids below {}", vocab_size));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

Tokenizer MakeTokenizer(const TokenizerSources& sources, const JsonFields& config,
                        SpecialTokens* special) {
  const bool sentencepiece = sources.tokenizer_json.empty() && !sources.sentencepiece_model.empty();
  if (!sentencepiece) {
    return Tokenizer::FromJson(sources.tokenizer_json, sources.where + ": tokenizer.json",
                               special->tokens);
  }
  const std::string json =
      TokenizerJsonOfFolder(sources.sentencepiece_model, config, sources.where, special);
  return Tokenizer::FromJson(json, sources.where + ": tokenizer.model", special->tokens);
}

bool HasFile(const std::string& dir, const char* name) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(std::filesystem::path(dir) / name, ignored);
}

}  // namespace

TokenizerBundle LoadTokenizerBundle(const TokenizerSources& sources) {
  const std::string& where = sources.where;
  const Json config_json =
      ParseOptional(sources.tokenizer_config_json, where + ": tokenizer_config.json");
  const Json generation_json =
      ParseOptional(sources.generation_config_json, where + ": generation_config.json");
  const JsonFields config(config_json, where + ": tokenizer_config.json");
  const JsonFields generation(generation_json, where + ": generation_config.json");

  SpecialTokens special =
      ReadSpecialTokens({sources.tokenizer_config_json, sources.special_tokens_map_json,
                         sources.added_tokens_json, where});
  TokenizerBundle bundle{.tokenizer = MakeTokenizer(sources, config, &special)};
  bundle.bos_token = special.bos;
  bundle.eos_token = special.eos;
  bundle.pad_token = special.pad;
  bundle.unk_token = special.unk;
  bundle.bos_id = IdOf(bundle.tokenizer, bundle.bos_token, "bos_token", where);
  bundle.eos_id = IdOf(bundle.tokenizer, bundle.eos_token, "eos_token", where);
  bundle.pad_id = IdOf(bundle.tokenizer, bundle.pad_token, "pad_token", where);
  bundle.named_templates = TemplatesOf(sources, config);
  const auto standard = bundle.named_templates.extract("default");
  if (!standard.empty()) bundle.chat_template = standard.mapped();
  bundle.eos_ids = EosIds(generation, bundle.tokenizer.VocabSize());
  const bool listed = std::find(bundle.eos_ids.begin(), bundle.eos_ids.end(), bundle.eos_id) !=
                      bundle.eos_ids.end();
  if (bundle.eos_id >= 0 && !listed) bundle.eos_ids.push_back(bundle.eos_id);
  bundle.leading_ids = bundle.tokenizer.before();
  bundle.add_bos = !bundle.leading_ids.empty();
  return bundle;
}

TokenizerSources ReadTokenizerFolder(const std::string& dir) {
  namespace fs = std::filesystem;
  const auto read = [&](const char* name) {
    const fs::path path = fs::path(dir) / name;
    return fs::exists(path) ? ReadFile(path.string()) : std::string();
  };
  TokenizerSources sources;
  sources.where = dir;
  sources.tokenizer_json = read("tokenizer.json");
  sources.sentencepiece_model = read("tokenizer.model");
  if (sources.tokenizer_json.empty() && sources.sentencepiece_model.empty()) {
    FailWithoutTokenizer(dir);
  }
  sources.tokenizer_config_json = read("tokenizer_config.json");
  sources.special_tokens_map_json = read("special_tokens_map.json");
  sources.added_tokens_json = read("added_tokens.json");
  sources.generation_config_json = read("generation_config.json");
  sources.chat_template = read("chat_template.jinja");
  for (const std::string& file : AdditionalTemplateFiles(dir)) {
    sources.additional_templates[AdditionalTemplateName(file)] = read(file.c_str());
  }
  return sources;
}

bool HasTokenizerFile(const std::string& dir) {
  return HasFile(dir, "tokenizer.json") || HasFile(dir, "tokenizer.model");
}

std::string AdditionalTemplateName(const std::string& file) {
  const std::string folder = std::string(kTemplateFolder) + "/", ending = ".jinja";
  if (!file.starts_with(folder) || !file.ends_with(ending)) return "";
  return file.substr(folder.size(), file.size() - folder.size() - ending.size());
}

std::vector<std::string> AdditionalTemplateFiles(const std::string& dir) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(fs::path(dir) / kTemplateFolder, none)) {
    const std::string name = std::string(kTemplateFolder) + "/" + entry.path().filename().string();
    if (!AdditionalTemplateName(name).empty() && entry.is_regular_file()) files.push_back(name);
  }
  std::sort(files.begin(), files.end());
  return files;
}

void FailWithoutTokenizer(const std::string& where) {
  for (const char* other : {"vocab.json", "tekken.json", "tiktoken.model", "spiece.model"}) {
    if (!HasFile(where, other)) continue;
    Fail(ErrorCode::kNotFound,
         "{}: has {} but no tokenizer.json or tokenizer.model; make one with `transformers`: "
         "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
         where, other);
  }
  Fail(ErrorCode::kNotFound,
       "{}: has no tokenizer.json or tokenizer.model, so text cannot be read or written; put the "
       "model's tokenizer files beside its weights",
       where);
}

}  // namespace lorikeet
