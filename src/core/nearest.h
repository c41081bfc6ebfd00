// The name a person most likely meant.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace lorikeet {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`
// (the "optimal string alignment" distance).
int EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `name`, or "" if none is near enough to be a likely slip. '-' and '_'
// and upper and lower case count as equal.
std::string Nearest(std::string_view name, std::span<const std::string> candidates);

// "; did you mean 'x'?" or "" : ready to append to an error.
std::string DidYouMean(std::string_view name, std::span<const std::string> candidates);

}  // namespace lorikeet
