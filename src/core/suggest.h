// Suggestions for misspelled names.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace lorikeet {

// Number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`
// ("optimal string alignment" distance).
int EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `name`, or "" if none is near enough to be a likely typo. '-' equals
// '_', and upper case equals lower case.
std::string Nearest(std::string_view name, std::span<const std::string> candidates);

// "; did you mean 'x'?", or "": a suffix of an error message.
std::string DidYouMean(std::string_view name, std::span<const std::string> candidates);

}  // namespace lorikeet
