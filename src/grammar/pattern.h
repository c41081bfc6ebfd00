// `PatternTexts` compiles the regular expressions of JSON Schema's `pattern` (ECMA-262 with the
// flag u) into automata, and holds those of its `format`.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "grammar/byte_dfa.h"

namespace lorikeet {

// Work that automata may still take, in states looked at: shared by all strings of a schema, so
// that many patterns, each of which is small enough, do not take minutes together.
struct PatternBudget {
  size_t left = 20'000'000;

  // Throws Error(kUnsupported) naming `where` when it is exceeded.
  void Take(size_t work, const std::string& where);
};

// The texts in which `pattern` matches somewhere, as ECMA-262's RegExp.test finds it; ^ and $ stand
// for the text's begin and end. Throws Error(kUnsupported) naming `where` and the construct for
// look-around, back-references, \b, \B and \p, and for automata that grow too large;
// Error(kInvalidArgument) for patterns that are not well-formed.
ByteDfa PatternTexts(std::string_view pattern, const std::string& where, PatternBudget* budget);
ByteDfa PatternTexts(std::string_view pattern, const std::string& where);  // with one of its own

// Pattern of the texts of a `format`: date, time, date-time (RFC 3339 with Z or a numeric offset,
// in capital letters, without leap seconds), uuid, ipv4. Null for other formats.
std::optional<std::string> FormatPattern(std::string_view format);

}  // namespace lorikeet
