#include "grammar/regex_syntax.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/text.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr uint32_t kMaxCodePoint = 0x10FFFF;
constexpr int kMaxGroupDepth = 50;
constexpr size_t kMaxRepeats = 10'000;

void Normalize(CodePoints* set) {
  std::sort(set->begin(), set->end());
  CodePoints merged;
  for (const auto& [first, last] : *set) {
    if (!merged.empty() && first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, last);
    } else {
      merged.emplace_back(first, last);
    }
  }
  *set = std::move(merged);
}

CodePoints Complement(CodePoints set) {
  Normalize(&set);
  CodePoints out;
  uint32_t next = 0;
  for (const auto& [first, last] : set) {
    if (first > next) out.emplace_back(next, first - 1);
    next = last + 1;
  }
  if (next <= kMaxCodePoint) out.emplace_back(next, kMaxCodePoint);
  return out;
}

const CodePoints kDigits = {{'0', '9'}};
const CodePoints kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// WhiteSpace and LineTerminator of ECMA-262.
const CodePoints kSpaces = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                            {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                            {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodePoints kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class Parser {
 public:
  Parser(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {
    if (!IsValidUtf8(pattern)) Invalid("it is not valid UTF-8");
    for (size_t i = 0, length = 0; i < pattern.size(); i += length) {
      text_.push_back(static_cast<char32_t>(DecodeUtf8(pattern, i, &length)));
    }
  }

  RegexNode Parse() {
    RegexNode node = Alternatives(0);
    if (!AtEnd()) Invalid("unmatched ')'");
    return node;
  }

 private:
  [[noreturn]] void Invalid(std::string_view what) const {
    Fail(ErrorCode::kInvalidArgument, "{}: the pattern {} is not a regular expression: {}", where_,
         Quoted(pattern_), what);
  }
  [[noreturn]] void Unsupported(std::string_view what) const {
    Fail(ErrorCode::kUnsupported, "{}: {} in the pattern {} is not supported", where_, what,
         Quoted(pattern_));
  }

  bool AtEnd() const { return at_ == text_.size(); }
  char32_t Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : U'\0';
  }
  bool Take(char32_t c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool TakeAll(std::u32string_view s) {
    if (text_.compare(at_, s.size(), s) != 0) return false;
    at_ += s.size();
    return true;
  }

  RegexNode Alternatives(int depth) {
    if (depth > kMaxGroupDepth) Unsupported("a group nested so deeply");
    RegexNode choice{.kind = RegexNode::Kind::kChoice};
    do {
      RegexNode sequence{.kind = RegexNode::Kind::kSequence};
      while (!AtEnd() && Peek() != '|' && Peek() != ')') {
        sequence.parts.push_back(Term(depth));
      }
      choice.parts.push_back(std::move(sequence));
    } while (Take('|'));
    return choice;
  }

  RegexNode Term(int depth) {
    if (Take('^')) return {.kind = RegexNode::Kind::kBegin};
    if (Take('$')) return {.kind = RegexNode::Kind::kEnd};
    RegexNode atom = Atom(depth);
    size_t min = 1, max = 1;
    if (!Quantifier(&min, &max)) return atom;
    Take('?');  // a lazy quantifier matches the same texts
    RegexNode repeat{.kind = RegexNode::Kind::kRepeat, .min = min, .max = max};
    repeat.parts.push_back(std::move(atom));
    return repeat;
  }

  bool Quantifier(size_t* min, size_t* max) {
    if (Take('*')) return *min = 0, *max = SIZE_MAX, true;
    if (Take('+')) return *min = 1, *max = SIZE_MAX, true;
    if (Take('?')) return *min = 0, *max = 1, true;
    if (!Take('{')) return false;
    *max = *min = Count();
    if (Take(',')) *max = Peek() == '}' ? SIZE_MAX : Count();
    if (!Take('}')) Invalid("'{' is not followed by N}, N,} or N,M}");
    if (*min > *max) Invalid("a quantifier's minimum is above its maximum");
    return true;
  }

  size_t Count() {
    if (AtEnd() || Peek() < '0' || Peek() > '9') Invalid("'{' without a number");
    size_t count = 0;
    while (!AtEnd() && Peek() >= '0' && Peek() <= '9') {
      count = count * 10 + (text_[at_++] - '0');
      if (count > kMaxRepeats) Unsupported("a quantifier above 10000");
    }
    return count;
  }

  static RegexNode SetNode(CodePoints set) {
    Normalize(&set);
    return {.kind = RegexNode::Kind::kSet, .set = std::move(set)};
  }

  RegexNode Atom(int depth) {
    if (Take('(')) return Group(depth);
    if (Take('[')) return Class();
    if (Take('.')) return SetNode(Complement(kLineEnds));
    if (Take('\\')) {
      if (Take('b') || Take('B')) Unsupported("the word boundary \\b");
      if (Peek() >= '1' && Peek() <= '9') Unsupported("a back-reference");
      if (Peek() == 'k') Unsupported("a back-reference");
      return SetNode(Escape());
    }
    const char32_t c = text_[at_++];
    if (std::u32string_view(U"*+?{}]").find(c) != std::u32string_view::npos) {
      Invalid("a quantifier or bracket stands alone; write a backslash before it");
    }
    return SetNode({{c, c}});
  }

  RegexNode Group(int depth) {
    if (TakeAll(U"?=") || TakeAll(U"?!") || TakeAll(U"?<=") || TakeAll(U"?<!")) {
      Unsupported("look-around");
    }
    if (TakeAll(U"?<")) {
      while (!AtEnd() && Peek() != '>') ++at_;
      if (!Take('>')) Invalid("a group's name does not end");
    } else if (Peek() == '?' && !TakeAll(U"?:")) {
      Invalid("'(?' is not followed by ':' or '<'");
    }
    RegexNode node = Alternatives(depth + 1);
    if (!Take(')')) Invalid("a '(' is not closed");
    return node;
  }

  RegexNode Class() {
    const bool negated = Take('^');
    CodePoints set;
    while (!Take(']')) {
      if (AtEnd()) Invalid("a '[' is not closed");
      const CodePoints first = ClassAtom();
      if (Peek() != '-' || Peek(1) == ']' || at_ + 1 >= text_.size()) {
        set.insert(set.end(), first.begin(), first.end());
        continue;
      }
      ++at_;
      const CodePoints last = ClassAtom();
      if (!IsOne(first) || !IsOne(last)) Invalid("a range in [] needs a character at both ends");
      if (first[0].first > last[0].first) Invalid("a range in [] is not in order");
      set.emplace_back(first[0].first, last[0].first);
    }
    return SetNode(negated ? Complement(set) : set);
  }

  static bool IsOne(const CodePoints& set) {
    return set.size() == 1 && set[0].first == set[0].second;
  }

  CodePoints ClassAtom() {
    if (AtEnd()) Invalid("a '[' is not closed");
    if (Take('\\')) {
      if (Take('b')) return {{'\b', '\b'}};
      if (Take('-')) return {{'-', '-'}};
      return Escape();
    }
    const char32_t c = text_[at_++];
    return {{c, c}};
  }

  // After a backslash.
  CodePoints Escape() {
    if (AtEnd()) Invalid("it ends with a backslash");
    const char32_t c = text_[at_++];
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return Complement(kDigits);
      case 'w':
        return kWord;
      case 'W':
        return Complement(kWord);
      case 's':
        return kSpaces;
      case 'S':
        return Complement(kSpaces);
      case 'p':
      case 'P':
        Unsupported("the property class \\p");
      default:
        break;
    }
    const uint32_t code = EscapedCharacter(c);
    return {{code, code}};
  }

  uint32_t EscapedCharacter(char32_t c) {
    constexpr std::u32string_view kNames = U"tnvfr", kValues = U"\t\n\v\f\r";
    const size_t named = kNames.find(c);
    if (named != kNames.npos) return kValues[named];
    if (c == 'x') return Hex(2);
    if (c == 'u') return Unicode();
    if (c == '0' && !(Peek() >= '0' && Peek() <= '9')) return 0;
    if (c == 'c' && ((Peek() | 32) >= 'a' && (Peek() | 32) <= 'z')) return text_[at_++] & 31;
    if (std::u32string_view(U"^$\\.*+?()[]{}|/").find(c) == std::u32string_view::npos &&
        c != '-') {  // \- outside of classes is an error with the flag u, but is written often
      Invalid("an unknown escape");
    }
    return c;
  }

  uint32_t Hex(size_t digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < digits; ++i) {
      const std::optional<uint32_t> digit = HexDigit();
      if (!digit) Invalid("an escape needs more hexadecimal digits");
      value = value * 16 + *digit;
    }
    return value;
  }
  std::optional<uint32_t> HexDigit() {
    const char32_t c = Peek(), lower = c | 32;
    if (c >= '0' && c <= '9') return ++at_, c - '0';
    if (lower >= 'a' && lower <= 'f') return ++at_, lower - 'a' + 10;
    return std::nullopt;
  }

  uint32_t Unicode() {
    if (!Take('{')) {
      const uint32_t code = Hex(4);
      if (code < 0xD800 || code > 0xDFFF) return code;
      if (code > 0xDBFF || !TakeAll(U"\\u")) Unsupported("a lone surrogate");
      const uint32_t low = Hex(4);
      if (low < 0xDC00 || low > 0xDFFF) Unsupported("a lone surrogate");
      return 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
    }
    uint32_t code = 0;
    do {
      const std::optional<uint32_t> digit = HexDigit();
      if (!digit) Invalid("\\u{ needs hexadecimal digits");
      code = code * 16 + *digit;
      if (code > kMaxCodePoint) Invalid("a code point above 10FFFF");
    } while (!Take('}'));
    if (code >= 0xD800 && code <= 0xDFFF) Unsupported("a lone surrogate");
    return code;
  }

  std::string_view pattern_;
  const std::string& where_;
  std::u32string text_;
  size_t at_ = 0;
};

}  // namespace

RegexNode ParseRegex(std::string_view pattern, const std::string& where) {
  return Parser(pattern, where).Parse();
}

}  // namespace lorikeet
