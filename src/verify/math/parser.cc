#include "verify/math/parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"
#include "verify/math/literal.h"
#include "verify/math/token_stream.h"
#include "verify/math/vocabulary.h"

namespace lorikeet::math {
namespace {

constexpr int kMaxDepth = 200;  // calls of the parser; parentheses take four each
constexpr int kMaxUnitWords = 4;
constexpr int kMaxPostfixes = 8;

class Depth {
 public:
  explicit Depth(int& level) : level_(level) {
    if (level_ >= kMaxDepth) Fail(ErrorCode::kOutOfMemory, "an expression nested too deeply");
    ++level_;
  }
  ~Depth() { --level_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& level_;
};

bool IsWholeNumber(const Expression& e) {
  return e.kind == Kind::kNumber && e.number.integer() && !e.decimal;
}

// a / b of two written integers, a < b: the fraction of a mixed number.
bool IsProperFraction(const Expression& e) {
  return e.kind == Kind::kProduct && e.children.size() == 2 && IsWholeNumber(e.children[0]) &&
         e.children[1].kind == Kind::kInverse && IsWholeNumber(e.children[1].children[0]) &&
         e.children[0].number < e.children[1].children[0].number;
}

char RelationNamed(std::string_view symbol) {
  if (symbol == "=" || symbol == "<" || symbol == ">") return symbol[0];
  if (symbol == "<=") return 'l';
  if (symbol == ">=") return 'g';
  if (symbol == "!=") return '!';
  if (symbol == "approx") return '~';
  return symbol == "in" ? 'i' : '\0';
}

// Recursive descent: statement, union, ratio, sum, product, power, atom.
class Parser {
 public:
  Parser(TokenStream tokens, const Reading& reading, Budget& budget)
      : in_(std::move(tokens)), reading_(reading), budget_(budget) {}

  Expression Answer() {
    while (IsLead()) in_.Skip();
    std::vector<Expression> elements = Elements();
    if (!in_.Is(TokenType::kEnd)) in_.Refuse();
    return Joined(Kind::kList, std::move(elements));
  }

 private:
  Expression Counted(Expression node) {
    budget_.SpendNode();
    return node;
  }
  Expression Node(Kind kind, std::vector<Expression> children, std::string text = {}) {
    return Counted({.kind = kind, .text = std::move(text), .children = std::move(children)});
  }
  Expression Node(Kind kind, Expression child, std::string text = {}) {
    return Counted(Unary(kind, std::move(child), std::move(text)));
  }
  // A single part itself, several parts as a node.
  Expression Joined(Kind kind, std::vector<Expression> parts, std::string text = {}) {
    if (parts.size() == 1) return std::move(parts[0]);
    return Node(kind, std::move(parts), std::move(text));
  }

  // Words and signs before an answer that are skipped: "approximately 5", "= 5".
  bool IsLead() const {
    if (in_.IsOneOf({"=", "approx"})) return true;
    constexpr std::array<std::string_view, 5> kWords = {"approximately", "about", "roughly",
                                                        "exactly", "therefore"};
    return in_.Is(TokenType::kWord) &&
           std::find(kWords.begin(), kWords.end(), LowerAscii(in_.Now().text)) != kWords.end();
  }

  bool TakeSeparator() {
    bool found = false;
    while (in_.Take(",") || in_.Take(";")) found = true;
    return found;
  }

  std::vector<Expression> Elements() {
    std::vector<Expression> elements;
    do {
      if (const std::string environment = Alignment(); !environment.empty()) {
        AlignedRows(environment, elements);
      } else {
        elements.push_back(Statement());
      }
    } while (TakeSeparator());
    return elements;
  }

  // "aligned" at its beginning.
  std::string Alignment() const {
    constexpr std::array<std::string_view, 7> kAlignments = {
        "aligned", "align", "align*", "gathered", "gather", "gather*", "split"};
    const std::string& text = in_.Now().text;
    if (!in_.Is(TokenType::kCommand) || !text.starts_with("begin:")) return {};
    const std::string name = text.substr(text.find(':') + 1);
    const bool known = std::find(kAlignments.begin(), kAlignments.end(), name) != kAlignments.end();
    return known ? name : std::string();
  }

