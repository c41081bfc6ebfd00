#include "engine/gguf_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <set>

#include "chat/bundle.h"
#include "core/error.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/round_up.h"
#include "core/text.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/probe_texts.h"

namespace lorikeet {
namespace {

// llama.cpp's default for files that do not say whether BOS is to be added.
bool AddsBosByDefault(const std::string& model, const std::string& pre) {
  constexpr std::array kBpeWithBos = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1",
                                      "pixtral",   "tekken", "lfm2",     "llama4",  "chatglm-bpe"};
  return model == "llama" || model == "gemma4" || pre == "gemma4" ||
         std::find(kBpeWithBos.begin(), kBpeWithBos.end(), pre) != kBpeWithBos.end();
}

constexpr const char* kTemplateKey = "tokenizer.chat_template";
constexpr const char* kTemplateNames = "tokenizer.chat_templates";

void ReadTemplates(const GgufFile& gguf, GgufTokenizerFields* fields) {
  fields->chat_template = gguf.StringOr(kTemplateKey, "");
  if (!gguf.Has(kTemplateNames)) return;
  for (const std::string& name : gguf.Strings(kTemplateNames)) {
    const bool is_name = !name.empty() && name.find_first_of("/\\") == std::string::npos;
    const std::string source = gguf.StringOr(std::string(kTemplateKey) + "." + name, "");
    if (!is_name || name == "default" || source.empty()) continue;
    fields->named_templates[name] = source;
  }
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
  // Further ends count only if the vocabulary has them.
  const auto end = [&](const char* name) {
    const int64_t value = id(name, -1);
    return value < static_cast<int64_t>(fields.tokens.size()) ? value : -1;
  };
  fields.eot_id = end("eot_token_id");
  fields.eom_id = end("eom_token_id");
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
  ReadTemplates(gguf, &fields);
  return fields;
}

// The ids that end a generation, the first of equal ones.
std::vector<int64_t> EndIds(const GgufTokenizerFields& fields) {
  std::vector<int64_t> ends;
  for (const int64_t id : {fields.eos_id, fields.eot_id, fields.eom_id}) {
    if (id >= 0 && std::ranges::find(ends, id) == ends.end()) ends.push_back(id);
  }
  return ends;
}

std::string GenerationConfig(const GgufTokenizerFields& fields) {
  OrderedJson json = OrderedJson::object();
  if (fields.bos_id >= 0) json["bos_token_id"] = fields.bos_id;
  const std::vector<int64_t> ends = EndIds(fields);
  if (ends.size() == 1) json["eos_token_id"] = ends[0];
  if (ends.size() > 1) json["eos_token_id"] = ends;
  if (fields.pad_id >= 0) json["pad_token_id"] = fields.pad_id;
  return json.dump(2) + "\n";
}

// Ends of a generation: EOS, then those of generation_config.json, for which there are two keys.
void SetEnds(const TokenizerBundle& bundle, const std::string& where, GgufTokenizerFields* f) {
  std::vector<int64_t> ends;
  if (bundle.eos_id >= 0) ends.push_back(bundle.eos_id);
  for (const int32_t id : bundle.eos_ids) {
    if (std::ranges::find(ends, id) == ends.end()) ends.push_back(id);
  }
  if (ends.size() > 3) {
    Fail(ErrorCode::kUnsupported,
         "{}: generation_config.json: {} tokens end a generation, and a GGUF file names three at "
         "most",
         where, ends.size());
  }
  ends.resize(3, -1);
  f->eos_id = ends[0];
  f->eot_id = ends[1];
  f->eom_id = ends[2];
}

// Sets which tokens are added before and after a text. Some tokenizers name BOS and EOS only so.
void SetAdded(const TokenizerBundle& bundle, GgufTokenizerFields* f) {
  const std::vector<int32_t>& leading = bundle.leading_ids;
  const std::vector<int32_t> bare = bundle.tokenizer.Encode("a");
  const std::vector<int32_t> whole = bundle.tokenizer.Encode("a", /*add_special_tokens=*/true);
  if (leading.size() == 1 && f->bos_id < 0) f->bos_id = leading[0];
  f->add_bos = leading.size() == 1 && leading[0] == f->bos_id;
  if (whole.size() != leading.size() + bare.size() + 1) return;
  if (f->eos_id < 0) f->eos_id = whole.back();
  f->add_eos = whole.back() == f->eos_id;
}

void SetSpecials(const TokenizerBundle& bundle, const std::string& where, GgufTokenizerFields* f) {
  const auto rows = static_cast<int64_t>(f->tokens.size());
  f->bos_id = bundle.bos_id;
  f->pad_id = bundle.pad_id;
  if (f->unk_id < 0) f->unk_id = bundle.tokenizer.TokenToId(bundle.unk_token).value_or(-1);
  SetEnds(bundle, where, f);
  for (const int64_t id : {f->bos_id, f->pad_id, f->unk_id, f->eos_id, f->eot_id, f->eom_id}) {
    if (id < rows) continue;
    Fail(ErrorCode::kUnsupported, "{}: the special token {} is beyond the embedding's {} rows",
         where, id, rows);
  }
  SetAdded(bundle, f);
  f->chat_template = bundle.chat_template;
  f->named_templates = bundle.named_templates;
}

GgufTokenizerFields FieldsOf(const ModelSource& source, const TokenizerSources& sources,
                             const TokenizerBundle& bundle, int64_t rows) {
  if (source.IsGguf()) {
    GgufTokenizerFields own = TokenizerFields(*source.gguf());
    if (static_cast<int64_t>(own.tokens.size()) == rows) return own;
  }
  VocabularySources vocabulary = {.where = sources.where};
  if (!sources.tokenizer_json.empty()) {
    vocabulary.tokenizer_json =
        ParseJson(sources.tokenizer_json, sources.where + ": tokenizer.json");
  }
  if (!sources.sentencepiece_model.empty()) {
    const std::string where = sources.where + ": tokenizer.model";
    try {
      vocabulary.sentencepiece = ParseSentencePieceModel(sources.sentencepiece_model, where);
    } catch (const Error&) {  // beside tokenizer.json it may be of any kind
      if (sources.tokenizer_json.empty()) throw;
    }
  }
  GgufTokenizerFields fields = VocabularyFields(bundle.tokenizer, vocabulary, rows);
  SetSpecials(bundle, sources.where, &fields);
  return fields;
}

// The number of texts that two tokenizers encode differently, and the first of them.
struct Differences {
  int64_t texts = 0, differing = 0;
  std::string first{};
};

// Compares the encodings of texts with those of the source.
class Encodings {
 public:
  explicit Encodings(const Tokenizer& expected) : expected_(expected) {}

