#include "tokenizer/gguf_tokenizer.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "core/json.h"
#include "core/utf8.h"
#include "tokenizer/scanners.h"

namespace lorikeet {
namespace {

enum TokenType : int32_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

constexpr size_t kMaxTokens = 1 << 24;
constexpr size_t kMaxTokenBytes = 1 << 12;  // merges are reconstructed from each cut of a token
constexpr char kMark[] = "\xE2\x96\x81";

constexpr char kQwen35[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kGpt4o[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kTekken[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kDeepSeekWords[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Pre-tokenization that a value of tokenizer.ggml.pre stands for.
struct PreKind {
  std::vector<std::string> splits;  // regular expressions, one Split step each
  bool single_digits = false;       // a Digits step before ByteLevel
  bool gpt2_pattern = false;        // ByteLevel's own pattern
  bool nfc = false, ignore_merges = false;
};

PreKind KindOf(const std::string& pre) {
  const std::string name = " " + pre + " ";
  const auto any_of = [&](std::string_view names) { return names.find(name) != names.npos; };
  if (pre.empty() || any_of(" default gpt-2 phi-2 mpt olmo jais trillion gigachat mellum ")) {
    return {.splits = {}, .gpt2_pattern = true};
  }
  if (any_of(" smollm starcoder refact codeshell exaone minerva-7b ")) {
    return {.splits = {}, .single_digits = true, .gpt2_pattern = true};
  }
  if (any_of(" command-r ")) {
    return {.splits = {}, .single_digits = true, .gpt2_pattern = true, .nfc = true};
  }
  if (any_of(" llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral lfm2 ")) {
    return {.splits = {kLlama3Pattern}, .ignore_merges = true};
  }
  if (any_of(" dbrx smaug-bpe chatglm-bpe glm4 ")) return {.splits = {kLlama3Pattern}};
  if (any_of(" qwen2 deepseek-r1-qwen ")) return {.splits = {kQwen2Pattern}, .nfc = true};
  if (any_of(" qwen35 ")) return {.splits = {kQwen35}};
  if (any_of(" stablelm2 hunyuan solar-open grok-2 ")) return {.splits = {kQwen2Pattern}};
  if (any_of(" gpt-4o llama4 ")) return {.splits = {kGpt4o}};
  if (any_of(" tekken ")) return {.splits = {kTekken}, .ignore_merges = true};
  if (any_of(" deepseek-v3 hunyuan-dense ")) {
    return {.splits = {R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+", kDeepSeekWords}};
  }
  if (any_of(" deepseek-coder ")) {
    return {.splits = {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥\u0800-一가-\uD7FF]+",
                       R"(\p{N})"}};
  }
  if (any_of(" deepseek-llm ")) {
    return {.splits = {"[\r\n]", R"(\s?[\p{Lu}\p{Ll}\p{Lt}]+)",
                       "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", R"(\s+$)",
                       "[一-龥\u0800-一가-\uD7FF]+", R"(\p{N}+)"}};
  }
  Fail(ErrorCode::kUnsupported,
       "GGUF: tokenizer.ggml.pre '{}' is not known; use the model's Hugging Face folder instead",
       pre);
}

void Check(const GgufTokenizerFields& f) {
  if (f.tokens.empty() || f.tokens.size() > kMaxTokens) {
    Fail(ErrorCode::kCorruptFile, "GGUF: tokenizer.ggml.tokens has {} tokens", f.tokens.size());
  }
  if (!f.token_types.empty() && f.token_types.size() != f.tokens.size()) {
    Fail(ErrorCode::kCorruptFile, "GGUF: {} tokens but {} values in tokenizer.ggml.token_type",
         f.tokens.size(), f.token_types.size());
  }
  for (const int64_t id : {f.bos_id, f.eos_id, f.unk_id, f.pad_id}) {
    if (id < -1 || id >= static_cast<int64_t>(f.tokens.size())) {
      Fail(ErrorCode::kCorruptFile, "GGUF: special token id {} is beyond the vocabulary of {}", id,
           f.tokens.size());
    }
  }
  for (const auto* strings : {&f.tokens, &f.merges}) {
    for (const std::string& s : *strings) {
      if (!IsValidUtf8(s)) Fail(ErrorCode::kCorruptFile, "GGUF: a token or merge is not UTF-8");
    }
  }
}

int32_t TypeOf(const GgufTokenizerFields& f, size_t id) {
  return f.token_types.empty() ? static_cast<int32_t>(kNormal) : f.token_types[id];
}

bool IsSpecialId(const GgufTokenizerFields& f, size_t id) {
  const auto same = [id](int64_t special) { return special == static_cast<int64_t>(id); };
  const int32_t type = TypeOf(f, id);
  return type == kControl || type == kUnknown || same(f.bos_id) || same(f.eos_id) || same(f.unk_id);
}

// Token spellings, made unique as JSON keys must be. The first of equal tokens keeps its spelling.
std::vector<std::string> UniqueTokens(const GgufTokenizerFields& f) {
  std::vector<std::string> names = f.tokens;
  std::unordered_set<std::string_view> seen;
  for (size_t id = 0; id < names.size(); ++id) {
    while (names[id].empty() || seen.contains(names[id])) {
      names[id] += fmt::format("<duplicate_{}>", id);
    }
    seen.insert(names[id]);
  }
  return names;
}

using Ids = std::unordered_map<std::string_view, uint32_t>;

// SentencePiece joins the neighbours whose union has the best score. As merges: every cut of every
// normal token into two tokens, by descending score; equal scores by the sizes (in characters) of
// the parts, larger first, as in `transformers`.
OrderedJson MergesFromScores(const GgufTokenizerFields& f, const Ids& ids) {
  struct Merge {
    uint32_t left, right;
    float score;
    uint32_t left_chars, right_chars;
  };
  if (f.scores.size() != f.tokens.size()) {
    Fail(ErrorCode::kCorruptFile, "GGUF: {} tokens but {} values in tokenizer.ggml.scores",
         f.tokens.size(), f.scores.size());
  }
  std::vector<Merge> merges;
  for (size_t id = 0; id < f.tokens.size(); ++id) {
    const std::string_view token = f.tokens[id];
    if (TypeOf(f, id) != kNormal || token.size() > kMaxTokenBytes) continue;
    const size_t first = merges.size();
    const auto chars = static_cast<uint32_t>(
        std::count_if(token.begin(), token.end(), [](char c) { return (c & 0xC0) != 0x80; }));
    uint32_t left_chars = 0;
    for (size_t cut = 0, length; cut < token.size(); cut += length, ++left_chars) {
      DecodeUtf8(token, cut, &length);
      if (cut == 0) continue;
      const auto left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      merges.push_back({left->second, right->second, f.scores[id], left_chars, chars - left_chars});
    }
    std::sort(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end(),
              [](const Merge& a, const Merge& b) {
                return std::pair(a.left, a.right) < std::pair(b.left, b.right);
              });
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    if (a.score != b.score) return a.score > b.score;
    return std::pair(a.left_chars, a.right_chars) > std::pair(b.left_chars, b.right_chars);
  });
  OrderedJson list = OrderedJson::array();
  for (const Merge& m : merges) {
    list.push_back(OrderedJson::array({f.tokens[m.left], f.tokens[m.right]}));
  }
  return list;
}

// The file's merges, without those of tokens that are not in the vocabulary (no piece can use
// them).
OrderedJson MergesOfFile(const GgufTokenizerFields& f, const Ids& ids) {
  OrderedJson list = OrderedJson::array();
  for (const std::string& merge : f.merges) {
    const size_t space = merge.find(' ', 1);
    if (space == merge.npos) {
      Fail(ErrorCode::kCorruptFile, "GGUF: merge '{}' is not of the form 'a b'", merge);
    }
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    if (ids.contains(left) && ids.contains(right) && ids.contains(left + right)) {
      list.push_back(OrderedJson::array({left, right}));
    }
  }
  return list;
}

OrderedJson Typed(const char* type) { return {{"type", type}}; }

OrderedJson SplitStep(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

OrderedJson ByteLevelStep(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

void AddByteLevel(const PreKind& kind, OrderedJson* json) {
  OrderedJson steps = OrderedJson::array();
  for (const std::string& regex : kind.splits) steps.push_back(SplitStep(regex));
  if (kind.single_digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  steps.push_back(ByteLevelStep(kind.gpt2_pattern));
  (*json)["normalizer"] = kind.nfc ? Typed("NFC") : OrderedJson();
  (*json)["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  (*json)["decoder"] = ByteLevelStep(true);
}

void AddSentencePiece(bool space_prefix, OrderedJson* json) {
  OrderedJson normalizers = OrderedJson::array(), decoders = OrderedJson::array();
  if (space_prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kMark}});
  normalizers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMark}});
  decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", kMark}}}, {"content", " "}});
  decoders.push_back(Typed("ByteFallback"));
  decoders.push_back(Typed("Fuse"));
  if (space_prefix) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  (*json)["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
  (*json)["pre_tokenizer"] = nullptr;
  (*json)["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
}

OrderedJson AddedTokenList(const GgufTokenizerFields& f, const std::vector<std::string>& names) {
  OrderedJson list = OrderedJson::array();
  for (size_t id = 0; id < names.size(); ++id) {
    const bool special = IsSpecialId(f, id);
    if (!special && TypeOf(f, id) != kUserDefined) continue;
    list.push_back({{"id", id},
                    {"content", names[id]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", special}});
  }
  return list;
}

OrderedJson TemplateOf(const GgufTokenizerFields& f, const std::vector<std::string>& names) {
  const bool bos = f.add_bos && f.bos_id >= 0, eos = f.add_eos && f.eos_id >= 0;
  if (!bos && !eos) return nullptr;
  OrderedJson single = OrderedJson::array(), pair = OrderedJson::array();
  OrderedJson tokens = OrderedJson::object();
  const auto special = [&](int64_t id, int type_id) {
    const std::string& name = names[id];
    tokens[name] = {
        {"id", name}, {"ids", OrderedJson::array({id})}, {"tokens", OrderedJson::array({name})}};
    return OrderedJson{{"SpecialToken", {{"id", name}, {"type_id", type_id}}}};
  };
  const auto sequence = [](const char* id, int type_id) {
    return OrderedJson{{"Sequence", {{"id", id}, {"type_id", type_id}}}};
  };
  if (bos) single.push_back(special(f.bos_id, 0));
  single.push_back(sequence("A", 0));
  if (eos) single.push_back(special(f.eos_id, 0));
  pair = single;
  if (bos) pair.push_back(special(f.bos_id, 1));
  pair.push_back(sequence("B", 1));
  if (eos) pair.push_back(special(f.eos_id, 1));
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

}  // namespace

std::string TokenizerJsonFromGguf(const GgufTokenizerFields& f) {
  Check(f);
  const bool sentence_piece = f.model == "llama";
  if (!sentence_piece && f.model != "gpt2") {
    Fail(ErrorCode::kUnsupported,
         "GGUF: tokenizer.ggml.model '{}' is not supported (only gpt2 and llama are)", f.model);
  }
  const PreKind kind = sentence_piece ? PreKind{} : KindOf(f.pre);
  const std::vector<std::string> names = UniqueTokens(f);
  // Json, not OrderedJson: an ordered object searches its keys one by one.
  Json vocab = Json::object();
  Ids ids;
  for (size_t id = 0; id < names.size(); ++id) {
    vocab[names[id]] = id;
    ids.emplace(names[id], static_cast<uint32_t>(id));
  }
  OrderedJson json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = AddedTokenList(f, names);
  sentence_piece ? AddSentencePiece(f.add_space_prefix, &json) : AddByteLevel(kind, &json);
  json["post_processor"] = TemplateOf(f, names);
  OrderedJson merges = sentence_piece ? MergesFromScores(f, ids) : MergesOfFile(f, ids);
  const OrderedJson unk =
      sentence_piece && f.unk_id >= 0 ? OrderedJson(names[f.unk_id]) : OrderedJson();
  const std::string model = fmt::format(
      R"({{"type":"BPE","dropout":null,"unk_token":{},"continuing_subword_prefix":null,)"
      R"("end_of_word_suffix":null,"fuse_unk":{},"byte_fallback":{},"ignore_merges":{},)"
      R"("vocab":{},"merges":{}}})",
      unk.dump(), sentence_piece, sentence_piece, kind.ignore_merges, vocab.dump(), merges.dump());
  std::string text = json.dump();
  text.pop_back();  // the closing brace: the model follows
  return text + ",\"model\":" + model + "}";
}

std::string TokenizerConfigJsonFromGguf(const GgufTokenizerFields& f) {
  Check(f);
  const std::vector<std::string> names = UniqueTokens(f);
  OrderedJson json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                      {"add_bos_token", f.add_bos},
                      {"add_eos_token", f.add_eos},
                      {"clean_up_tokenization_spaces", false}};
  const std::pair<const char*, int64_t> specials[] = {{"bos_token", f.bos_id},
                                                      {"eos_token", f.eos_id},
                                                      {"unk_token", f.unk_id},
                                                      {"pad_token", f.pad_id}};
  for (const auto& [key, id] : specials) {
    if (id >= 0) json[key] = names[id];
  }
  if (!f.chat_template.empty()) json["chat_template"] = ToValidUtf8(f.chat_template);
  return json.dump(2) + "\n";
}

}  // namespace lorikeet
