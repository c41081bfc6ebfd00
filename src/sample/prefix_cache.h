// Cache slots that remember which tokens their keys and values belong to, so that a prompt is
// computed only from where it leaves what some slot has already seen: the turns of a chat, a system
// prompt, the samples of one group. A row's bits do not depend on where its prefix was computed,
// so this saves work and changes nothing.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/kv_cache.h"

namespace lorikeet {

class PrefixCache {
 public:
  PrefixCache(const ModelConfig& config, DType dtype, int64_t slots, int64_t capacity);

  KvCache& kv() { return kv_; }
  bool HasFree() const { return free_ > 0; }

  // Takes the free slot that makes the most of what is cached for `prompt`, copying from another
  // slot where that one has more. Tokens(slot) is then a prefix of the prompt, shorter than it: the
  // last token is always computed, for its logits. Needs a free slot.
  int Acquire(std::span<const int32_t> prompt);
  // The slot may be taken again; its tokens stay until then.
  void Release(int slot);

  // Those whose keys and values the slot holds, from position 0.
  std::span<const int32_t> Tokens(int slot) const { return slots_[Index(slot)].tokens; }
  // The forward pass has just computed these after Tokens(slot).
  void Append(int slot, std::span<const int32_t> tokens);
  // The most that any slot could give to `prompt` now.
  int64_t LongestPrefix(std::span<const int32_t> prompt) const;

  // After the weights have moved: nothing that is cached counts any more. All slots become free.
  void Forget();
  // As Forget, and overwrites the memory: a NaN would outlive its owner behind a later key.
  void Clear();

 private:
  struct Slot {
    std::vector<int32_t> tokens;
    bool taken = false;
    int64_t last_use = 0;
  };
  static size_t Index(int slot) { return static_cast<size_t>(slot); }
  void CopyRows(int from, int to, int64_t rows);

  int64_t layers_;
  KvCache kv_;
  std::vector<Slot> slots_;
  int64_t free_ = 0, uses_ = 0;
};

// Tokens that `prompt` has in common with `cached` from the first on, its last one not counted.
int64_t CommonPrefix(std::span<const int32_t> prompt, std::span<const int32_t> cached);

}  // namespace lorikeet
