// A `FlatMap` is an open-addressing map from 64-bit keys to 64-bit values: two words per slot, no
// deletion. Merges, vocabularies and tries of a tokenizer are built once and read millions of
// times.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lorikeet {

inline uint64_t MixBits(uint64_t x) {
  x ^= x >> 32;
  x *= 0x9E3779B97F4A7C15u;
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9u;
  return x ^ (x >> 32);
}

class FlatMap {
 public:
  static constexpr uint64_t kNone = ~uint64_t{0};  // not allowed as a value

  // Value of `key`, or kNone.
  uint64_t Find(uint64_t key) const {
    if (slots_.empty()) return kNone;
    for (size_t i = MixBits(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].value == kNone) return kNone;
      if (slots_[i].key == key) return slots_[i].value;
    }
  }

  // Inserts or overwrites.
  void Set(uint64_t key, uint64_t value) {
    if ((size_ + 1) * 2 > slots_.size()) Grow();
    Slot& slot = SlotOf(key);
    if (slot.value == kNone) ++size_;
    slot = {key, value};
  }

  template <class F>
  void ForEach(F&& f) const {  // f(key, value), in no particular order
    for (const Slot& slot : slots_) {
      if (slot.value != kNone) f(slot.key, slot.value);
    }
  }

  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t key = 0, value = kNone;
  };

  Slot& SlotOf(uint64_t key) {
    size_t i = MixBits(key) & mask_;
    while (slots_[i].value != kNone && slots_[i].key != key) i = (i + 1) & mask_;
    return slots_[i];
  }

  void Grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.value != kNone) SlotOf(slot.key) = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0, size_ = 0;
};

}  // namespace lorikeet
