// `JsonRules` are the rules of JSON values, which every grammar has as its first nodes, and the
// functions that add white space and strings to other rules.
#pragma once
#include "grammar/byte_dfa.h"
#include "grammar/rules.h"

namespace lorikeet {

struct JsonRules {
  // White space after '{', '[' and ',' and before '}' and ']', where it is not left out: a space,
  // or a line feed and at most kMaxIndent spaces or kMaxTabs tabs.
  GrammarNode line_break = kNoNode;
  GrammarNode value = kNoNode, object = kNoNode, array = kNoNode;
  GrammarNode string = kNoNode;   // any string, with any escapes
  GrammarNode number = kNoNode;   // at most kMaxDigits before and after the point, exponent to 99
  GrammarNode integer = kNoNode;  // at most kMaxDigits, no point or exponent, not -0
};
inline constexpr int kMaxIndent = 64, kMaxTabs = 16, kMaxDigits = 20;

// Adds the rules to `rules`, which has none: their nodes are the same in every grammar.
JsonRules AddJsonRules(GrammarRules* rules);

// Adds white space that may be left out between `from` and `to`.
void AddLineBreak(const JsonRules& json, GrammarNode from, GrammarNode to, GrammarRules* rules);
// Adds ':' and a space that may be left out; returns the end.
GrammarNode AddColon(GrammarNode from, GrammarRules* rules);

// Adds the quoted strings of min to max characters (max SIZE_MAX: no limit), with any escapes.
void AddString(GrammarNode from, size_t min, size_t max, GrammarNode to, GrammarRules* rules);
// Adds the quoted strings whose text `texts` accepts in their canonical form: only '"', '\' and
// control characters are escaped, as \b \t \n \f \r or else \u00XX.
void AddString(GrammarNode from, const ByteDfa& texts, GrammarNode to, GrammarRules* rules);
// `text` as a JSON string in canonical form. `text` is valid UTF-8.
std::string CanonicalString(std::string_view text);

}  // namespace lorikeet
