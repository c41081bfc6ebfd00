#include <fmt/format.h>

#include <map>
#include <optional>
#include <vector>

#include "checkpoint/module_regex.h"
#include "core/error.h"
#include "core/text.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxPatternBytes = 1 << 16;
constexpr int64_t kMaxRepetitions = 65535;  // PCRE2's limit

// Members of a class for \d, \w and \s of re on str, and for their complements. They are spelled
// out, since PCRE2's own depend on its version. Python's str.isspace has \x1c to \x1f too.
constexpr char kDigit[] = R"(\p{Nd})", kNoDigit[] = R"(\P{Nd})";
constexpr char kWord[] = R"(\p{L}\p{N}_)";
constexpr char kNoWord[] =
    R"(\p{C}\p{M}\p{S}\p{Z}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po})"
    R"(\x{203f}\x{2040}\x{2054}\x{fe33}\x{fe34}\x{fe4d}-\x{fe4f}\x{ff3f})";  // Pc without _
constexpr char kSpace[] =
    R"(\x{9}-\x{d}\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f})"
    R"(\x{205f}\x{3000})";
constexpr char kNoSpace[] =
    R"(\x{0}-\x{8}\x{e}-\x{1b}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff})"
    R"(\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{d7ff})"
    R"(\x{e000}-\x{10ffff})";

