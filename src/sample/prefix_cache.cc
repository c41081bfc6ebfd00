#include "sample/prefix_cache.h"

#include <algorithm>
#include <cstring>

namespace lorikeet {
namespace {

// The first `rows` rows of every head of a slot, in t (slots, K, capacity, Dh).
void CopyHeads(const Tensor& t, int64_t from, int64_t to, int64_t rows) {
  const int64_t K = t.shape[1], head = t.shape[2] * t.shape[3];
  auto* base = static_cast<std::byte*>(t.data);
  for (int64_t k = 0; k < K; ++k) {
    std::memcpy(base + DTypeBytes(t.dtype, (to * K + k) * head),
                base + DTypeBytes(t.dtype, (from * K + k) * head),
                static_cast<size_t>(DTypeBytes(t.dtype, rows * t.shape[3])));
  }
}

}  // namespace

int64_t CommonPrefix(std::span<const int32_t> prompt, std::span<const int32_t> cached) {
  const size_t most = std::min(prompt.size() - 1, cached.size());
  const auto end = prompt.begin() + static_cast<std::ptrdiff_t>(most);
  return std::mismatch(prompt.begin(), end, cached.begin()).first - prompt.begin();
}

PrefixCache::PrefixCache(const ModelConfig& config, DType dtype, int64_t slots, int64_t capacity)
    : layers_(config.num_hidden_layers),
      kv_(config, dtype, slots, capacity),
      slots_(static_cast<size_t>(slots)),
      free_(slots) {}

int PrefixCache::Acquire(std::span<const int32_t> prompt) {
  CHECK(HasFree());
  int best = 0, place = -1;
  int64_t best_rows = -1, place_rows = -1;
  for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
    const Slot& slot = slots_[Index(i)];
    const int64_t rows = CommonPrefix(prompt, slot.tokens);
    if (rows > best_rows) {
      best = i;
      best_rows = rows;
    }
    if (slot.taken) continue;
    const bool longer_unused =
        place < 0 || rows > place_rows ||
        (rows == place_rows && slot.last_use < slots_[Index(place)].last_use);
    if (longer_unused) {
      place = i;
      place_rows = rows;
    }
  }
  if (best_rows > place_rows) CopyRows(best, place, best_rows);
  Slot& slot = slots_[Index(place)];
  slot.tokens.assign(prompt.begin(), prompt.begin() + std::max(best_rows, place_rows));
  slot.taken = true;
  slot.last_use = ++uses_;
  --free_;
  return place;
}

void PrefixCache::Release(int slot) {
  CHECK(slots_[Index(slot)].taken);
  slots_[Index(slot)].taken = false;
  slots_[Index(slot)].last_use = ++uses_;
  ++free_;
}

void PrefixCache::Append(int slot, std::span<const int32_t> tokens) {
  std::vector<int32_t>& known = slots_[Index(slot)].tokens;
  known.insert(known.end(), tokens.begin(), tokens.end());
}

int64_t PrefixCache::LongestPrefix(std::span<const int32_t> prompt) const {
  int64_t longest = 0;
  for (const Slot& slot : slots_) longest = std::max(longest, CommonPrefix(prompt, slot.tokens));
  return longest;
}

void PrefixCache::CopyRows(int from, int to, int64_t rows) {
  for (int64_t l = 0; l < layers_; ++l) {
    CopyHeads(kv_.k(l), from, to, rows);
    CopyHeads(kv_.v(l), from, to, rows);
  }
}

void PrefixCache::Forget() {
  for (Slot& slot : slots_) slot = Slot();
  free_ = static_cast<int64_t>(slots_.size());
}

void PrefixCache::Clear() {
  Forget();
  for (int64_t l = 0; l < layers_; ++l) {
    for (const Tensor& t : {kv_.k(l), kv_.v(l)}) {
      std::memset(t.data, 0, static_cast<size_t>(t.bytes()));
    }
  }
}

}  // namespace lorikeet
