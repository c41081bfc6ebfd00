// The "added_tokens" of tokenizer.json: strings that are one token each, matched in a text before
// any other step splits it.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "tokenizer/flat_map.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/subword_model.h"

namespace lorikeet {

class JsonFields;

// A token that is matched in a text as a whole.
struct AddedToken {
  std::string content;
  int64_t id = -1;  // id that the file gives it; -1: the file gives none
  bool single_word = false, lstrip = false, rstrip = false, normalized = true, special = false;
  // Whether the flags of a token that another file names replace those in tokenizer.json.
  bool replaces_flags = false;
  bool must_exist = false;  // left out if it is in no other file: it may not take a new id
  std::string where{};      // file and key that name it, for errors

  // Reads content and flags of a token's object; special_by_default: where it does not say.
  void Read(const JsonFields& fields, bool special_by_default);
  std::string Flags() const;  // "special lstrip ...": those that are set
};

class AddedTokens {
 public:
  AddedTokens() = default;
  // `list`: the array, or null for none; `more`: tokens that other files name, added after it. A
  // token has its id in the vocabulary, else the next free id. Throws Error where a file gives
  // another id.
  AddedTokens(const Json& list, std::span<const AddedToken> more, const SubwordModel& model,
              const Normalizer& normalizer, const std::string& where);

  // Splits `text` into added tokens (id >= 0) and the text between them (id -1), from left to
  // right. `normalized`: matches the tokens that are defined on normalized text, else the others.
  using Found = std::function<void(Span span, int32_t id)>;
  void Split(std::string_view text, bool normalized, const Found& found) const;

  std::optional<int32_t> TokenToId(std::string_view token) const;
  const std::string* IdToToken(int32_t id) const;  // as in the file; null: not an added token
  // The text that a token matches: its normalized form if it is defined on normalized text.
  const std::string* TextOf(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  int32_t id_limit() const { return id_limit_; }  // highest id + 1

 private:
  // Finds the longest token at a position.
  struct Trie {
    FlatMap next;              // node << 8 | byte -> node; node 0 is the root
    std::vector<int32_t> end;  // by node: index of the token that ends there, or -1
    bool first[256] = {};      // bytes that begin a token
    void Insert(std::string_view token, int32_t index);
    // Index of the longest token at text[at] and its length; -1 if none.
    int32_t Longest(std::string_view text, size_t at, size_t* length) const;
  };
  static bool StandsAlone(std::string_view text, size_t begin, size_t end);
  void Read(const Json& list, const SubwordModel& model, const std::string& where);
  void Add(AddedToken token, const SubwordModel& model);

  std::vector<AddedToken> tokens_;              // by index; `id` is final
  std::vector<std::string> texts_;              // by index: what a token matches
  std::unordered_map<int32_t, int32_t> by_id_;  // -> index
  std::unordered_map<std::string, int32_t> by_content_;
  Trie raw_, normalized_;
  int32_t id_limit_ = 0;
  int32_t next_id_ = 0;
};

}  // namespace lorikeet
