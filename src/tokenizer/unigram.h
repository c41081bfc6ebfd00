// `Unigram` is the unigram model of SentencePiece: of all ways to cut a piece of text into tokens,
// the one whose scores (log-probabilities) have the highest sum.
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
#include "tokenizer/unicode.h"

namespace lorikeet {

class Unigram {
 public:
  // `model`: the "model" object of tokenizer.json. `where` names the file in errors.
  Unigram(const Json& model, const std::string& where);

  // Appends the tokens of one piece (valid UTF-8, at most 4 GiB): linear in its size. Thread-safe.
  // Throws Error for a character without a token when the model has no unknown token.
  void Encode(std::string_view piece, TokenRun* out) const;

  std::optional<int32_t> TokenToId(std::string_view token) const;
  const std::string& IdToToken(int32_t id) const;  // "" for ids without a token
  int32_t token_count() const { return static_cast<int32_t>(ids_.size()); }
  int32_t id_limit() const { return static_cast<int32_t>(tokens_.size()); }  // highest id + 1

 private:
  // The best way to cut a text that ends here.
  struct Step {
    double score = 0;
    uint32_t begin = kNowhere;  // where its last token begins
    int32_t id = -1;            // -1: a character without a token
  };
  static constexpr uint32_t kNowhere = ~0u;

  void ReadVocab(const Json& vocab);
  void BuildTrie();
  std::vector<Step> BestSteps(std::string_view piece) const;
  void Emit(std::string_view text, TokenRun* out) const;

  std::string where_;
  std::vector<std::string> tokens_;  // by id
  std::vector<double> scores_;
  std::unordered_map<std::string_view, int32_t> ids_;  // views into tokens_
  FlatMap next_;                                       // node << 8 | byte -> node; 0 is the root
  std::vector<int32_t> ends_;                          // by node: id of the token, or -1
  std::vector<int32_t> byte_ids_;                      // of <0xNN>; empty without byte fallback
  std::optional<int32_t> unk_id_;
  double unk_score_ = 0;
};

}  // namespace lorikeet
