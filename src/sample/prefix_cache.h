// A `PrefixCache` shares keys and values between sequences that begin alike under the same adapter:
// the turns of a chat, a system prompt, the completions of one prompt. It keeps a tree per adapter
// version whose nodes are pages: a path from the root spells the tokens of a prefix. Tokens are
// compared, never their hashes, and a row's bits do not depend on where its prefix was computed, so
// the cache saves work and changes no result.
//
// A page has one writer, the sequence that allocated it, and its written rows do not change. Others
// share a whole page by reference; one that continues within a page first copies the rows it
// shares.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "model/kv_cache.h"

namespace lorikeet {

struct PrefixNode;

// A sequence's share of the cache; made by PrefixCache::Acquire.
struct CachedSequence {
  uint64_t adapter_version = 0;
  SequenceState state;
  int64_t length = 0;             // number of tokens whose keys and values are in the pages
  std::vector<PrefixNode*> path;  // nodes of the pages that hold them, without a borrowed last one
  std::vector<int32_t> borrowed;  // tokens used of a last page of another writer; empty: none
};

class PrefixCache {
 public:
  PrefixCache(const ModelConfig& config, DType dtype, int64_t pages);
  ~PrefixCache();

  KvCache& kv() { return kv_; }

  // Shares the longest cached prefix of `prompt`, at most all tokens but the last: that one is
  // always computed, for its logits. Takes no free page.
  CachedSequence Acquire(uint64_t adapter_version, std::span<const int32_t> prompt);
  // Makes room to write positions [length, positions): allocates pages, copies a borrowed one, and
  // evicts prefixes that no sequence uses, the least recently used first. False, and nothing done,
  // when pages do not suffice.
  bool Extend(CachedSequence& sequence, int64_t positions);
  // The forward pass has computed these tokens after the first `length`. Needs Extend before.
  void Append(CachedSequence& sequence, std::span<const int32_t> tokens);
  // Gives back the sequence's references. Its tokens stay cached until their pages are needed.
  void Release(CachedSequence& sequence);

  // Number of tokens that Acquire would share.
  int64_t LongestPrefix(uint64_t adapter_version, std::span<const int32_t> prompt) const;
  // Number of pages that running sequences hold.
  int64_t PagesInUse() const { return kv_.pages() - Available(); }
  // Drops every cached prefix. No sequence may hold pages.
  void Forget();

 private:
  struct Match {
    std::vector<PrefixNode*> path;
    int64_t length = 0;
  };
  Match Find(uint64_t adapter_version, std::span<const int32_t> prompt) const;
  PrefixNode* NodeOf(int32_t page) const { return nodes_[static_cast<size_t>(page)].get(); }
  bool OnlyCached(int32_t page) const;
  int64_t Available() const;
  void Evict(int64_t pages);
  void Erase(PrefixNode* node);
  bool CanTakeOver(int32_t page) const;
  void OwnBorrowed(CachedSequence& sequence, bool take_over);
  void AddNode(CachedSequence& sequence, std::span<const int32_t> tokens);
  void ShareEqualNode(CachedSequence& sequence);

  KvCache kv_;
  std::map<uint64_t, std::unique_ptr<PrefixNode>> roots_;  // by adapter version, without a page
  std::vector<std::unique_ptr<PrefixNode>> nodes_;         // (P) by page, null: not in a tree
  int64_t uses_ = 0;
};

// Number of tokens that `prompt` has in common with `cached` from the first on, its last one not
// counted.
int64_t CommonPrefix(std::span<const int32_t> prompt, std::span<const int32_t> cached);

}  // namespace lorikeet
