// `CeilDiv` and `RoundUp`: sizes in units, and as multiples of a unit.
#pragma once

namespace lorikeet {

// How many units > 0 hold n >= 0.
template <class Integer>
constexpr Integer CeilDiv(Integer n, Integer unit) {
  return (n + unit - 1) / unit;
}

// The smallest multiple of `unit` > 0 that is at least n >= 0.
template <class Integer>
constexpr Integer RoundUp(Integer n, Integer unit) {
  return CeilDiv(n, unit) * unit;
}

}  // namespace lorikeet
