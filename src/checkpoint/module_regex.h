// A `ModuleRegex` is a regular expression of an adapter config, with the meaning of Python's re,
// with which peft matches module names. PCRE2 runs it after a translation of the constructs that
// the two read differently.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace lorikeet {

// PCRE2 pattern (with PCRE2_UTF) that matches what `pattern` matches in Python's re on str (3.11 or
// later). Throws Error(kUnsupported) naming `where` and the construct for patterns that re refuses
// (constructs of PCRE2 such as recursion and verbs among them) and for constructs without a
// translation: conditionals, octal escapes, surrogates, \N{...}, the flags a, L and x.
// Differences: look-behind with alternatives of different lengths is accepted; \B matches the empty
// name, as in Python 3.14 and not before.
struct PythonRegex {
  std::string pcre2;
  // With the flag i both the pattern and the names must be ASCII: the two fold case differently
  // beyond it.
  bool ignores_case = false;
};
PythonRegex TranslatePythonRegex(std::string_view pattern, const std::string& where);

// A compiled pattern with the meaning of Python's re.fullmatch. Thread-safe.
class ModuleRegex {
 public:
  // Throws Error(kUnsupported), one line that names `where` and the pattern.
  ModuleRegex(std::string_view pattern, const std::string& where);

  // Throws Error(kUnsupported) if the match exceeds the limit of backtracking steps: configs are
  // untrusted.
  bool FullMatch(std::string_view name) const;
  // The text of the pattern's last group in a full match; "" without a match. Throws as FullMatch
  // does.
  std::string LastGroup(std::string_view name) const;

 private:
  bool Matches(std::string_view name, void* data) const;  // data: pcre2_match_data

  std::shared_ptr<const void> code_;  // pcre2_code
  std::string pattern_, where_;
  bool ignores_case_ = false;
};

}  // namespace lorikeet