  void Compare(const Tokenizer& other, const std::vector<std::string>& texts) {
    std::mutex mutex;
    constexpr int64_t kChunk = 1024;
    const auto count = static_cast<int64_t>(texts.size());
    ParallelDynamic(CeilDiv(count, kChunk), [&](int64_t chunk) {
      Differences found;
      for (int64_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) {
        Note(texts[static_cast<size_t>(i)], other, &found);
      }
      const std::lock_guard<std::mutex> lock(mutex);
      found_.texts += found.texts;
      found_.differing += found.differing;
      Shortest(found.first, &found_.first);
    });
  }
  const Differences& found() const { return found_; }

 private:
  // The shortest one, whatever the order of the threads.
  static void Shortest(const std::string& shown, std::string* first) {
    const auto order = [](const std::string& s) { return std::pair(s.size(), s); };
    if (!shown.empty() && (first->empty() || order(shown) < order(*first))) *first = shown;
  }
  void Note(const std::string& text, const Tokenizer& other, Differences* found) const {
    const auto wanted = expected_.Encode(text, /*add_special_tokens=*/true);
    const auto got = other.Encode(text, /*add_special_tokens=*/true);
    ++found->texts;
    if (wanted == got) return;
    ++found->differing;
    Shortest(fmt::format("{} as {} instead of {}", JsonQuoted(text), fmt::join(got, " "),
                         fmt::join(wanted, " ")),
             &found->first);
  }

  const Tokenizer& expected_;
  Differences found_;
};

// Sample texts, every token's text by itself, after a letter and before another token, and added
// tokens between words.
std::vector<std::string> TextsToCompare(const Tokenizer& tokenizer, int64_t rows) {
  std::vector<std::string> texts(kProbeTexts.begin(), kProbeTexts.end());
  const auto text_of = [&](int64_t id) {
    const int32_t ids[] = {static_cast<int32_t>(id)};
    return tokenizer.Decode(ids);
  };
  for (int64_t id = 0; id < rows; ++id) {
    const std::string text = text_of(id);
    if (text.empty()) continue;
    texts.push_back(text);
    texts.push_back("x" + text);
    texts.push_back(text + text_of(id * 7919 % rows));
  }
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.id >= rows) continue;
    texts.push_back("a" + token.content + "b");
    texts.push_back("a " + token.content + " b");
  }
  // A token without a row is another text in the file.
  std::erase_if(texts, [&](const std::string& text) {
    return std::ranges::any_of(tokenizer.Encode(text), [&](int32_t id) { return id >= rows; });
  });
  return texts;
}

void CompareSpecials(const TokenizerBundle& a, const TokenizerBundle& b, const std::string& where) {
  const auto same = [&](const char* what, const auto& wanted, const auto& got) {
    if (wanted == got) return;
    Fail(ErrorCode::kUnsupported, "{}: a GGUF file cannot say {} of its tokenizer", where, what);
  };
  same("the tokens that are put before a text (tokenizer.json, post_processor)", a.leading_ids,
       b.leading_ids);
  if (a.bos_id >= 0 || !a.chat_template.empty()) same("the BOS token", a.bos_id, b.bos_id);
  same("the PAD token", a.pad_id, b.pad_id);
  if (!a.eos_ids.empty()) {
    same("the tokens that end a generation", std::set(a.eos_ids.begin(), a.eos_ids.end()),
         std::set(b.eos_ids.begin(), b.eos_ids.end()));
  }
  same("the chat template", a.chat_template, b.chat_template);
  same("the named chat templates", a.named_templates, b.named_templates);
}