  // A statement a row; a row that begins with a relation continues the one before.
  void AlignedRows(const std::string& environment, std::vector<Expression>& elements) {
    const Depth depth(depth_);
    const std::string end = "end:" + environment;
    const bool outer = std::exchange(aligned_, true);
    in_.Skip();
    while (!in_.Is(TokenType::kCommand, end)) {
      do {
        elements.push_back(Statement());
      } while (TakeSeparator());
      if (in_.Take("\\\\")) continue;
      if (!in_.Is(TokenType::kCommand, end)) in_.Refuse();
    }
    in_.Skip();
    aligned_ = outer;
  }

  // In an alignment: & and, before a relation, the end of a row.
  void SkipAlignment() {
    if (!aligned_) return;
    while (in_.Take("&")) {
    }
    size_t ahead = 0;
    while (in_.IsSymbol("\\\\", ahead) || in_.IsSymbol("&", ahead)) ++ahead;
    if (in_.Is(TokenType::kSymbol, ahead) && RelationNamed(in_.Now(ahead).text) != '\0') {
      in_.Skip(ahead);
    }
  }

  Expression Statement() {
    const Depth depth(depth_);
    std::vector<Expression> sides;
    std::string relations;
    for (;;) {
      SkipAlignment();
      sides.push_back(Union());
      SkipAlignment();
      const char relation = in_.Is(TokenType::kSymbol) ? RelationNamed(in_.Now().text) : '\0';
      if (relation == '\0') break;
      in_.Skip();
      relations.push_back(relation);
    }
    SkipUnits();
    return Joined(Kind::kRelation, std::move(sides), std::move(relations));
  }

  Expression Union() {
    std::vector<Expression> parts;
    do {
      parts.push_back(Ratio());
      while (in_.Take("setminus")) {
        parts.back() = Counted(Binary(Kind::kSetMinus, std::move(parts.back()), Ratio()));
      }
    } while (in_.Take("cup"));
    return Joined(Kind::kUnion, std::move(parts));
  }

  Expression Ratio() {
    std::vector<Expression> parts;
    do {
      parts.push_back(Stacked());
    } while (in_.Take(":"));
    return Joined(Kind::kRatio, std::move(parts));
  }

  // TeX's {n \choose k} and {a \over b}, whose arguments are all on their side.
  Expression Stacked() {
    Expression above = Sum();
    const bool choose = in_.Is(TokenType::kCommand, "choose");
    if (!choose && !in_.Is(TokenType::kCommand, "over")) return above;
    in_.Skip();
    Expression below = Sum();
    if (choose) {
      return Counted(Binary(Kind::kFunction, std::move(above), std::move(below), "binom"));
    }
    return Counted(
        Binary(Kind::kProduct, std::move(above), Node(Kind::kInverse, std::move(below))));
  }

  // Skips units: "per hour", "cm^2", "km/h", "square metres".
  void SkipUnits() {
    for (int words = 0; IsUnit(); ++words) {
      const Token& word = in_.Now();
      const bool apart = word.space_before || words > 0 || IsUnitWord(word.text);  // 5cm, not 5xy
      if (words == kMaxUnitWords || IsRefusedWord(word.text) || !apart) in_.Refuse();
      in_.Skip();
      if (in_.Take("^")) SkipUnitExponent();
      if (in_.IsSymbol("/") && IsUnit(1)) in_.Skip();
    }
  }
  bool IsUnit(size_t ahead = 0) const {
    if (in_.Is(TokenType::kWord, ahead)) return true;
    return reading_.units && in_.Is(TokenType::kLetter, ahead) && IsUnitLetter(in_.Now(ahead).text);
  }
  void SkipUnitExponent() {
    const bool braces = in_.Take("{");
    in_.Take("-");
    if (!in_.Is(TokenType::kNumber)) in_.Refuse();
    in_.Skip();
    if (braces) in_.Expect("}");
  }

  // Reads any number of + and -; whether they amount to a minus.
  bool TakeSigns() {
    bool negative = false;
    for (;; in_.Skip()) {
      if (in_.IsSymbol("-")) {
        negative = !negative;
      } else if (!in_.IsSymbol("+")) {
        return negative;
      }
    }
  }

  Expression Sum() {
    const Depth depth(depth_);
    std::vector<Expression> terms;
    do {
      const std::string sign = in_.IsOneOf({"+-", "-+"}) ? in_.Next() : "";
      const bool negative = TakeSigns();
      Expression term = Product();
      if (negative) term = Node(Kind::kNegate, std::move(term));
      if (!sign.empty()) term = Node(Kind::kPlusMinus, std::move(term), sign);
      terms.push_back(std::move(term));
    } while (in_.IsOneOf({"+", "-", "+-", "-+"}));
    if (terms.size() == 1) return std::move(terms[0]);
    return Node(Kind::kSum, std::move(terms));
  }

