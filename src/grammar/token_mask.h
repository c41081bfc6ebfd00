// A `TokenMask` tells which tokens of a vocabulary may come next in a text that follows a grammar.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/matcher.h"
#include "grammar/token_trie.h"
#include "tokenizer/tokenizer.h"

namespace lorikeet {

// Bytes of each token, by id, for a TokenTrie: "" for ids without a token and for special tokens.
std::vector<std::string> TokenBytes(const Tokenizer& tokenizer);

// Made once for a tokenizer; methods are thread-safe.
class TokenMask {
 public:
  // tokens: as TokenTrie has them. end_tokens: ids that end a text; they are allowed where the text
  // may end and nowhere else.
  TokenMask(std::vector<std::string> tokens, std::vector<int32_t> end_tokens);
  TokenMask(const Tokenizer& tokenizer, std::vector<int32_t> end_tokens)
      : TokenMask(TokenBytes(tokenizer), std::move(end_tokens)) {}

  // Sets *mask to (vocabulary size + 63) / 64 words: bit id % 64 of word id / 64 is 1 for the
  // tokens that `matcher` can advance by, and for the end tokens if it can end. Returns whether any
  // is 1: if none is, no token has the bytes that the grammar asks for.
  bool AllowedTokens(const GrammarMatcher& matcher, std::vector<uint64_t>* mask) const;

  // Bytes of token `id`, by which a matcher advances; "" for special and unknown ones.
  const std::string& Bytes(int32_t id) const;
  bool IsEnd(int32_t id) const;
  int32_t vocab_size() const { return static_cast<int32_t>(tokens_.size()); }
  // Limits the memory of what is remembered between calls, in bytes; 0 to remember nothing.
  void SetCacheLimit(size_t bytes);
  size_t cached_bytes() const;  // without what all grammars share

 private:
  // Tokens that a grammar's node can read by its own edges alone.
  struct Local {
    std::vector<uint64_t> bits;  // tokens read to their end, as a mask (empty if `ids` lists them)
    std::vector<int32_t> ids;
    // Nodes of the trie where the rule can be left or another one be called, with the grammar's
    // node.
    struct Exit {
      uint32_t trie;
      GrammarNode node;
    };
    std::vector<Exit> exits;
    size_t bytes() const;
  };
  using LocalPointer = std::shared_ptr<const Local>;

  LocalPointer LocalOf(const Grammar& grammar, GrammarNode node) const;
  Local MakeLocal(const Grammar& grammar, GrammarNode node) const;
  void Remember(uint64_t key, bool shared, const LocalPointer& local) const;
  void Walk(uint32_t trie_node, GrammarParser* parser, std::vector<uint64_t>* mask) const;

  std::vector<std::string> tokens_;
  std::vector<int32_t> end_tokens_;
  TokenTrie trie_;
  mutable std::mutex mutex_;
  // By grammar and node, and of the nodes that all grammars share.
  mutable std::unordered_map<uint64_t, LocalPointer> locals_, shared_locals_;
  mutable size_t cached_bytes_ = 0;
  size_t cache_limit_ = size_t{64} << 20;
};

// Sets the logits of all tokens whose bit is 0, or that are beyond the mask, to -infinity.
void MaskLogits(std::span<float> logits, std::span<const uint64_t> mask);

}  // namespace lorikeet
