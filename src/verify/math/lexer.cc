#include "verify/math/lexer.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"
#include "verify/math/vocabulary.h"

namespace lorikeet::math {
namespace {

constexpr int kMaxNestedTexts = 8;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool IsOneOf(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

class Lexer {
 public:
  Lexer(std::string_view text, const Reading& reading)
      : text_(ReplaceUnicode(text)), end_(text_.size()), reading_(reading) {}

  std::vector<Token> Run() {
    Scan();
    Add(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return std::string_view(text_).substr(at_, end_ - at_); }
  bool Starts(std::string_view what) const { return Rest().starts_with(what); }
  bool Take(std::string_view what) {
    if (!Starts(what)) return false;
    at_ += what.size();
    return true;
  }
  char Peek(size_t ahead = 0) const { return at_ + ahead < end_ ? text_[at_ + ahead] : '\0'; }
  char FirstBehindSpace() const {
    size_t i = at_;
    while (i < end_ && IsSpace(text_[i])) ++i;
    if (i < end_ || !in_text_) return i < end_ ? text_[i] : '\0';
    while (i < text_.size() && (IsSpace(text_[i]) || text_[i] == '}')) ++i;  // \text{lcm}(4, 6)
    return i < text_.size() ? text_[i] : '\0';
  }
  bool LastIs(TokenType type) const { return !tokens_.empty() && tokens_.back().type == type; }

  void Add(TokenType type, std::string text) {
    tokens_.push_back({type, std::move(text), space_});
    space_ = false;
  }

  void Scan() {
    while (at_ < end_) {
      const char c = text_[at_];
      if (IsSpace(c) || c == '~' || c == '$') {
        space_ = true;
        ++at_;
      } else if (IsAsciiDigit(c) || (c == '.' && IsAsciiDigit(Peek(1)))) {
        Number();
      } else if (IsAsciiLetter(c)) {
        const size_t begin = at_;
        while (IsAsciiLetter(Peek())) ++at_;
        Letters(std::string_view(text_).substr(begin, at_ - begin));
      } else if (c == '\\') {
        Command();
      } else {
        Symbol();
      }
    }
  }

  // Whether exactly three digits follow the cursor at offset `from`: a group of thousands.
  bool GroupAt(size_t from) const {
    return IsAsciiDigit(Peek(from)) && IsAsciiDigit(Peek(from + 1)) &&
           IsAsciiDigit(Peek(from + 2)) && !IsAsciiDigit(Peek(from + 3));
  }

  // Length of a separator of thousands at the cursor, 0 if there is none.
  size_t ThousandsSeparator() const {
    for (const std::string_view separator : {"{,}", ",\\! ", ",\\!", "\\,", "\\!", "\\ ", "~"}) {
      if (Starts(separator) && GroupAt(separator.size())) return separator.size();
    }
    if (!reading_.thousands) return 0;
    const bool plain = (Peek() == ',' && depth_ == 0) || Peek() == ' ';
    return plain && GroupAt(1) ? 1 : 0;
  }

  std::string Digits() {
    std::string digits;
    while (IsAsciiDigit(Peek())) digits.push_back(text_[at_++]);
    return digits;
  }

  void Number() {
    std::string number = Digits();
    if (!number.empty() && number.size() <= 3 && number[0] != '0') {
      while (const size_t length = ThousandsSeparator()) {
        at_ += length;
        number += Digits();
      }
    }
    if (Starts("{,}") && IsAsciiDigit(Peek(3))) {  // a decimal comma
      at_ += 3;
      number += "." + Digits();
    } else if (Peek() == '.' && Peek(1) != '.') {
      ++at_;
      number += "." + Digits();
    }
    if (reading_.scientific && (Peek() == 'e' || Peek() == 'E')) Exponent(number);
    Add(TokenType::kNumber, std::move(number));
  }

  void Exponent(std::string& number) {
    const size_t sign = Peek(1) == '-' || Peek(1) == '+' ? 1 : 0;
    if (!IsAsciiDigit(Peek(1 + sign))) return;
    number += Peek(1) == '-' ? "e-" : "e";
    at_ += 1 + sign;
    number += Digits();
  }

  // The tokens of `letters`: a known name, a product of variables, or a word.
  void Letters(std::string_view letters) {
    if (letters.size() == 1 && !in_text_) return Letter(letters);
    if (Known(letters)) return;
    if (in_text_) {
      const bool constant = letters == "e" || letters == "i";
      return Add(constant ? TokenType::kLetter : TokenType::kWord, std::string(letters));
    }
    if (!IsProduct(letters)) return Add(TokenType::kWord, std::string(letters));
    for (const char letter : letters) Add(TokenType::kLetter, std::string(1, letter));
  }

  bool IsProduct(std::string_view letters) const {
    if (reading_.units || IsRefusedWord(letters)) return false;
    if (reading_.variables == nullptr) return letters.size() <= 3 && !IsUnitWord(letters);
    return std::all_of(letters.begin(), letters.end(), [&](char letter) {
      return reading_.variables->contains(std::string(1, letter));
    });
  }

  // "3 x 4" is a product, not three times a variable times four.
  void Letter(std::string_view letter) {
    const bool times = (letter == "x" || letter == "X") && LastIs(TokenType::kNumber) &&
                       IsAsciiDigit(FirstBehindSpace());
    Add(times ? TokenType::kSymbol : TokenType::kLetter, times ? "*" : std::string(letter));
  }

  bool Known(std::string_view word) {
    const CommandMeaning meaning = WordNamed(word);
    if (meaning.kind == CommandClass::kUnknown) return SplitFunction(word);
    // "5 min" and "5 sec" are not functions: no argument follows.
    if (meaning.kind == CommandClass::kCommand) {
      const char next = FirstBehindSpace();
      const bool has_argument =
          IsAsciiDigit(next) || IsAsciiLetter(next) || (next != '\0' && IsOneOf(next, "({[\\^_|"));
      if (!has_argument || (IsUnitWord(word) && next != '(')) return false;
    }
    AddMeaning(meaning);
    return true;
  }

  // "sinx" and "lnx".
  bool SplitFunction(std::string_view word) {
    if (in_text_) return false;
    for (const std::string_view name : {"sin", "cos", "tan", "ln", "log"}) {
      if (word.size() != name.size() + 1 || !word.starts_with(name)) continue;
      Add(TokenType::kCommand, std::string(name));
      Letter(word.substr(name.size()));
      return true;
    }
    return false;
  }

  void AddMeaning(const CommandMeaning& meaning) {
    switch (meaning.kind) {
      case CommandClass::kLetter:
        return Add(TokenType::kLetter, "\\" + std::string(meaning.spelling));
      case CommandClass::kSymbol:
        Nest(meaning.spelling);
        return Add(TokenType::kSymbol, std::string(meaning.spelling));
      case CommandClass::kCommand:
        return Add(TokenType::kCommand, std::string(meaning.spelling));
      default:
        space_ = true;
    }
  }

  void Nest(std::string_view symbol) {
    if (symbol == "(" || symbol == "[" || symbol == "\\{") ++depth_;
    if (symbol == ")" || symbol == "]" || symbol == "\\}") depth_ = std::max(0, depth_ - 1);
  }

  void Command() {
    ++at_;
    const size_t begin = at_;
    while (IsAsciiLetter(Peek())) ++at_;
    if (at_ == begin) return CommandOfSign();
    const std::string_view name = std::string_view(text_).substr(begin, at_ - begin);
    if (name == "left" || name == "right") return Delimiter(name == "left");
    if (name == "mathbb") return BlackboardLetter();
    const CommandMeaning meaning = CommandNamed(name);
    if (meaning.kind == CommandClass::kUnknown) {
      Fail(ErrorCode::kInvalidArgument, "the command \\{}", name);
    }
    if (meaning.kind == CommandClass::kText) return TextArgument();
    if (meaning.kind == CommandClass::kAccent || (name == "overline" && HasLetterArgument())) {
      return Accent(std::string(name));
    }
    if (name == "begin" || name == "end") return Environment(name);
    AddMeaning(meaning);
  }

  // \, \{ \% \\ and the like; the cursor is on the sign.
  void CommandOfSign() {
    const char sign = Peek();
    if (sign == '\\') {
      if (environments_ > 0) {
        ++at_;
        return Add(TokenType::kSymbol, "\\\\");
      }
      if (IsAsciiLetter(Peek(1))) return;  // a backslash that was escaped once too often
    }
    ++at_;
    space_ = true;
    if (sign == '{' || sign == '}') {
      const std::string symbol = std::string("\\") + sign;
      Nest(symbol);
      Add(TokenType::kSymbol, symbol);
    } else if (sign == '%' || sign == '|' || sign == '&') {
      Add(TokenType::kSymbol, std::string(1, sign));
    } else if (sign == '\0' || !IsOneOf(sign, ",;:!> $()[]\\\n")) {
      Fail(ErrorCode::kInvalidArgument, "a backslash before {}", CharText(sign));
    }
  }

  // After \left or \right, which makes a difference for bars only.
  void Delimiter(bool left) {
    while (IsSpace(Peek())) ++at_;
    if (Take("|") || Take("\\vert")) Add(TokenType::kSymbol, left ? "lvert" : "rvert");
    Take(".");
  }

  bool HasLetterArgument() const {
    size_t i = at_;
    while (i < end_ && (IsSpace(text_[i]) || text_[i] == '{')) ++i;
    return i < end_ && IsAsciiLetter(text_[i]);
  }

  // \hat{x}, \bar x, \hat\theta: a letter whose name has the accent.
  void Accent(const std::string& name) {
    while (IsSpace(Peek())) ++at_;
    std::string inside;
    if (Peek() == '{') {
      const auto [begin, close] = Braces();
      for (const char c : std::string_view(text_).substr(begin, close - begin)) {
        if (!IsSpace(c)) inside.push_back(c);
      }
    } else {
      const bool command = Take("\\");
      const size_t begin = at_;
      while (IsAsciiLetter(Peek()) && (command || at_ == begin)) ++at_;
      inside = (command ? "\\" : "") + text_.substr(begin, at_ - begin);
    }
    const bool plain = std::all_of(inside.begin(), inside.end(), [](char c) {
      return IsAsciiLetter(c) || IsAsciiDigit(c) || c == '_' || c == '\\';
    });
    if (inside.empty() || !plain) Fail(ErrorCode::kInvalidArgument, "\\{} of no letter", name);
    Add(TokenType::kLetter, "\\" + name + "{" + inside + "}");
  }

  void BlackboardLetter() {
    while (IsSpace(Peek())) ++at_;
    const bool braces = Take("{");
    if (!IsAsciiLetter(Peek())) Fail(ErrorCode::kInvalidArgument, "\\mathbb without a letter");
    const std::string letter(1, text_[at_++]);
    if (braces && !Take("}")) Fail(ErrorCode::kInvalidArgument, "\\mathbb of more than a letter");
    Add(TokenType::kLetter, "\\mathbb{" + letter + "}");
  }

  // Contents of the braces at the cursor, which moves past them.
  std::pair<size_t, size_t> Braces() {
    while (IsSpace(Peek())) ++at_;
    if (!Take("{")) Fail(ErrorCode::kInvalidArgument, "a command without its braces");
    const size_t begin = at_;
    for (int open = 1; at_ < end_; ++at_) {
      if (text_[at_] == '{') ++open;
      if (text_[at_] == '}' && --open == 0) return {begin, at_++};
    }
    Fail(ErrorCode::kInvalidArgument, "a brace that is not closed");
  }

  void TextArgument() {
    if (++nested_texts_ > kMaxNestedTexts) {
      Fail(ErrorCode::kInvalidArgument, "too deep a nesting of \\text");
    }
    const auto [begin, close] = Braces();
    const size_t behind = std::exchange(at_, begin), outer_end = std::exchange(end_, close);
    const bool outer = std::exchange(in_text_, true);
    space_ = true;
    Scan();
    at_ = behind;
    end_ = outer_end;
    in_text_ = outer;
    --nested_texts_;
  }

  void Environment(std::string_view command) {
    const auto [begin, close] = Braces();
    const std::string name = text_.substr(begin, close - begin);
    if (command == "begin" && name == "array" && Peek() == '{') Braces();  // the columns
    environments_ = std::max(0, environments_ + (command == "begin" ? 1 : -1));
    Add(TokenType::kCommand, std::string(command) + ":" + name);
  }

  void Symbol() {
    for (const std::string_view symbol : {"**", "+/-", "<=", ">=", "=="}) {
      if (!Take(symbol)) continue;
      constexpr auto kSpelling = [](std::string_view s) {
        return s == "**" ? "^" : s == "+/-" ? "+-" : s == "==" ? "=" : s;
      };
      return Add(TokenType::kSymbol, std::string(kSpelling(symbol)));
    }
    if (Take("{}")) return;
    if (Take("...")) return Add(TokenType::kCommand, "ldots");
    // "5! = 120" is a factorial, "x != 5" is not.
    if (Starts("!=") && !LastIs(TokenType::kNumber)) {
      at_ += 2;
      return Add(TokenType::kSymbol, "!=");
    }
    const char c = text_[at_];
    if (!IsOneOf(c, "+-*/^_()[]{},;:=<>!|&%'")) {
      Fail(ErrorCode::kInvalidArgument, "the character {}", CharText(c));
    }
    ++at_;
    Nest({&c, 1});
    Add(TokenType::kSymbol, std::string(1, c));
  }

  static std::string CharText(char c) {
    return c >= ' ' && c <= '~' ? fmt::format("'{}'", c)
                                : fmt::format("0x{:02x}", static_cast<unsigned char>(c));
  }

  std::string text_;
  size_t at_ = 0, end_;
  const Reading& reading_;
  std::vector<Token> tokens_;
  bool space_ = false, in_text_ = false;
  int depth_ = 0, environments_ = 0, nested_texts_ = 0;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view text, const Reading& reading) {
  return Lexer(text, reading).Run();
}

bool IsFunctionName(std::string_view name) {
  return CommandNamed(name).kind == CommandClass::kCommand && CommandNamed(name).spelling == name &&
         WordNamed(name).spelling == name && name != "cbrt";
}

}  // namespace lorikeet::math
