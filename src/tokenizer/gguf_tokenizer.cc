#include "tokenizer/gguf_tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "core/json.h"
#include "core/utf8.h"
#include "tokenizer/gguf_pre_kind.h"
#include "tokenizer/sentencepiece_json.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxTokens = 1 << 24;

void Check(const GgufTokenizerFields& f) {
  if (f.tokens.empty() || f.tokens.size() > kMaxTokens) {
    Fail(ErrorCode::kCorruptFile, "GGUF: tokenizer.ggml.tokens has {} tokens", f.tokens.size());
  }
  if (!f.token_types.empty() && f.token_types.size() != f.tokens.size()) {
    Fail(ErrorCode::kCorruptFile, "GGUF: {} tokens but {} values in tokenizer.ggml.token_type",
         f.tokens.size(), f.token_types.size());
  }
  for (const int64_t id : {f.bos_id, f.eos_id, f.unk_id, f.pad_id, f.eot_id, f.eom_id}) {
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
  return f.token_types.empty() ? static_cast<int32_t>(kNormalPiece) : f.token_types[id];
}

bool IsSpecialId(const GgufTokenizerFields& f, size_t id) {
  const auto same = [id](int64_t special) { return special == static_cast<int64_t>(id); };
  const int32_t type = TypeOf(f, id);
  return type == kControlPiece || type == kUnknownPiece || same(f.bos_id) || same(f.eos_id) ||
         same(f.unk_id);
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

// The file's merges, without those of tokens that are not in the vocabulary (no piece can use
// them).
OrderedJson MergesOfFile(const GgufTokenizerFields& f, const PieceIds& ids) {
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
  (*json)["normalizer"] = kind.nfc ? OrderedJson{{"type", "NFC"}} : OrderedJson();
  (*json)["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  (*json)["decoder"] = ByteLevelStep(true);
}

OrderedJson AddedTokenList(const GgufTokenizerFields& f, const std::vector<std::string>& names) {
  OrderedJson list = OrderedJson::array();
  for (size_t id = 0; id < names.size(); ++id) {
    const bool special = IsSpecialId(f, id);
    if (!special && TypeOf(f, id) != kUserDefinedPiece) continue;
    list.push_back(AddedTokenJson(id, names[id], special));
  }
  return list;
}

OrderedJson TemplateOf(const GgufTokenizerFields& f, const std::vector<std::string>& names) {
  const auto named = [&names](bool add, int64_t id) {
    return add && id >= 0 ? NamedId({names[id], id}) : std::nullopt;
  };
  return TemplateJson(named(f.add_bos, f.bos_id), named(f.add_eos, f.eos_id));
}

PieceIds IdsOf(const std::vector<std::string>& names) {
  PieceIds ids;
  for (size_t id = 0; id < names.size(); ++id) ids.emplace(names[id], static_cast<uint32_t>(id));
  return ids;
}

OrderedJson UnknownOf(const GgufTokenizerFields& f, const std::vector<std::string>& names) {
  return f.unk_id >= 0 ? OrderedJson(names[f.unk_id]) : OrderedJson();
}

// Vocabularies with a score of each token. Sets the steps; returns the model as JSON text.
std::string AddScored(const GgufTokenizerFields& f, const std::vector<std::string>& names,
                      Ties ties, OrderedJson* json) {
  if (f.scores.size() != f.tokens.size()) {
    Fail(ErrorCode::kCorruptFile, "GGUF: {} tokens but {} values in tokenizer.ggml.scores",
         f.tokens.size(), f.scores.size());
  }
  AddSentencePieceSteps({.charsmap = f.precompiled_charsmap,
                         .remove_extra_spaces = f.remove_extra_spaces,
                         .space_prefix = f.add_space_prefix},
                        json);
  if (f.model == "t5") {
    const bool bytes =
        std::find(f.token_types.begin(), f.token_types.end(), kBytePiece) != f.token_types.end();
    return UnigramModelJson(names, f.scores, f.unk_id, bytes);
  }
  const ScoredPieces pieces = {f.tokens, f.scores, f.token_types};
  return BpeModelJson(names,
                      {.unk_token = UnknownOf(f, names), .fuse_unk = true, .byte_fallback = true},
                      MergesFromScores(pieces, IdsOf(names), ties));
}

// Vocabularies with a list of merges.
std::string AddMerged(const GgufTokenizerFields& f, const std::vector<std::string>& names,
                      OrderedJson* json) {
  const PreKind kind = PreKindOf(f.model == "gemma4" ? f.model : f.pre);
  if (kind.sentence_piece) {
    AddSentencePieceSteps({.space_prefix = false}, json);
    (*json)["pre_tokenizer"] = SplitStep(kind.splits.front());
  } else {
    AddByteLevel(kind, json);
  }
  const BpeFlags flags = {.unk_token = kind.sentence_piece ? UnknownOf(f, names) : OrderedJson(),
                          .fuse_unk = kind.sentence_piece,
                          .byte_fallback = kind.sentence_piece,
                          .ignore_merges = kind.ignore_merges};
  return BpeModelJson(names, flags, MergesOfFile(f, IdsOf(names)));
}

}  // namespace

std::string TokenizerJsonFromGguf(const GgufTokenizerFields& f, Ties ties) {
  Check(f);
  const std::vector<std::string> names = UniqueTokens(f);
  OrderedJson json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = AddedTokenList(f, names);
  json["post_processor"] = TemplateOf(f, names);
  std::string model;
  if (f.model == "llama" || f.model == "t5") {
    model = AddScored(f, names, ties, &json);
  } else if (f.model == "gpt2" || f.model == "gemma4") {
    model = AddMerged(f, names, &json);
  } else {
    Fail(ErrorCode::kUnsupported,
         "GGUF: tokenizer.ggml.model '{}' is not supported (gpt2, gemma4, llama and t5 are)",
         f.model);
  }
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
