// `ProblemRandom` draws the random choices of one problem: the n-th draw is a function of the
// problem's key and n alone.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "core/random.h"

namespace lorikeet {

class ProblemRandom {
 public:
  // `what`: the task and its difficulty, "add:2".
  ProblemRandom(uint64_t seed, std::string_view what, uint64_t index)
      : stream_(seed, "task", what, index) {}

  // Uniform in [min, max].
  int64_t Between(int64_t min, int64_t max) {
    return min + static_cast<int64_t>(stream_.Below(next_++, static_cast<uint64_t>(max - min) + 1));
  }
  bool Coin() { return Between(0, 1) == 1; }
  template <class T>
  const T& Pick(std::span<const T> from) {
    return from[static_cast<size_t>(Between(0, static_cast<int64_t>(from.size()) - 1))];
  }
  template <class Container>
  const auto& PickFrom(const Container& from) {
    return from[static_cast<size_t>(Between(0, static_cast<int64_t>(std::size(from)) - 1))];
  }
  template <class Container>
  void Shuffle(Container& items) {
    for (size_t i = std::size(items); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<size_t>(Between(0, static_cast<int64_t>(i) - 1))]);
    }
  }

 private:
  RandomStream stream_;
  uint64_t next_ = 0;
};

}  // namespace lorikeet
