// The "normalizer" of tokenizer.json: NFC and relatives, Precompiled, Prepend, Replace, Lowercase,
// Strip, and sequences of them.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fields.h"
#include "tokenizer/aligned_text.h"

namespace lorikeet {

// Appends the matches of a pattern in a text, from left to right.
using FindMatches = std::function<void(std::string_view text, std::vector<Span>* matches)>;

// {"String": "..."} or {"Regex": "..."}. Throws Error naming `where`.
FindMatches ParsePattern(const Json& pattern, const std::string& where);

// Maximum nesting of sequences in a file.
inline constexpr int kMaxSequenceDepth = 16;

class Normalizer {
 public:
  Normalizer() = default;
  // `json`: the object, or null for none. Throws Error naming an unsupported part.
  Normalizer(const Json& json, const std::string& where);

  bool empty() const { return steps_.empty(); }
  void Apply(AlignedText* text) const;

 private:
  void Parse(const Json& json, const std::string& where, int depth);
  void ParsePrecompiled(const JsonFields& fields);
  std::vector<std::function<void(AlignedText*)>> steps_;
};

}  // namespace lorikeet
