// `Regex` runs the regular expressions of tokenizer.json. They are written for Oniguruma (Ruby
// syntax); PCRE2 runs them after a translation of the constructs that the two read differently.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace lorikeet {

// PCRE2 pattern (with UTF, UCP and MULTILINE) that matches what `pattern` matches in Oniguruma.
// Throws Error(kUnsupported) naming `where` for constructs that have no such translation.
std::string TranslateOniguruma(std::string_view pattern, const std::string& where);
// A pattern that matches `text` itself.
std::string EscapeForRegex(std::string_view text);

class Regex {
 public:
  // Throws Error naming `where` when the pattern cannot be compiled.
  Regex(std::string_view oniguruma_pattern, const std::string& where);

  // Appends all non-overlapping matches in `text` (valid UTF-8), from left to right, including
  // empty ones except directly after a match. Throws Error when a match exceeds the limit of
  // backtracking steps. Thread-safe.
  void FindAll(std::string_view text, std::vector<Span>* matches) const;

 private:
  std::shared_ptr<const void> code_;  // pcre2_code, compiled by the JIT where there is one
  std::string pattern_, where_;
};

}  // namespace lorikeet