TokenizerBundle ReadAgain(const GgufTokenizerFields& fields, const std::string& where) {
  return LoadTokenizerBundle(*TokenizerSourcesOf(TextFilesOfGguf(fields), where));
}

void CheckFields(const TokenizerBundle& bundle, const std::string& where, bool accept,
                 GgufText* text) {
  const TokenizerBundle again = ReadAgain(text->fields, where);
  CompareSpecials(bundle, again, where);
  const auto rows = static_cast<int64_t>(text->fields.tokens.size());
  const std::vector<std::string> texts = TextsToCompare(bundle.tokenizer, rows);
  Encodings encodings(bundle.tokenizer);
  encodings.Compare(again.tokenizer, texts);
  if (text->fields.model == "llama") {
    encodings.Compare(
        Tokenizer::FromJson(TokenizerJsonFromGguf(text->fields, Ties::kLeftmost), where), texts);
  }
  const Differences& found = encodings.found();
  if (found.differing == 0) return;
  const std::string what = fmt::format("{} of {} texts are split otherwise, as {}", found.differing,
                                       found.texts, found.first);
  if (!accept) {
    Fail(ErrorCode::kUnsupported,
         "{}: a GGUF file cannot say how its tokenizer splits texts: {}; --accept-tokenizer "
         "writes the file nevertheless",
         where, what);
  }
  text->notes.push_back(fmt::format("{}: the GGUF file's tokenizer differs: {}", where, what));
}

}  // namespace

std::optional<GgufTokenizerFields> ReadGgufTokenizer(const GgufFile& gguf) {
  if (!gguf.Has("tokenizer.ggml.model") || !gguf.Has("tokenizer.ggml.tokens")) return std::nullopt;
  return TokenizerFields(gguf);
}

std::vector<TextFile> TextFilesOfGguf(const GgufTokenizerFields& fields) {
  std::vector<TextFile> files = {{"tokenizer.json", TokenizerJsonFromGguf(fields)},
                                 {"tokenizer_config.json", TokenizerConfigJsonFromGguf(fields)},
                                 {"generation_config.json", GenerationConfig(fields)}};
  for (const auto& [name, source] : fields.named_templates) {
    files.push_back({std::string(kTemplateFolder) + "/" + name + ".jinja", source});
  }
  // With templates of other names the default one must be a file too.
  if (!fields.named_templates.empty() && !fields.chat_template.empty()) {
    files.push_back({"chat_template.jinja", fields.chat_template});
  }
  return files;
}

GgufMetadata GgufTokenizerMetadata(const GgufTokenizerFields& f) {
  GgufMetadata metadata;
  const auto add = [&](const std::string& name, GgufValue value) {
    metadata.emplace_back("tokenizer.ggml." + name, std::move(value));
  };
  add("model", f.model);
  add("pre", f.pre.empty() ? "default" : f.pre);
  add("tokens", f.tokens);
  if (!f.scores.empty()) add("scores", f.scores);
  add("token_type", f.token_types);
  if (!f.merges.empty()) add("merges", f.merges);
  const std::pair<const char*, int64_t> ids[] = {
      {"bos_token_id", f.bos_id}, {"eos_token_id", f.eos_id},     {"eot_token_id", f.eot_id},
      {"eom_token_id", f.eom_id}, {"unknown_token_id", f.unk_id}, {"padding_token_id", f.pad_id}};
  for (const auto& [name, id] : ids) {
    if (id >= 0) add(name, static_cast<uint32_t>(id));
  }
  add("add_bos_token", f.add_bos);
  add("add_eos_token", f.add_eos);
  if (f.model == "llama") add("add_space_prefix", f.add_space_prefix);
  if (!f.chat_template.empty()) metadata.emplace_back(kTemplateKey, f.chat_template);
  std::vector<std::string> names;
  for (const auto& [name, source] : f.named_templates) {
    metadata.emplace_back(std::string(kTemplateKey) + "." + name, source);
    names.push_back(name);
  }
  if (!names.empty()) metadata.emplace_back(kTemplateNames, names);
  return metadata;
}

std::optional<GgufText> MakeGgufText(const ModelSource& source, int64_t rows,
                                     bool accept_differences) {
  const std::optional<TokenizerSources> sources = TokenizerSourcesOf(source);
  if (!sources) return std::nullopt;
  const TokenizerBundle bundle = LoadTokenizerBundle(*sources);
  GgufText text = {.fields = FieldsOf(source, *sources, bundle, rows)};
  const int64_t beyond = bundle.tokenizer.VocabSize() - rows;
  if (beyond > 0) {
    text.notes.push_back(
        fmt::format("{}: {} of the tokenizer's {} tokens have no row in the embedding and are "
                    "left out",
                    source.path(), beyond, bundle.tokenizer.VocabSize()));
  }
  CheckFields(bundle, source.path(), accept_differences, &text);
  return text;
}

}  // namespace lorikeet
