// `RoundUp`: sizes as multiples of a unit.
#pragma once

namespace lorikeet {

// The smallest multiple of `unit` > 0 that is at least n >= 0.
template <class Integer>
constexpr Integer RoundUp(Integer n, Integer unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace lorikeet
