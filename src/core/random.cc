#include "core/random.h"

namespace lorikeet {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), a bijection that mixes every bit.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

uint64_t HashString(uint64_t state, std::string_view text) {
  for (const char c : text) state = Mix(state ^ static_cast<uint8_t>(c));
  return Mix(state ^ (text.size() << 8));
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view purpose, std::string_view name,
                           uint64_t step) {
  key0_ = Mix(HashString(HashString(Mix(seed), purpose), name) ^ Mix(step));
  key1_ = Mix(key0_ ^ 0xd1b54a32d192ed03ULL);
}

uint64_t RandomStream::Bits(uint64_t index) const { return Mix(Mix(index ^ key0_) + key1_); }

uint64_t RandomStream::Below(uint64_t index, uint64_t bound) const {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(Bits(index)) * bound) >> 64);
}

}  // namespace lorikeet