  Expression Product() {
    std::vector<Expression> factors;
    factors.push_back(Power());
    for (;;) {
      if (in_.IsOneOf({"*", "/"}) && !(in_.IsSymbol("/") && IsUnit(1))) {
        factors.push_back(SignedFactor(in_.Next() == "/"));
      } else if (const int power = in_.Is(TokenType::kWord) ? PowerOfTenNamed(in_.Now().text) : 0) {
        in_.Skip();
        factors.push_back(Counted(Binary(Kind::kPower, SmallNumber(10), SmallNumber(power))));
      } else if (IsWholeNumber(factors.back()) && in_.AfterNumber() && StartsFraction()) {
        Expression fraction = Fraction();
        if (IsProperFraction(fraction)) {  // a mixed number
          factors.back() =
              Counted(Binary(Kind::kSum, std::move(factors.back()), std::move(fraction)));
        } else {
          factors.push_back(std::move(fraction));
        }
      } else if (StartsFactor()) {
        factors.push_back(Power());
      } else {
        break;
      }
    }
    return Joined(Kind::kProduct, std::move(factors));
  }

  Expression SignedFactor(bool inverse) {
    const bool negative = TakeSigns();
    Expression factor = Power();
    if (inverse) factor = Node(Kind::kInverse, std::move(factor));
    return negative ? Node(Kind::kNegate, std::move(factor)) : std::move(factor);
  }

  bool StartsFraction() const {
    return in_.Is(TokenType::kCommand, "frac") ||
           (in_.Is(TokenType::kNumber) && in_.IsSymbol("/", 1) && in_.Is(TokenType::kNumber, 2));
  }
  Expression Fraction() {
    if (in_.Is(TokenType::kCommand)) return Power();
    Expression num = Number();
    in_.Skip();
    Expression fraction =
        Counted(Binary(Kind::kProduct, std::move(num), Node(Kind::kInverse, Number())));
    if (!IsProperFraction(fraction)) in_.Refuse();  // "5 6/3" is two numbers side by side
    return fraction;
  }

  // Whether the next token is a factor of the preceding one without a sign.
  bool StartsFactor() const {
    const Token& token = in_.Now();
    switch (token.type) {
      case TokenType::kNumber:
        return !in_.AfterNumber();
      case TokenType::kLetter:
        return !(token.space_before && IsUnit());
      case TokenType::kCommand:
        return !token.text.starts_with("end:") && !IsBehindOperand(token.text);
      case TokenType::kSymbol:
        return in_.IsOneOf({"(", "[", "{", "lvert", "lfloor", "lceil"}) ||
               (token.text == "|" && !in_bars_);
      default:
        return false;
    }
  }

  // Commands that belong to what is before them.
  static bool IsBehindOperand(std::string_view command) {
    return command == "overline" || command == "choose" || command == "over" || command == "ldots";
  }

  Expression Power() {
    const Depth depth(depth_);
    Expression base = Atom();
    for (int count = 0;; ++count) {
      if (count == kMaxPostfixes) in_.Refuse();
      if (in_.Take("!")) {
        base = Node(Kind::kFunction, std::move(base), "factorial");
      } else if (in_.Take("%")) {
        base = Node(Kind::kPercent, std::move(base));
      } else if (TakeDegrees()) {
        base = Node(Kind::kDegrees, std::move(base));
      } else if (in_.Take("^")) {
        base = Counted(Binary(Kind::kPower, std::move(base), Exponent()));
      } else {
        return base;
      }
    }
  }

  // ^\circ, ^{\circ} or \degree, and the C or F after it.
  bool TakeDegrees() {
    if (in_.IsSymbol("^") && in_.IsSymbol("circ", 1)) {
      in_.Skip(2);
    } else if (in_.IsSymbol("^") && in_.IsSymbol("{", 1) && in_.IsSymbol("circ", 2) &&
               in_.IsSymbol("}", 3)) {
      in_.Skip(4);
    } else if (!in_.Take("deg")) {
      return false;
    }
    if (in_.Is(TokenType::kLetter, "C") || in_.Is(TokenType::kLetter, "F")) in_.Skip();
    return true;
  }

  Expression Exponent() {
    const Depth depth(depth_);
    const bool negative = TakeSigns();
    Expression exponent = Atom();
    if (in_.Take("^")) exponent = Counted(Binary(Kind::kPower, std::move(exponent), Exponent()));
    return negative ? Node(Kind::kNegate, std::move(exponent)) : std::move(exponent);
  }

