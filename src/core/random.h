// Counter-based random numbers: a value is a pure function of its key and its index, independent of
// the order of threads, the shape of batches and restarts.
#pragma once
#include <cstdint>
#include <string_view>

namespace lorikeet {

// A stream of random numbers, keyed by its purpose, e.g. {seed, "lora_a", module name, 0}.
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view purpose, std::string_view name = {},
               uint64_t step = 0);
  uint64_t Bits(uint64_t index) const;
  // Uniform in [0, 1), 53 bits.
  double Uniform(uint64_t index) const { return static_cast<double>(Bits(index) >> 11) * 0x1p-53; }
  // Uniform in {0, ..., bound - 1}.
  uint64_t Below(uint64_t index, uint64_t bound) const;

 private:
  uint64_t key0_ = 0, key1_ = 0;
};

}  // namespace lorikeet
