#include "chat/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "chat/jinja/text.h"
#include "core/error.h"
#include "core/utf8.h"

namespace lorikeet::jinja {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool IsNameChar(char c) { return IsNameStart(c) || IsDigit(c); }

// \r\n and \r become \n, and one newline at the very end is dropped, as Jinja reads a template.
std::string Normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      out.push_back('\n');
    } else {
      out.push_back(source[i]);
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(Normalize(source)) {}

  std::vector<Token> Run() {
    while (at_ < text_.size()) LexData();
    Add(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return std::string_view(text_).substr(at_); }
  bool Starts(std::string_view what) const { return Rest().starts_with(what); }

  [[noreturn]] void Bad(const std::string& what) const {
    Fail(ErrorCode::kCorruptFile, "line {}: {}", line_, what);
  }

  void Advance(size_t bytes) {
    line_ +=
        static_cast<int>(std::count(text_.begin() + static_cast<ptrdiff_t>(at_),
                                    text_.begin() + static_cast<ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
  }

  void Add(TokenType type, std::string text) {
    Token token;
    token.type = type;
    token.text = std::move(text);
    token.line = line_;
    tokens_.push_back(std::move(token));
  }

  // After a tag's start: '-' or '+' if present.
  char TakeSign() {
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) return text_[at_++];
    return 0;
  }

  // Offset of the next "{{", "{%" or "{#".
  size_t FindTag() const {
    for (size_t i = at_; i + 1 < text_.size(); ++i) {
      if (text_[i] == '{' && (text_[i + 1] == '{' || text_[i + 1] == '%' || text_[i + 1] == '#')) {
        return i;
      }
    }
    return std::string::npos;
  }

  // `data` stripped according to the tag after it: '-' removes all whitespace; otherwise a block or
  // comment alone on its line removes the blanks before it.
  std::string_view StripBefore(std::string_view data, char sign, bool variable,
                               bool line_starting) const {
    if (sign == '-') return data.substr(0, data.size() - TrailingSpace(data));
    if (sign == '+' || variable) return data;
    const size_t newline = data.rfind('\n');
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if (begin == 0 && !line_starting) return data;
    const bool blank = LeadingSpace(data.substr(begin)) == data.size() - begin;
    return blank ? data.substr(0, begin) : data;
  }

  void EmitData(std::string_view data) {
    if (!data.empty()) Add(TokenType::kData, std::string(data));
  }

  void LexData() {
    const bool line_starting = at_ == 0 || text_[at_ - 1] == '\n';
    const size_t tag = FindTag();
    if (tag == std::string::npos) {
      EmitData(Rest());
      Advance(text_.size() - at_);
      return;
    }
    const std::string_view data = std::string_view(text_).substr(at_, tag - at_);
    const char kind = text_[tag + 1];
    const char next = tag + 2 < text_.size() ? text_[tag + 2] : 0;
    const char sign = next == '-' || next == '+' ? next : '\0';
    EmitData(StripBefore(data, sign, kind == '{', line_starting));
    Advance(data.size() + 2);
    TakeSign();
    if (kind == '#') return LexComment();
    if (kind == '%' && LexRaw()) return;
    Add(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, "");
    LexTag(kind == '{');
  }

  void LexComment() {
    const size_t end = text_.find("#}", at_);
    if (end == std::string::npos) Bad("a comment is not closed: missing #}");
    const char sign = end > at_ ? text_[end - 1] : '\0';
    Advance(end + 2 - at_);
    AfterBlock(sign);
  }

  // After a block or comment: '-' removes all whitespace, '+' nothing, neither one newline.
  void AfterBlock(char sign) {
    if (sign == '-') {
      Advance(LeadingSpace(Rest()));
    } else if (sign != '+' && Starts("\n")) {
      Advance(1);
    }
  }

  // At "raw %}" after "{%": emits the raw text. False when it is another tag.
  bool LexRaw() {
    const auto opening = MatchTag(at_, "raw");
    if (!opening) return false;
    Advance(opening->end - at_);
    if (opening->sign == '-') Advance(LeadingSpace(Rest()));
    const bool line_starting = text_[at_ - 1] == '\n';
    for (size_t i = at_; (i = text_.find("{%", i)) != std::string::npos; i += 2) {
      size_t name = i + 2;
      const char sign =
          name < text_.size() && (text_[name] == '-' || text_[name] == '+') ? text_[name++] : '\0';
      const auto closing = MatchTag(name, "endraw");
      if (!closing) continue;
      EmitData(
          StripBefore(std::string_view(text_).substr(at_, i - at_), sign, false, line_starting));
      Advance(closing->end - at_);
      AfterBlock(closing->sign);
      return true;
    }
    Bad("{% raw %} is not closed: missing {% endraw %}");
  }

  struct TagEnd {
    size_t end = 0;
    char sign = 0;
  };
  // The name and the end of a tag without arguments at `from`, whitespace allowed around the name.
  std::optional<TagEnd> MatchTag(size_t from, std::string_view name) const {
    std::string_view rest = std::string_view(text_).substr(from);
    rest.remove_prefix(LeadingSpace(rest));
    if (!rest.starts_with(name)) return {};
    rest.remove_prefix(name.size());
    rest.remove_prefix(LeadingSpace(rest));
    TagEnd end;
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
      end.sign = rest[0];
      rest.remove_prefix(1);
    }
    if (!rest.starts_with("%}")) return {};
    end.end = text_.size() - rest.size() + 2;
    return end;
  }

  // The inside of {{ }} or {% %}, its end included.
  void LexTag(bool variable) {
    const std::string_view close = variable ? "}}" : "%}";
    std::string open_brackets;
    while (true) {
      Advance(LeadingSpace(Rest()));
      if (at_ >= text_.size()) {
        Bad(variable ? "{{ is not closed: missing }}" : "{% is not closed: missing %}");
      }
      if (open_brackets.empty()) {
        const char first = text_[at_];
        const bool sign =
            (first == '-' || (first == '+' && !variable)) && Rest().substr(1).starts_with(close);
        if (sign || Starts(close)) {
          Add(variable ? TokenType::kVariableEnd : TokenType::kBlockEnd, "");
          Advance(close.size() + (sign ? 1 : 0));
          if (!variable) return AfterBlock(sign ? first : '\0');
          if (sign) Advance(LeadingSpace(Rest()));
          return;
        }
      }
      LexItem(open_brackets);
    }
  }

  void LexItem(std::string& open_brackets) {
    const char c = text_[at_];
    if (IsDigit(c)) return LexNumber();
    if (c == '"' || c == '\'') return LexString();
    if (IsNameStart(c)) {
      size_t end = at_;
      while (end < text_.size() && IsNameChar(text_[end])) ++end;
      Add(TokenType::kName, text_.substr(at_, end - at_));
      return Advance(end - at_);
    }
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    size_t length = 0;
    for (std::string_view two : kTwo) {
      if (Starts(two)) length = 2;
    }
    if (length == 0 && kOne.find(c) != std::string_view::npos) length = 1;
    if (length == 0) Bad(fmt::format("unexpected character '{}'", c));
    if (c == '(' || c == '[' || c == '{') {
      open_brackets.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (open_brackets.empty()) Bad(fmt::format("unexpected '{}'", c));
      if (open_brackets.back() != c) {
        Bad(fmt::format("unexpected '{}', expected '{}'", c, open_brackets.back()));
      }
      open_brackets.pop_back();
    }
    Add(TokenType::kOperator, text_.substr(at_, length));
    Advance(length);
  }

  // Digits with single underscores between them, from `from`; the underscores are left out of
  // `digits`.
  template <class Accept>
  size_t TakeDigits(size_t from, Accept accept, std::string& digits) const {
    size_t i = from;
    while (i < text_.size()) {
      const size_t digit = text_[i] == '_' && i > from ? i + 1 : i;
      if (digit >= text_.size() || !accept(text_[digit])) break;
      digits.push_back(text_[digit]);
      i = digit + 1;
    }
    return i;
  }

  void LexNumber() {
    if (text_[at_] == '0' && at_ + 1 < text_.size()) {
      const char radix = static_cast<char>(text_[at_ + 1] | 0x20);
      const int base = radix == 'x' ? 16 : radix == 'o' ? 8 : radix == 'b' ? 2 : 0;
      if (base != 0) return LexRadix(base);
    }
    std::string digits;
    size_t end = TakeDigits(at_, IsDigit, digits);
    bool real = false;
    const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';
    if (!after_dot) {
      if (end + 1 < text_.size() && text_[end] == '.' && IsDigit(text_[end + 1])) {
        digits.push_back('.');
        end = TakeDigits(end + 1, IsDigit, digits);
        real = true;
      }
      size_t exponent = end + 1;
      if (end < text_.size() && (text_[end] | 0x20) == 'e') {
        std::string tail = "e";
        if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) {
          if (text_[exponent] == '-') tail.push_back('-');
          ++exponent;
        }
        if (exponent < text_.size() && IsDigit(text_[exponent])) {
          end = TakeDigits(exponent, IsDigit, tail);
          digits += tail;
          real = true;
        }
      }
    }
    AddNumber(digits, real, 10);
    Advance(end - at_);
  }

  void LexRadix(int base) {
    std::string digits;
    auto accept = [base](char c) {
      const int value = IsDigit(c)                               ? c - '0'
                        : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                 : 99;
      return value < base;
    };
    const size_t end = TakeDigits(at_ + 2, accept, digits);
    if (digits.empty()) Bad("a number has no digits");
    AddNumber(digits, false, base);
    Advance(end - at_);
  }

  void AddNumber(const std::string& digits, bool real, int base) {
    Token token;
    token.type = real ? TokenType::kFloat : TokenType::kInteger;
    token.text = digits;
    token.line = line_;
    const char* begin = digits.data();
    const char* end = begin + digits.size();
    const auto result = real ? std::from_chars(begin, end, token.real)
                             : std::from_chars(begin, end, token.integer, base);
    if (result.ec != std::errc() || result.ptr != end) {
      Bad(fmt::format("the number {} is beyond 64 bits", digits.substr(0, 60)));
    }
    tokens_.push_back(std::move(token));
  }

  void LexString() {
    const char quote = text_[at_];
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) Bad("a string is not closed");
    Add(TokenType::kString, Unescape(std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
    Advance(end + 1 - at_);
  }

  std::string Unescape(std::string_view raw) const {
    std::string out;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\') {
        out.push_back(raw[i]);
        continue;
      }
      const char c = raw[++i];
      static constexpr std::string_view kFrom = "\\'\"abfnrtv";
      static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t known = kFrom.find(c); known != std::string_view::npos) {
        out.push_back(kTo[known]);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        AppendCodePoint(CodeOf(raw.substr(i + 1, count), count, 16), out);
        i += count;
      } else if (c >= '0' && c <= '7') {
        size_t count = 1;
        while (count < 3 && i + count < raw.size() && raw[i + count] >= '0' &&
               raw[i + count] <= '7') {
          ++count;
        }
        AppendCodePoint(CodeOf(raw.substr(i, count), count, 8), out);
        i += count - 1;
      } else if (c == 'N') {
        Bad("escapes by name (\\N{...}) are not supported");
      } else if (c != '\n') {
        out.push_back('\\');
        out.push_back(c);
      }
    }
    return out;
  }

  uint32_t CodeOf(std::string_view digits, size_t count, int base) const {
    uint32_t code = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), code, base);
    if (digits.size() != count || result.ptr != digits.data() + count || code > 0x10FFFF ||
        (code >= 0xD800 && code <= 0xDFFF)) {
      Bad("a string holds a wrong escape");
    }
    return code;
  }

  std::string text_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace lorikeet::jinja
