#include "tokenizer/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "core/error.h"
#include "core/json_fields.h"
#include "tokenizer/gguf_pre_kind.h"

namespace lorikeet {
namespace {

constexpr char kMark[] = "\xE2\x96\x81";

// A member of an object; null where there is none. Not a copy: a vocabulary is large.
const Json& Member(const Json& json, const char* key) {
  static const Json null;
  if (!json.is_object()) return null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

// The steps of "normalizer" or "pre_tokenizer", with those of sequences in their place.
std::vector<Json> StepsOf(const Json& part, const char* members) {
  if (!part.is_object()) return {};
  if (part.value("type", "") != "Sequence") return {part};
  std::vector<Json> steps;
  for (const Json& member : part.value(members, Json::array())) {
    for (Json& step : StepsOf(member, members)) steps.push_back(std::move(step));
  }
  return steps;
}

// The regular expression of a Split step that leaves every match a piece; "" for others.
std::string RegexOf(const Json& step) {
  const std::string behavior = step.value("behavior", "");
  const bool invert = step.value("invert", false);
  const bool isolates = (behavior == "Isolated" && !invert) || (behavior == "Removed" && invert);
  const Json pattern = step.value("pattern", Json::object());
  return isolates ? pattern.value("Regex", "") : "";
}

// The pre-tokenization of a byte-level tokenizer.json; empty if it has a step that none has.
std::optional<PreKind> ByteLevelKind(const Json& json) {
  PreKind kind;
  for (const Json& step : StepsOf(Member(json, "normalizer"), "normalizers")) {
    if (step.value("type", "") != "NFC") return std::nullopt;
    kind.nfc = true;
  }
  for (const Json& step : StepsOf(Member(json, "pre_tokenizer"), "pretokenizers")) {
    const std::string type = step.value("type", "");
    if (type == "Split" && !kind.single_digits && !RegexOf(step).empty()) {
      kind.splits.push_back(RegexOf(step));
    } else if (type == "Digits" && step.value("individual_digits", false)) {
      kind.single_digits = true;
    } else if (type == "ByteLevel" && !step.value("add_prefix_space", true)) {
      kind.gpt2_pattern = step.value("use_regex", true);
    } else {
      return std::nullopt;
    }
  }
  kind.ignore_merges = Member(Member(json, "model"), "ignore_merges") == true;
  return kind;
}

bool IsByteLevel(const Json& json) {
  const std::vector<Json> steps = StepsOf(Member(json, "pre_tokenizer"), "pretokenizers");
  return std::ranges::any_of(steps,
                             [](const Json& s) { return s.value("type", "") == "ByteLevel"; });
}

std::string PreNameOf(const VocabularySources& sources) {
  const std::optional<PreKind> kind = ByteLevelKind(sources.tokenizer_json);
  const std::string name = kind ? PreNameOf(*kind) : "";
  if (!name.empty()) return name;
  Fail(ErrorCode::kUnsupported,
       "{}: tokenizer.json: llama.cpp has no name (tokenizer.ggml.pre) for its normalizer, "
       "pre_tokenizer and ignore_merges",
       sources.where);
}

// "a b"; a pair of strings in newer files.
std::pair<std::string, std::string> MergeOf(const Json& merge, const std::string& where) {
  if (merge.is_array() && merge.size() >= 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  const std::string text = merge.is_string() ? merge.get<std::string>() : "";
  const size_t space = text.find(' ', 1);
  if (space == text.npos)
    Fail(ErrorCode::kCorruptFile, "{}: tokenizer.json: a merge is no pair", where);
  return {text.substr(0, space), text.substr(space + 1)};
}

const Json& MergesOf(const VocabularySources& sources) {
  return Member(Member(sources.tokenizer_json, "model"), "merges");
}

std::vector<std::string> MergeTexts(const VocabularySources& sources) {
  std::vector<std::string> texts;
  for (const Json& merge : MergesOf(sources)) {
    const auto [left, right] = MergeOf(merge, sources.where);
    if (left.find(' ') != left.npos) {
      Fail(ErrorCode::kUnsupported, "{}: tokenizer.json: the merge of '{}' holds a space",
           sources.where, left);
    }
    texts.push_back(left + " " + right);
  }
  return texts;
}

// llama.cpp joins the neighbours whose union has the best score, so a token's score is minus the
// place of its first merge among those of other tokens.
std::vector<float> ScoresFromMerges(const std::vector<std::string>& tokens,
                                    const VocabularySources& sources) {
  std::unordered_map<std::string, float> scores;
  for (const Json& merge : MergesOf(sources)) {
    const auto [left, right] = MergeOf(merge, sources.where);
    scores.emplace(left + right, -static_cast<float>(scores.size()));
  }
  const float lowest = -static_cast<float>(scores.size());
  std::vector<float> by_id;
  for (const std::string& token : tokens) {
    const auto found = scores.find(token);
    by_id.push_back(found == scores.end() ? lowest : found->second);
  }
  return by_id;
}

// Scores of the pieces, which come first in the vocabulary; empty if they are other pieces.
std::vector<float> ScoresOfPieces(const std::vector<std::string>& tokens,
                                  const VocabularySources& sources) {
  if (!sources.sentencepiece) return {};
  const SentencePieceModel& model = *sources.sentencepiece;
  const size_t count = std::min(model.texts.size(), tokens.size());
  if (!std::equal(model.texts.begin(), model.texts.begin() + static_cast<std::ptrdiff_t>(count),
                  tokens.begin())) {
    return {};
  }
  std::vector<float> scores(model.scores.begin(),
                            model.scores.begin() + static_cast<std::ptrdiff_t>(count));
  scores.resize(tokens.size(), 0);
  return scores;
}

bool IsByteName(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with(">") &&
         token.substr(3, 2).find_first_not_of("0123456789ABCDEFabcdef") == token.npos;
}

// Tokens and types by id; `bytes`: tokens <0x00> to <0xFF> are bytes.
void FillTokens(const Tokenizer& tokenizer, int64_t rows, bool bytes, GgufTokenizerFields* f) {
  for (int64_t id = 0; id < rows; ++id) {
    std::string token = tokenizer.IdToToken(static_cast<int32_t>(id));
    int32_t type = bytes && IsByteName(token) ? kBytePiece : kNormalPiece;
    if (token.empty()) {
      token = fmt::format("[PAD{}]", id);
      type = kUnusedPiece;
    }
    f->tokens.push_back(std::move(token));
    f->token_types.push_back(type);
  }
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.id >= rows) continue;
    f->token_types[static_cast<size_t>(token.id)] =
        token.special ? kControlPiece : kUserDefinedPiece;
  }
}

void SetUnknown(const std::string& token, const Tokenizer& tokenizer, GgufTokenizerFields* f) {
  const auto id = tokenizer.TokenToId(token);
  if (!id || *id >= static_cast<int32_t>(f->tokens.size())) return;
  f->unk_id = *id;
  f->token_types[static_cast<size_t>(*id)] = kUnknownPiece;
}

}  // namespace

GgufTokenizerFields VocabularyFields(const Tokenizer& tokenizer, const VocabularySources& sources,
                                     int64_t rows) {
  const Json& json = sources.tokenizer_json;
  const bool unigram = json.is_null()
                           ? sources.sentencepiece->type == SentencePieceModel::Type::kUnigram
                           : Member(Member(json, "model"), "type") == "Unigram";
  if (unigram) {
    Fail(ErrorCode::kUnsupported, "{}: a unigram tokenizer is not written to GGUF files",
         sources.where);
  }
  GgufTokenizerFields f;
  if (json.is_object() && IsByteLevel(json)) {
    f.model = "gpt2";
    f.pre = PreNameOf(sources);
    FillTokens(tokenizer, rows, /*bytes=*/false, &f);
    f.merges = MergeTexts(sources);
    return f;
  }
  f.model = "llama";
  f.pre = "default";
  FillTokens(tokenizer, rows, /*bytes=*/true, &f);
  const Json& unknown = Member(Member(json, "model"), "unk_token");
  if (unknown.is_string()) SetUnknown(unknown.get<std::string>(), tokenizer, &f);
  if (json.is_null() && sources.sentencepiece->unk_id >= 0) {
    SetUnknown(sources.sentencepiece->texts[sources.sentencepiece->unk_id], tokenizer, &f);
  }
  f.scores = ScoresOfPieces(f.tokens, sources);
  if (f.scores.empty()) f.scores = ScoresFromMerges(f.tokens, sources);
  const std::vector<int32_t> first = tokenizer.Encode("a");
  f.add_space_prefix = !first.empty() && tokenizer.IdToToken(first[0]).starts_with(kMark);
  return f;
}

}  // namespace lorikeet