// One pass over the pattern, which appends the translation of one item after the other.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  PythonRegex Run() {
    while (More()) Item();
    if (!open_.empty()) Refuse("a group that does not end");
    if (ignores_case_ && has_non_ascii_) Refuse("the flag i with characters beyond ASCII");
    return {std::move(out_), ignores_case_};
  }

 private:
  // Kind of the item before a quantifier.
  enum class Before { kNothing, kItem, kAssertion, kQuantifier };

  [[noreturn]] void Refuse(std::string_view what) const {
    Fail(ErrorCode::kUnsupported, "{}: regular expression {} has {} (character {})", where_,
         QuotedName(in_), what, std::min(at_, in_.size()) + 1);
  }
  bool More() const { return at_ < in_.size(); }
  bool Next(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  bool Take(std::string_view text) {
    if (!Next(text)) return false;
    at_ += text.size();
    return true;
  }
  uint32_t TakeCodePoint() {
    size_t length = 0;
    const uint32_t code = DecodeUtf8(in_, at_, &length);
    at_ += length;
    return code;
  }
  void AppendCode(uint32_t code) {
    has_non_ascii_ = has_non_ascii_ || code > 0x7F;
    out_ += fmt::format("\\x{{{:x}}}", code);
  }
  void Append(std::string_view text, Before before) {
    out_ += text;
    before_ = before;
  }

  void Item() {
    const char c = in_[at_];
    switch (c) {
      case '\\':
        return Escape();
      case '[':
        return Class();
      case '(':
        return OpenGroup();
      case ')':
        return CloseGroup();
      case '|':
        ++at_;
        return Append("|", Before::kNothing);
      case '^':
      case '$':
        ++at_;
        return Append(std::string(1, c), Before::kAssertion);
      case '.':
        ++at_;
        return Append(".", Before::kItem);
      case '*':
      case '+':
      case '?':
        ++at_;
        return Quantifier(std::string(1, c));
      case '{':
        return Interval();
      default:
        AppendCode(TakeCodePoint());
        before_ = Before::kItem;
    }
  }

  // Appends a quantifier with its lazy ? or possessive +.
  void Quantifier(const std::string& text) {
    if (before_ == Before::kNothing) Refuse("a repetition of nothing");
    if (before_ == Before::kAssertion) Refuse("a repetition of an assertion");
    if (before_ == Before::kQuantifier) Refuse("a repetition of a repetition");
    Append(text, Before::kQuantifier);
    if (Next("?") || Next("+")) out_ += in_[at_++];
  }

  // {m}, {m,}, {,n} and {m,n}; any other { stands for itself.
  void Interval() {
    const size_t begin = at_++;
    const std::string low = Digits();
    const bool comma = Take(",");
    const std::string high = comma ? Digits() : low;
    if (!Take("}") || (low.empty() && !comma)) {
      at_ = begin + 1;
      AppendCode('{');
      before_ = Before::kItem;
      return;
    }
    const int64_t min = low.empty() ? 0 : Repetitions(low);
    const int64_t max = high.empty() ? kMaxRepetitions : Repetitions(high);
    if (max < min) Refuse("a repetition {m,n} with m > n");
    Quantifier(high.empty() ? fmt::format("{{{},}}", min) : fmt::format("{{{},{}}}", min, max));
  }
  std::string Digits() {
    std::string digits;
    while (More() && IsAsciiDigit(in_[at_])) digits += in_[at_++];
    return digits;
  }
  int64_t Repetitions(const std::string& digits) const {
    const size_t first = digits.find_first_not_of('0');
    if (first == std::string::npos) return 0;
    if (digits.size() - first > 5 || std::stoll(digits.substr(first)) > kMaxRepetitions) {
      Refuse("a repetition of more than 65535");
    }
    return std::stoll(digits.substr(first));
  }

  struct Group {
    Before as_item = Before::kItem;  // kind of the group before a quantifier
    size_t number = 0;               // 0: does not capture
  };

  void OpenGroup() {
    ++at_;
    Group group;
    if (!Take("?")) {
      group.number = NewCapture();
      out_ += '(';
    } else if (Take("#")) {
      return Comment();
    } else if (Take("P<")) {
      const std::string name = Name('>');
      group.number = NewCapture();
      if (!names_.emplace(name, group.number).second) Refuse("two groups of one name");
      out_ += '(';
    } else if (Take("P=")) {
      return NamedReference();
    } else if (Next("=") || Next("!") || Next("<=") || Next("<!")) {
      group.as_item = Before::kAssertion;
      out_ += "(?";
      if (Next("<")) out_ += in_[at_++];
      out_ += in_[at_++];
    } else if (Next(":") || Next(">")) {
      out_ += "(?";
      out_ += in_[at_++];
    } else if (!Flags()) {
      return;
    }
    open_.push_back(group);
    before_ = Before::kNothing;
  }
  size_t NewCapture() {
    closed_.push_back(false);
    return closed_.size();
  }
  void CloseGroup() {
    if (open_.empty()) Refuse("an unmatched )");
    const Group group = open_.back();
    open_.pop_back();
    if (group.number > 0) closed_[group.number - 1] = true;
    ++at_;
    Append(")", group.as_item);
  }
  void Comment() {
    const size_t end = in_.find(')', at_);
    if (end == std::string_view::npos) Refuse("a comment that does not end");
    at_ = end + 1;
  }
  std::string Name(char end) {
    std::string name;
    while (More() && (IsAsciiLetter(in_[at_]) || in_[at_] == '_' ||
                      (!name.empty() && IsAsciiDigit(in_[at_])))) {
      name += in_[at_++];
    }
    if (name.empty() || !Take(std::string_view(&end, 1))) Refuse("a malformed group name");
    return name;
  }
  void NamedReference() {
    const std::string name = Name(')');
    const auto found = names_.find(name);
    if (found == names_.end()) Refuse("a reference to a group that does not exist");
    Reference(found->second);
  }
  void Reference(size_t number) {
    if (number > closed_.size()) Refuse("a reference to a group that does not exist");
    if (!closed_[number - 1]) Refuse("a reference to a group within itself");
    Append(fmt::format("\\g{{{}}}", number), Before::kItem);
  }

  // (?flags) at the start of the pattern, or (?flags:, (?flags-flags: and (?-flags: , which open a
  // group (true).
  bool Flags() {
    std::string on = FlagLetters(), off;
    const bool minus = Take("-");
    if (minus) off = FlagLetters();
    const bool global = !minus && !on.empty() && Take(")");
    const bool scoped = !global && (!on.empty() || !off.empty()) && !(minus && off.empty());
    if (!global && !(scoped && Take(":"))) RefuseGroup();
    if (global && out_.size() != flags_size_)
      Refuse("flags for the whole pattern that are not at its start");
    for (const char flag : on) {
      if (off.find(flag) != std::string::npos) Refuse("a flag turned on and off");
    }
    if (off.find('u') != std::string::npos) Refuse("the flag -u");
    ignores_case_ = ignores_case_ || on.find('i') != std::string::npos;
    std::erase(on, 'u');  // the default of patterns on str
    if (global && on.empty()) return false;
    out_ += "(?" + on + (minus ? "-" + off : "") + (global ? ")" : ":");
    if (global) flags_size_ = out_.size();
    return !global;
  }
  [[noreturn]] void RefuseGroup() const {
    if (Next("(")) Refuse("a conditional group, which is not supported");
    Refuse(fmt::format("a group (?{}, which re does not have", in_.substr(at_, 1)));
  }
  std::string FlagLetters() {
    std::string letters;
    while (More() && IsAsciiLetter(in_[at_])) {
      const char flag = in_[at_];
      if (flag == 'a' || flag == 'L' || flag == 'x') {
        Refuse(fmt::format("the flag {}, which is not supported", flag));
      }
      if (std::string_view("imsu").find(flag) == std::string_view::npos) RefuseGroup();
      if (letters.find(flag) == std::string::npos) letters += flag;
      ++at_;
    }
    return letters;
  }

  void Escape() {
    if (at_ + 1 == in_.size()) Refuse("a \\ at its end");
    const char c = in_[at_ + 1];
    if (IsAsciiDigit(c)) return NumberedReference();
    if (c == 'A') return Assertion("\\A");
    if (c == 'Z') return Assertion("\\z");  // PCRE2's \Z accepts a line feed at the end as well
    if (c == 'b')
      return Assertion(fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord));
    if (c == 'B')
      return Assertion(fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", kWord));
    if (const char* members = Shorthand(c)) {
      at_ += 2;
      return Append(fmt::format("[{}]", members), Before::kItem);
    }
    AppendCode(EscapedCode());
    before_ = Before::kItem;
  }
  void Assertion(std::string_view text) {
    at_ += 2;
    Append(text, Before::kAssertion);
  }
  // \1 to \99. Octal: \0, and three octal digits.
  void NumberedReference() {
    const auto octal = [&](size_t i) { return i < in_.size() && in_[i] >= '0' && in_[i] <= '7'; };
    if (in_[at_ + 1] == '0' || (octal(at_ + 1) && octal(at_ + 2) && octal(at_ + 3))) {
      Refuse("an octal escape");
    }
    ++at_;
    auto number = static_cast<size_t>(in_[at_++] - '0');
    if (More() && IsAsciiDigit(in_[at_]))
      number = number * 10 + static_cast<size_t>(in_[at_++] - '0');
    Reference(number);
  }
  static const char* Shorthand(char c) {
    switch (c) {
      case 'd':
        return kDigit;
      case 'D':
        return kNoDigit;
      case 'w':
        return kWord;
      case 'W':
        return kNoWord;
      case 's':
        return kSpace;
      case 'S':
        return kNoSpace;
      default:
        return nullptr;
    }
  }

  // The character that an escape stands for, in a class or not.
  uint32_t EscapedCode() {
    if (++at_ == in_.size()) Refuse("a \\ at its end");
    const char c = in_[at_];
    const std::string_view letters = "afnrtv", codes = "\a\f\n\r\t\v";
    if (const size_t i = letters.find(c); i != std::string_view::npos) {
      ++at_;
      return static_cast<uint32_t>(codes[i]);
    }
    if (c == 'x' || c == 'u' || c == 'U') {
      ++at_;
      return HexCode(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    }
    if (IsAsciiDigit(c)) Refuse("an octal escape");
    if (IsAsciiLetter(c)) Refuse(fmt::format("the escape \\{}, which is not supported", c));
    return TakeCodePoint();
  }
  uint32_t HexCode(size_t digits) {
    uint32_t code = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const std::string_view hex = "0123456789abcdef";
      const char digit = More() && IsAsciiLetter(in_[at_]) ? static_cast<char>(in_[at_] | 0x20)
                         : More()                          ? in_[at_]
                                                           : ' ';
      const size_t value = hex.find(digit);
      if (value == std::string_view::npos) Refuse("an incomplete escape");
      if (code >> 28 != 0) Refuse("an escape beyond Unicode");
      code = code << 4 | static_cast<uint32_t>(value);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) Refuse("an escape beyond Unicode");
    return code;
  }

  // A ] directly after [ or [^ is a member. [ within a class is a member: re does not have classes
  // such as [:alpha:].
  void Class() {
    ++at_;
    out_ += Take("^") ? "[^" : "[";
    for (bool first = true; first || !Next("]"); first = false) {
      const std::optional<uint32_t> low = Member();
      const bool range = Next("-") && !Next("-]") && at_ + 1 < in_.size();
      if (!range) continue;
      ++at_;
      out_ += '-';
      const std::optional<uint32_t> high = Member();
      if (!low || !high || *high < *low) Refuse("a malformed range");
    }
    ++at_;
    Append("]", Before::kItem);
  }
  // Appends one member; its code point, none for a shorthand.
  std::optional<uint32_t> Member() {
    if (!More()) Refuse("a [ that does not end");
    uint32_t code = 0;
    if (!Next("\\")) {
      code = TakeCodePoint();
    } else if (at_ + 1 < in_.size() && Shorthand(in_[at_ + 1]) != nullptr) {
      out_ += Shorthand(in_[at_ + 1]);
      at_ += 2;
      return std::nullopt;
    } else if (Take("\\b")) {
      code = '\b';
    } else {
      code = EscapedCode();
    }
    AppendCode(code);
    return code;
  }

  std::string_view in_;
  const std::string& where_;
  size_t at_ = 0;
  std::string out_;
  size_t flags_size_ = 0;  // bytes of out_ that are flags for the whole pattern
  Before before_ = Before::kNothing;
  std::vector<Group> open_;
  std::vector<bool> closed_;             // per captured group, in order
  std::map<std::string, size_t> names_;  // numbers of named groups
  bool ignores_case_ = false, has_non_ascii_ = false;
};

}  // namespace

PythonRegex TranslatePythonRegex(std::string_view pattern, const std::string& where) {
  if (pattern.size() > kMaxPatternBytes || !IsValidUtf8(pattern)) {
    Fail(ErrorCode::kUnsupported, "{}: regular expression {} is {}", where, QuotedName(pattern),
         pattern.size() > kMaxPatternBytes ? "longer than 65536 bytes" : "not UTF-8");
  }
  return Translator(pattern, where).Run();
}

}  // namespace lorikeet
