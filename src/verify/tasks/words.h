// Common English words: what tasks with words are made of.
#pragma once
#include <span>
#include <string_view>

namespace lorikeet {

// All different, of 3 to 10 lower-case letters, without an order of meaning. Tasks draw from it by
// position: a change makes other problems of the same seed.
std::span<const std::string_view> CommonWords();

}  // namespace lorikeet
