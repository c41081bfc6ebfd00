// `Bpe` is byte-pair encoding: pieces of text to ids by ranked merges.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "tokenizer/flat_map.h"
#include "tokenizer/token_run.h"

namespace lorikeet {

class Bpe {
 public:
  // `model`: the "model" object of tokenizer.json. With `byte_level` its tokens are spelled in the
  // byte alphabet of GPT-2 and pieces are raw bytes; else pieces are valid UTF-8. A merge may have
  // its rank as a third value (merges of equal rank: leftmost first); else it is its position.
  Bpe(const Json& model, bool byte_level, const std::string& where);

  // Appends the tokens of one piece (at most 4 GiB). Thread-safe; near-linear in its size.
  // Throws Error for a character without a token when the file names an unknown token that does not
  // exist.
  void Encode(std::string_view piece, TokenRun* out) const;

  // `token`: as spelled in the file.
  std::optional<int32_t> TokenToId(std::string_view token) const;
  // "" for ids without a token.
  const std::string& IdToToken(int32_t id) const;
  bool HasId(int32_t id) const;
  int32_t token_count() const { return static_cast<int32_t>(ids_.size()); }
  int32_t id_limit() const { return static_cast<int32_t>(tokens_.size()); }  // highest id + 1

 private:
  struct Symbol {
    int32_t id;
    uint32_t length;
  };

  void ReadVocab(const Json& vocab);
  void ReadMerges(const Json& merges);
  uint64_t RankOf(const Json& rank, uint64_t position) const;
  void ReadUnknown(const Json& model);
  void BuildByteTables();
  void FindSafeCuts();
  void EncodeUncached(std::string_view piece, TokenRun* out) const;
  void EncodeWord(std::string_view word, TokenRun* out) const;
  void Symbols(std::string_view word, std::vector<Symbol>* symbols) const;
  void UnknownSymbol(uint32_t length, std::vector<Symbol>* symbols, bool* last_unknown) const;
  uint64_t Merge(int32_t left, int32_t right) const {
    return merges_.Find(uint64_t(uint32_t(left)) << 32 | uint32_t(right));
  }
  void MergeShort(std::vector<Symbol>* symbols) const;
  void MergeLong(std::vector<Symbol>* symbols) const;

  std::string where_;
  bool byte_level_ = false, ignore_merges_ = false, byte_fallback_ = false, fuse_unk_ = false;
  std::unordered_map<std::string_view, int32_t> ids_;    // views into tokens_
  std::vector<std::string> tokens_;                      // by id; empty: no token
  std::unordered_map<std::string, int32_t> byte_words_;  // byte_level: by the raw bytes
  FlatMap merges_;                                       // left << 32 | right -> rank << 32 | id
  FlatMap chars_;                                        // code point -> id
  std::vector<int32_t> byte_ids_;  // ids of the 256 bytes (byte alphabet or <0xNN>), -1: none
  std::optional<std::string> unk_token_;
  int32_t unk_id_ = -1;
  bool safe_cuts_ = false;               // a piece may be cut before U+2581 ...
  std::vector<uint32_t> unsafe_before_;  // ... unless one of these characters (sorted) stands there
  uint64_t serial_ = 0;                  // names this model in the threads' word caches
};

// The byte alphabet of GPT-2: a printable code point for each byte.
const uint32_t* ByteAlphabet();
// The bytes that `token` spells in that alphabet; nothing if it has other characters.
std::optional<std::string> BytesOfToken(std::string_view token);

}  // namespace lorikeet