  // The argument of a command: braces, or the next sign: \frac12, \sqrt2.
  Expression Argument() {
    if (!in_.Is(TokenType::kNumber)) return Atom();
    return Counted(SmallNumber(in_.TakeDigit()));
  }

  Expression Atom() {
    const Depth depth(depth_);
    switch (in_.Now().type) {
      case TokenType::kNumber:
        return Number();
      case TokenType::kLetter:
        return Letter();
      case TokenType::kCommand:
        return Command();
      case TokenType::kSymbol:
        return Brackets();
      default:
        in_.Refuse();
    }
  }

  Expression Letter() {
    std::string name = in_.Next();
    if (in_.Take("_")) name += "_" + Subscript();
    while (in_.Take("'")) name += "'";
    return Counted({.kind = Kind::kSymbol, .text = std::move(name)});
  }

  // The text of a subscript: one token, or all in braces.
  std::string Subscript() {
    if (!in_.Take("{")) {
      if (!in_.Is(TokenType::kNumber) && !in_.Is(TokenType::kLetter)) in_.Refuse();
      return in_.Next();
    }
    std::string text;
    while (!in_.Take("}")) {
      if (in_.Is(TokenType::kEnd) || in_.IsSymbol("{")) in_.Refuse();
      text += in_.Next();
    }
    return text;
  }

  static bool IsDecimal(std::string_view number) {
    return number.find('.') < number.size() - 1 && number.find('e') == std::string_view::npos;
  }

  Expression Number() {
    const std::string digits = in_.Next();
    if (in_.Take("_")) return Numeral(digits);
    if (in_.Is(TokenType::kCommand, "ldots") && IsDecimal(digits)) {
      in_.Skip();
      return Counted(EllipsisLiteral(digits, reading_.repeating));
    }
    if (!in_.Is(TokenType::kCommand, "overline") || digits.find('.') == std::string::npos) {
      return Counted(Literal(digits));
    }
    in_.Skip();
    in_.Expect("{");
    const bool whole = in_.Is(TokenType::kNumber) &&
                       in_.Now().text.find_first_not_of("0123456789") == std::string::npos;
    if (!whole) in_.Refuse();
    const std::string period = in_.Next();
    in_.Expect("}");
    return Counted(RepeatingLiteral(digits, period));
  }

  // 1011_2, 1011_{2} or 1011_{\text{two}}.
  Expression Numeral(const std::string& digits) {
    const std::string name = Subscript();
    int64_t base = BaseNamed(name);
    if (base == 0) std::from_chars(name.data(), name.data() + name.size(), base);
    if (base < 2 || base > 36) Fail(ErrorCode::kInvalidArgument, "the base {}", name);
    return Node(Kind::kNumeral, SmallNumber(base), digits);
  }

  Expression Command() {
    if (IsBehindOperand(in_.Now().text) || in_.Now().text.starts_with("end:")) in_.Refuse();
    const std::string name = in_.Next();
    if (name == "frac") {
      Expression num = Argument();
      return Counted(Binary(Kind::kProduct, std::move(num), Node(Kind::kInverse, Argument())));
    }
    if (name == "binom") {
      Expression n = Argument();
      return Counted(Binary(Kind::kFunction, std::move(n), Argument(), name));
    }
    if (name == "sqrt" || name == "surd" || name == "cbrt") return Root(name);
    if (name == "emptyset") return Node(Kind::kSet, std::vector<Expression>{});
    if (name.starts_with("begin:")) return Matrix(name.substr(name.find(':') + 1));
    return Function(name);
  }

  Expression Root(const std::string& name) {
    Expression degree = SmallNumber(name == "cbrt" ? 3 : 2);
    if (in_.Take("[")) {
      degree = Sum();
      in_.Expect("]");
    }
    // In plain text the argument is a whole number: sqrt 12 is the root of twelve.
    Expression radicand = name == "sqrt" ? Argument() : Atom();
    return Counted(Binary(Kind::kRoot, std::move(radicand), std::move(degree)));
  }

