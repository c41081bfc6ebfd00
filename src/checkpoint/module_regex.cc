#include "checkpoint/module_regex.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "checkpoint/quote.h"
#include "core/error.h"

namespace lorikeet {
namespace {

using Step = ModuleRegex::Step;
using Kind = Step::Kind;
using Program = std::vector<Step>;

constexpr size_t kMostSteps = 20000;
constexpr int kMostDepth = 50;

bool IsWord(unsigned char c) { return std::isalnum(c) != 0 || c == '_'; }

template <class Predicate>
std::bitset<256> BytesWhere(const Predicate& predicate) {
  std::bitset<256> bytes;
  for (int c = 0; c < 256; ++c)
    bytes[static_cast<size_t>(c)] = predicate(static_cast<unsigned char>(c));
  return bytes;
}

// Recursive descent; every function returns the program of what it read.
class Parser {
 public:
  Parser(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  Program Parse() {
    Program program = Alternatives(0);
    if (at_ != pattern_.size()) Refuse("an unmatched )");
    program.push_back({Kind::kMatch});
    return program;
  }

 private:
  [[noreturn]] void Refuse(const char* what) const {
    Fail(ErrorCode::kUnsupported, "{}: regular expression {} has {} at character {}", where_,
         Quote(pattern_), what, at_ + 1);
  }
  bool More() const { return at_ < pattern_.size(); }
  bool Take(char c) {
    if (!More() || pattern_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Append(Program& to, const Program& piece) const {
    if (to.size() + piece.size() > kMostSteps) Refuse("too many repetitions");
    to.insert(to.end(), piece.begin(), piece.end());
  }

  Program Alternatives(int depth) {
    if (depth > kMostDepth) Refuse("too deep a nesting");
    Program left = Sequence(depth);
    while (Take('|')) {
      const Program right = Sequence(depth);
      // split L | left | jump end | L: right | end:
      Program both{{Kind::kSplit, static_cast<int>(left.size()) + 2}};
      Append(both, left);
      both.push_back({Kind::kJump, static_cast<int>(right.size()) + 1});
      Append(both, right);
      left = std::move(both);
    }
    return left;
  }

  Program Sequence(int depth) {
    Program program;
    while (More() && pattern_[at_] != '|' && pattern_[at_] != ')') {
      Append(program, Repeated(Atom(depth)));
    }
    return program;
  }

  Program Repeated(const Program& piece) {
    if (Take('*')) return Lazy(Repeat(piece, 0, kNoMost));
    if (Take('+')) return Lazy(Repeat(piece, 1, kNoMost));
    if (Take('?')) return Lazy(Repeat(piece, 0, 1));
    if (!Take('{')) return piece;
    const int least = Number();
    const int most = Take(',') ? (More() && pattern_[at_] == '}' ? kNoMost : Number()) : least;
    if (!Take('}') || most < least) Refuse("a malformed {m,n}");
    return Lazy(Repeat(piece, least, most));
  }
  // Whether a repetition is lazy does not change what matches in full.
  Program Lazy(Program program) {
    Take('?');
    if (More() && (pattern_[at_] == '*' || pattern_[at_] == '+' || pattern_[at_] == '{')) {
      Refuse("a repetition of a repetition");
    }
    return program;
  }
  Program Repeat(const Program& piece, int least, int most) const {
    const int size = static_cast<int>(piece.size());
    Program program;
    for (int i = 0; i < least; ++i) Append(program, piece);
    if (most == kNoMost) {  // L: split end | piece | jump L | end:
      Append(program, {{Kind::kSplit, size + 2}});
      Append(program, piece);
      Append(program, {{Kind::kJump, -(size + 1)}});
      return program;
    }
    for (int i = least; i < most; ++i) {  // each may be the last
      Append(program, {{Kind::kSplit, size + 1}});
      Append(program, piece);
    }
    return program;
  }
  int Number() {
    int number = 0;
    const size_t begin = at_;
    while (More() && std::isdigit(static_cast<unsigned char>(pattern_[at_])) != 0) {
      number = number * 10 + (pattern_[at_++] - '0');
      if (number > 1000) Refuse("a repetition of more than 1000");
    }
    if (at_ == begin) Refuse("a malformed {m,n}");
    return number;
  }

  Program Atom(int depth) {
    const char c = pattern_[at_++];
    switch (c) {
      case '(':
        return Group(depth);
      case '[':
        return {{Kind::kByte, 0, Class()}};
      case '.':
        return {{Kind::kByte, 0, BytesWhere([](unsigned char b) { return b != '\n'; })}};
      case '^':
        return {{Kind::kBegin}};
      case '$':
        return {{Kind::kEnd}};
      case '\\':
        return Escape();
      case '*':
      case '+':
      case '?':
      case '{':
        --at_;
        Refuse("a repetition of nothing");
      default:
        return {{Kind::kByte, 0, std::bitset<256>().set(static_cast<unsigned char>(c))}};
    }
  }

  Program Group(int depth) {
    if (Take('?') && !Take(':')) Refuse("an unsupported kind of group");
    Program program = Alternatives(depth + 1);
    if (!Take(')')) Refuse("a group that does not end");
    return program;
  }

  Program Escape() {
    if (More() && (pattern_[at_] == 'b' || pattern_[at_] == 'B')) {
      return {{pattern_[at_++] == 'b' ? Kind::kBoundary : Kind::kNotBoundary}};
    }
    return {{Kind::kByte, 0, EscapedBytes()}};
  }

  std::bitset<256> EscapedBytes() {
    if (!More()) Refuse("a \\ at its end");
    const auto c = static_cast<unsigned char>(pattern_[at_++]);
    switch (c) {
      case 'd':
        return BytesWhere([](unsigned char b) { return std::isdigit(b) != 0; });
      case 'D':
        return BytesWhere([](unsigned char b) { return std::isdigit(b) == 0; });
      case 'w':
        return BytesWhere(IsWord);
      case 'W':
        return BytesWhere([](unsigned char b) { return !IsWord(b); });
      case 's':
        return BytesWhere([](unsigned char b) { return std::isspace(b) != 0; });
      case 'S':
        return BytesWhere([](unsigned char b) { return std::isspace(b) == 0; });
      default:
        if (std::isalnum(c) != 0) Refuse("an unsupported escape");
        return std::bitset<256>().set(c);
    }
  }

  // After the [. A ] that comes first is one of its members.
  std::bitset<256> Class() {
    const bool negated = Take('^');
    std::bitset<256> bytes;
    for (bool first = true; first || !Take(']'); first = false) {
      if (!More()) Refuse("a [ that does not end");
      const bool escaped = Take('\\');
      if (escaped && std::isalnum(static_cast<unsigned char>(More() ? pattern_[at_] : '\\')) != 0) {
        bytes |= EscapedBytes();
        continue;
      }
      if (!More()) Refuse("a [ that does not end");
      const auto low = static_cast<unsigned char>(pattern_[at_++]);
      unsigned char high = low;
      if (at_ + 1 < pattern_.size() && pattern_[at_] == '-' && pattern_[at_ + 1] != ']') {
        high = static_cast<unsigned char>(pattern_[at_ + 1]);
        at_ += 2;
        if (high == '\\' || high < low) Refuse("a malformed range");
      }
      for (int b = low; b <= high; ++b) bytes.set(static_cast<size_t>(b));
    }
    return negated ? ~bytes : bytes;
  }

  static constexpr int kNoMost = std::numeric_limits<int>::max();
  std::string_view pattern_;
  const std::string& where_;
  size_t at_ = 0;
};

// The set of steps that the machine is in, all at once: no backtracking.
class States {
 public:
  explicit States(const Program& program) : program_(program), seen_(program.size()) {}

  void Clear() {
    std::fill(seen_.begin(), seen_.end(), false);
    steps_.clear();
    matched_ = false;
  }
  // Enters a step, and all that follow from it without reading a byte of `text` at `at`.
  void Enter(size_t step, std::string_view text, size_t at) {
    pending_.push_back(step);
    while (!pending_.empty()) {
      const size_t now = pending_.back();
      pending_.pop_back();
      if (seen_[now]) continue;
      seen_[now] = true;
      Follow(now, text, at);
    }
  }
  const std::vector<size_t>& steps() const { return steps_; }  // those that wait for a byte
  bool matched() const { return matched_; }

 private:
  void Follow(size_t now, std::string_view text, size_t at) {
    const Step& step = program_[now];
    const auto other = static_cast<size_t>(static_cast<int64_t>(now) + step.to);
    const bool boundary = (at > 0 && IsWord(static_cast<unsigned char>(text[at - 1]))) !=
                          (at < text.size() && IsWord(static_cast<unsigned char>(text[at])));
    bool on = false;
    switch (step.kind) {
      case Kind::kByte:
        steps_.push_back(now);
        return;
      case Kind::kMatch:
        matched_ = true;
        return;
      case Kind::kJump:
        pending_.push_back(other);
        return;
      case Kind::kSplit:
        pending_.push_back(other);
        on = true;
        break;
      case Kind::kBegin:
        on = at == 0;
        break;
      case Kind::kEnd:
        on = at == text.size();
        break;
      case Kind::kBoundary:
        on = boundary;
        break;
      case Kind::kNotBoundary:
        on = !boundary;
        break;
    }
    if (on) pending_.push_back(now + 1);
  }

  const Program& program_;
  std::vector<bool> seen_;
  std::vector<size_t> steps_, pending_;
  bool matched_ = false;
};

}  // namespace

ModuleRegex::ModuleRegex(std::string_view pattern, const std::string& where)
    : program_(Parser(pattern, where).Parse()) {}

bool ModuleRegex::FullMatch(std::string_view text) const {
  States even(program_), odd(program_);
  States *now = &even, *next = &odd;
  now->Enter(0, text, 0);
  for (size_t at = 0; at < text.size(); ++at) {
    next->Clear();
    for (const size_t step : now->steps()) {
      if (program_[step].bytes[static_cast<unsigned char>(text[at])]) {
        next->Enter(step + 1, text, at + 1);
      }
    }
    std::swap(now, next);
  }
  return now->matched();
}

}  // namespace lorikeet
