// The vocabulary and the text rules of SentencePiece as parts of tokenizer.json: for its own model
// files and for those that GGUF carries.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/json.h"

namespace lorikeet {

enum PieceType : int32_t {
  kNormalPiece = 1,
  kUnknownPiece,
  kControlPiece,
  kUserDefinedPiece,
  kUnusedPiece,
  kBytePiece
};

using PieceIds = std::unordered_map<std::string_view, uint32_t>;

// By id. Without types all pieces are normal.
struct ScoredPieces {
  std::span<const std::string> texts;
  std::span<const float> scores;
  std::span<const int32_t> types;
  PieceType TypeOf(size_t id) const {
    return types.empty() ? kNormalPiece : static_cast<PieceType>(types[id]);
  }
};

// Order of merges with equal scores.
enum class Ties {
  kByLength,  // by the sizes (in characters) of the parts, larger first: as `transformers`
  kLeftmost   // leftmost in the text first: as SentencePiece; ranks are a third value of a merge
};

// SentencePiece joins the neighbours whose union has the best score. As merges: every cut of every
// normal piece into two pieces, by descending score.
OrderedJson MergesFromScores(const ScoredPieces& pieces, const PieceIds& ids, Ties ties);

// The "model" of a unigram model as JSON text.
std::string UnigramModelJson(std::span<const std::string> names, std::span<const float> scores,
                             int64_t unk_id, bool byte_fallback);

// The "model" of byte-pair encoding as JSON text.
struct BpeFlags {
  OrderedJson unk_token = nullptr;  // its name, or null
  bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
};
std::string BpeModelJson(std::span<const std::string> names, const BpeFlags& flags,
                         const OrderedJson& merges);

// Rules for a text before it is cut into pieces.
struct SentencePieceRules {
  std::string charsmap;  // precompiled; empty: characters stay as they are
  bool charsmap_longest_match = false;
  bool remove_extra_spaces = false;
  bool space_prefix = true;
  // How the prefix is put: before each text between special tokens (as older tokenizers do), or by
  // a Metaspace step, which leaves out the prefix of a text that begins with a space.
  enum class Prefix { kEachText, kMetaspaceAlways, kMetaspaceFirst } prefix = Prefix::kEachText;
};
// Sets normalizer, pre_tokenizer and decoder.
void AddSentencePieceSteps(const SentencePieceRules& rules, OrderedJson* json);

using NamedId = std::optional<std::pair<std::string, int64_t>>;
// The post-processor that puts `bos` before a text and `eos` after it; null if it has neither.
OrderedJson TemplateJson(const NamedId& bos, const NamedId& eos);

OrderedJson AddedTokenJson(size_t id, const std::string& content, bool special);

}  // namespace lorikeet