  Expression Function(const std::string& name) {
    std::optional<Expression> base, exponent;
    if (in_.Take("_")) base = Argument();
    if (in_.Take("^")) exponent = Exponent();
    if (!base && in_.Take("_")) base = Argument();
    std::vector<Expression> arguments;
    if (in_.Take("(")) {
      const bool bars = std::exchange(in_bars_, false);
      arguments = Elements();
      in_bars_ = bars;
      in_.Expect(")");
    } else {
      arguments.push_back(BareArgument());
    }
    if (base) {
      if (name != "log" || arguments.size() != 1) in_.Refuse();
      arguments.push_back(std::move(*base));
    }
    // sin^{-1} is the inverse function.
    const bool inverse = exponent && exponent->kind == Kind::kNegate && name.size() == 3 &&
                         name != "log" && exponent->children[0].number == Rational(1);
    Expression value = Node(Kind::kFunction, std::move(arguments), inverse ? "arc" + name : name);
    if (!exponent || inverse) return value;
    return Counted(Binary(Kind::kPower, std::move(value), std::move(*exponent)));
  }

  // \sin 2x: factors up to the next sign or function.
  Expression BareArgument() {
    std::vector<Expression> factors;
    do {
      factors.push_back(Power());
    } while (StartsFactor() && !(in_.Is(TokenType::kCommand) && IsFunctionName(in_.Now().text)));
    return Joined(Kind::kProduct, std::move(factors));
  }

  Expression Matrix(const std::string& environment) {
    constexpr std::array<std::string_view, 6> kMatrices = {"pmatrix", "bmatrix",     "matrix",
                                                           "Bmatrix", "smallmatrix", "array"};
    if (std::find(kMatrices.begin(), kMatrices.end(), environment) == kMatrices.end()) {
      Fail(ErrorCode::kInvalidArgument, "the environment {}", environment);
    }
    const std::string end = "end:" + environment;
    std::vector<Expression> cells;
    size_t rows = 0, columns = 0;
    while (!in_.Is(TokenType::kCommand, end)) {
      do {
        cells.push_back(Sum());
      } while (in_.Take("&"));
      if (rows++ == 0) columns = cells.size();
      if (cells.size() != rows * columns) {
        Fail(ErrorCode::kInvalidArgument, "a matrix with rows of different lengths");
      }
      if (!in_.Take("\\\\") && !in_.Is(TokenType::kCommand, end)) in_.Refuse();
    }
    in_.Skip();
    if (cells.empty()) Fail(ErrorCode::kInvalidArgument, "a matrix without rows");
    Expression matrix = Node(Kind::kMatrix, std::move(cells));
    matrix.number = Rational(static_cast<int64_t>(columns));
    return matrix;
  }

  Expression Brackets() {
    if (!in_.IsOneOf({"{", "(", "[", "\\{", "|", "lvert", "lfloor", "lceil"})) in_.Refuse();
    const std::string open = in_.Next();
    const bool bars = std::exchange(in_bars_, open == "|");
    Expression inside = Inside(open);
    in_bars_ = bars;
    return inside;
  }

  Expression Inside(const std::string& open) {
    if (open == "{") return Group();
    if (open == "\\{") return Set();
    return open == "(" || open == "[" ? Tuple(open) : Bars(open);
  }

  // Braces group; with commas inside they are a set in plain text.
  Expression Group() {
    std::vector<Expression> elements = Elements();
    in_.Expect("}");
    return Joined(Kind::kSet, std::move(elements));
  }

  Expression Bars(const std::string& open) {
    Expression inside = Sum();
    const bool rounded = open == "lfloor" || open == "lceil";
    in_.Expect(open == "|" ? "|" : "r" + open.substr(1));
    return Node(Kind::kFunction, std::move(inside), rounded ? open.substr(1) : "abs");
  }

  Expression Set() {
    if (in_.Take("\\}")) return Node(Kind::kSet, std::vector<Expression>{});
    std::vector<Expression> elements = Elements();
    in_.Expect("\\}");
    return Node(Kind::kSet, std::move(elements));
  }

  // Round or square brackets: a tuple or interval, or one expression in parentheses.
  Expression Tuple(const std::string& open) {
    std::vector<Expression> elements = Elements();
    if (!in_.IsOneOf({")", "]"})) in_.Refuse();
    const std::string close = in_.Next();
    if (elements.size() > 1) return Node(Kind::kTuple, std::move(elements), open + close);
    if ((open == "(") != (close == ")")) in_.Refuse();
    return std::move(elements[0]);
  }

  TokenStream in_;
  const Reading& reading_;
  Budget& budget_;
  int depth_ = 0;
  bool aligned_ = false;  // inside of an alignment
  bool in_bars_ = false;  // a bar closes rather than opens
};

}  // namespace

Expression Parse(std::string_view text, const Reading& reading, Budget& budget) {
  return Parser(TokenStream(Tokenize(text, reading)), reading, budget).Answer();
}

}  // namespace lorikeet::math
