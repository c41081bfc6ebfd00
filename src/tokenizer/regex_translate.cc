#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "core/error.h"
#include "core/utf8.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode_newer.h"

namespace lorikeet {
namespace {

// Members of \w and \h in Oniguruma; PCRE2's \w has no marks, its \h is horizontal space.
constexpr char kWordSet[] = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
constexpr char kHexSet[] = "0-9a-fA-F";

// Property names that are not scripts: Oniguruma's spelling -> PCRE2's.
const std::map<std::string, std::string, std::less<>>& PropertyNames() {
  static const std::map<std::string, std::string, std::less<>> names = {
      {"Letter", "L"},
      {"Uppercase_Letter", "Lu"},
      {"Lowercase_Letter", "Ll"},
      {"Titlecase_Letter", "Lt"},
      {"Modifier_Letter", "Lm"},
      {"Other_Letter", "Lo"},
      {"Mark", "M"},
      {"Nonspacing_Mark", "Mn"},
      {"Spacing_Mark", "Mc"},
      {"Number", "N"},
      {"Decimal_Number", "Nd"},
      {"Letter_Number", "Nl"},
      {"Other_Number", "No"},
      {"Punctuation", "P"},
      {"Punct", "P"},
      {"Symbol", "S"},
      {"Math_Symbol", "Sm"},
      {"Currency_Symbol", "Sc"},
      {"Separator", "Z"},
      {"Space_Separator", "Zs"},
      {"Other", "C"},
      {"Control", "Cc"},
      {"Digit", "Nd"},
      {"Alpha", "Alphabetic"},
      {"Alphabetic", "Alphabetic"},
      {"Space", "White_Space"},
      {"White_Space", "White_Space"},
      {"Upper", "Uppercase"},
      {"Uppercase", "Uppercase"},
      {"Lower", "Lowercase"},
      {"Lowercase", "Lowercase"},
      {"Any", "Any"},
      {"Emoji", "Emoji"},
      {"Ideographic", "Ideographic"}};
  return names;
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string Run() {
    while (i_ < in_.size()) {
      if (in_class_) {
        ClassItem();
      } else {
        Item();
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(std::string_view what) const {
    Fail(ErrorCode::kUnsupported, "{}: {} in the regular expression '{}' (at byte {})", where_,
         what, in_, i_);
  }
  bool Next(std::string_view s) const { return in_.substr(i_, s.size()) == s; }
  void CopyBytes(size_t n) {
    out_.append(in_.substr(i_, n));
    i_ += n;
  }

  void Item() {
    switch (in_[i_]) {
      case '\\':
        atom_ = out_.size();
        return Escape();
      case '[':
        atom_ = out_.size();
        return OpenClass();
      case '(':
        groups_.push_back(out_.size());
        return OpenGroup();
      case ')':
        atom_ = groups_.empty() ? out_.size() : groups_.back();
        if (!groups_.empty()) groups_.pop_back();
        return CopyBytes(1);
      case '{':
        return Interval();
      case '*':
      case '+':
      case '?':
        return CopyBytes(1);
      default: {
        atom_ = out_.size();
        size_t length;
        DecodeUtf8(in_, i_, &length);
        CopyBytes(length);
      }
    }
  }

  void OpenClass() {
    in_class_ = true;
    CopyBytes(Next("[^") ? 2 : 1);
    if (Next("]")) CopyBytes(1);  // a first ']' is a member
  }

  void ClassItem() {
    if (Next("[:")) {
      const size_t close = in_.find(":]", i_);
      if (close == in_.npos) Refuse("unclosed [: :]");
      out_ += PosixClass(in_.substr(i_ + 2, close - i_ - 2));
      i_ = close + 2;
      return;
    }
    if (Next("[")) Refuse("a class within a class");
    if (Next("&&")) Refuse("an intersection of classes");
    if (Next("\\")) return Escape();
    in_class_ = !Next("]");
    CopyBytes(1);
  }

  std::string PosixClass(std::string_view name) const {
    if (name == "alpha") return "\\p{Alphabetic}";
    if (name == "alnum") return "\\p{Alphabetic}\\p{Nd}";
    if (name == "digit") return "\\p{Nd}";
    if (name == "space") return "\\p{White_Space}";
    if (name == "upper") return "\\p{Uppercase}";
    if (name == "lower") return "\\p{Lowercase}";
    if (name == "cntrl") return "\\p{Cc}";
    if (name == "xdigit") return kHexSet;
    if (name == "word") return kWordSet;
    if (name == "punct") {
      return "\\p{P}\\p{S}" + NewerMembers('P') + NewerMembers('S');
    }
    Refuse(fmt::format("[:{}:]", name));
  }

  // Accepts the group kinds that both engines read alike; (?m) is "dot matches newline" in
  // Oniguruma.
  void OpenGroup() {
    if (Next("(*")) Refuse("(*");
    if (!Next("(?")) return CopyBytes(1);
    for (std::string_view kind : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
      if (Next(kind)) return CopyBytes(kind.size());
    }
    if (Next("(?<")) return CopyBytes(3);  // a named group
    const size_t end = in_.find_first_not_of("imx-", i_ + 2);
    if (end == i_ + 2 || end == in_.npos || (in_[end] != ':' && in_[end] != ')')) {
      Refuse("an unknown kind of group");
    }
    for (; i_ < end; ++i_) out_.push_back(in_[i_] == 'm' ? 's' : in_[i_]);
  }

  // {n,m}+ is a repeated interval in Oniguruma but a possessive one in PCRE2.
  void Interval() {
    size_t end = in_.find_first_not_of("0123456789,", i_ + 1);
    const bool interval = end != in_.npos && in_[end] == '}' && end > i_ + 1 && !Next("{,}");
    if (!interval) {
      atom_ = out_.size();
      out_ += "\\{";
      ++i_;
      return;
    }
    ++end;
    out_ += Next("{,") ? "{0" : "{";
    ++i_;
    CopyBytes(end - i_);
    if (Next("+")) {
      out_.insert(atom_, "(?:");
      out_ += ')';
    }
  }

  void Escape() {
    if (i_ + 1 >= in_.size()) Refuse("a backslash at the end");
    const char c = in_[i_ + 1];
    static const std::array<char, 19> kAlike = {'d', 'D', 'n', 'r', 't', 'f', 'a', 'e', 'A', 'z',
                                                'Z', 'R', 'X', '1', '2', '3', '4', '5', '6'};
    const bool letter_or_digit = std::isalnum(static_cast<unsigned char>(c));
    if (c == 'p' || c == 'P') return Property();
    if (c == 'u' || c == 'x') return Code();
    if (!letter_or_digit || std::find(kAlike.begin(), kAlike.end(), c) != kAlike.end()) {
      return CopyBytes(2);
    }
    out_ += Class(c);
    i_ += 2;
  }

  std::string Class(char c) const {
    const auto set = [&](const char* members, bool negated) {
      if (in_class_ && negated) Refuse("a negated shorthand within a class");
      if (in_class_) return std::string(members);
      return fmt::format("[{}{}]", negated ? "^" : "", members);
    };
    switch (c) {
      case 's':
        return "\\p{White_Space}";
      case 'S':
        return "\\P{White_Space}";
      case 'w':
      case 'W':
        return set(kWordSet, c == 'W');
      case 'h':
      case 'H':
        return set(kHexSet, c == 'H');
      case 'v':
        return "\\x0b";
      case 'b':
      case 'B':
        return in_class_ ? "\\x08" : Boundary(c == 'B');
      default:
        Refuse(fmt::format("the escape \\{}", c));
    }
  }

  static std::string Boundary(bool negated) {
    const char* second = negated ? "=" : "!";
    return fmt::format("(?:(?<=[{0}])(?{1}[{0}])|(?<![{0}])(?{2}[{0}]))", kWordSet, second,
                       negated ? "!" : "=");
  }

  // Members of a category that are newer than PCRE2's tables.
  static std::string NewerMembers(char category) {
    std::string members;
    for (const CodeRange& range : NewerCodePoints(category)) {
      members += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", range.first, range.last);
    }
    return members;
  }

  void Property() {
    const size_t close = in_.find('}', i_);
    if (i_ + 2 >= in_.size() || in_[i_ + 2] != '{' || close == in_.npos)
      Refuse("\\p without {name}");
    std::string_view name = in_.substr(i_ + 3, close - i_ - 3);
    bool negated = in_[i_ + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    if (name == "Word") {
      if (negated && in_class_) Refuse("a negated property within a class");
      out_ += Class(negated ? 'W' : 'w');
    } else {
      const auto known = PropertyNames().find(name);
      if (known != PropertyNames().end()) name = known->second;
      const std::string newer = name.size() == 1 ? NewerMembers(name[0]) : "";
      if (!newer.empty() && !(in_class_ && negated)) {
        const std::string members = fmt::format("\\p{{{}}}{}", name, newer);
        out_ += in_class_ ? members : fmt::format("[{}{}]", negated ? "^" : "", members);
        i_ = close + 1;
        return;
      }
      out_ += negated ? "\\P{" : "\\p{";
      // A bare script name means Script_Extensions to PCRE2.
      const bool script = known == PropertyNames().end() && name.size() > 2;
      out_ += fmt::format("{}{}}}", script ? "sc:" : "", name);
    }
    i_ = close + 1;
  }

  // \uHHHH, \x{H...}, \xHH. Above 7F the last one is a byte to Oniguruma: refused.
  void Code() {
    const bool braces = in_[i_ + 1] == 'x' && i_ + 2 < in_.size() && in_[i_ + 2] == '{';
    const size_t begin = i_ + (braces ? 3 : 2);
    const size_t max_digits = braces ? 8 : in_[i_ + 1] == 'u' ? 4 : 2;
    size_t end = begin;
    while (end < in_.size() && end - begin < max_digits &&
           std::isxdigit(static_cast<unsigned char>(in_[end]))) {
      ++end;
    }
    const bool closed = !braces || (end < in_.size() && in_[end] == '}');
    if (end == begin || !closed) Refuse("an incomplete \\x or \\u");
    if (!braces && in_[i_ + 1] == 'x' && in_[begin] > '7' && end - begin == 2)
      Refuse("a byte \\xHH");
    out_ += fmt::format("\\x{{{}}}", in_.substr(begin, end - begin));
    i_ = end + (braces ? 1 : 0);
  }

  std::string_view in_;
  const std::string& where_;
  std::string out_;
  std::vector<size_t> groups_;  // offsets in out_ of the open groups
  size_t i_ = 0, atom_ = 0;     // atom_: offset in out_ of the last repeatable item
  bool in_class_ = false;
};

}  // namespace

std::string TranslateOniguruma(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).Run();
}

std::string EscapeForRegex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{{{:x}}}", byte);
      continue;
    }
    if (byte < 0x80 && !std::isalnum(byte)) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

}  // namespace lorikeet
