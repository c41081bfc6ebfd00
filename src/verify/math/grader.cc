#include "verify/math/grader.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"
#include "verify/math/answer.h"
#include "verify/math/compare.h"
#include "verify/math/parser.h"
#include "verify/math/statement.h"

namespace lorikeet {
namespace {

using math::Expression;
using math::Reading;

constexpr size_t kMaxAnswer = 2000;       // bytes; a longer text is not an answer
constexpr size_t kMaxReference = 10'000;  // bytes

// A text without white space, except one space between letters and digits: 7 3/4 is not 73/4.
class NormalizedText {
 public:
  void Space() { space_ = true; }
  void Put(char c) {
    if (space_ && !text_.empty() && IsWordByte(text_.back()) && IsWordByte(c)) text_ += ' ';
    text_ += c;
    space_ = false;
  }
  std::string Take() { return std::move(text_); }

 private:
  static bool IsWordByte(char c) {
    return IsAsciiLetter(c) || IsAsciiDigit(c) || static_cast<unsigned char>(c) >= 0x80;
  }
  std::string text_;
  bool space_ = false;
};

// "6:30p.m." as "6:30pm", "a.m." likewise; the last full stop may be missing.
std::string WithPlainHours(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string rest = LowerAscii(std::string_view(text).substr(i, 4));
    const bool hours = (rest.starts_with("a.m") || rest.starts_with("p.m")) && i > 0 &&
                       (IsAsciiDigit(text[i - 1]) || text[i - 1] == ' ') &&
                       (rest.size() < 4 || !IsAsciiLetter(rest[3]));
    if (!hours) {
      plain.push_back(text[i]);
      continue;
    }
    plain += {text[i], 'm'};
    i += rest.ends_with('.') ? 3 : 2;
  }
  return plain;
}

// `text` without typesetting commands and white space, and with text commands unwrapped.
std::string Normalized(std::string_view text) {
  constexpr std::array<std::string_view, 8> kTextCommands = {
      "\\text{",   "\\textbf{", "\\textit{", "\\textrm{",
      "\\mathrm{", "\\mathbf{", "\\mbox{",   "\\operatorname{"};
  constexpr std::array<std::string_view, 9> kSpaces = {"\\,", "\\;", "\\:", "\\ ", " ",
                                                       "\t",  "\n",  "\r",  "~"};
  constexpr std::array<std::string_view, 6> kDropped = {"\\left", "\\right", "\\displaystyle",
                                                        "\\!",    "\\$",     "$"};
  NormalizedText out;
  std::vector<bool> kept_braces;  // for each open brace
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    const auto one_of = [&](const auto& names) -> size_t {
      for (const std::string_view name : names) {
        const bool longer_name = IsAsciiLetter(name.back()) && rest.size() > name.size() &&
                                 IsAsciiLetter(rest[name.size()]);  // \leftarrow
        if (rest.starts_with(name) && !longer_name) return name.size();
      }
      return 0;
    };
    if (const size_t length = one_of(kTextCommands)) {
      kept_braces.push_back(false);
      i += length;
    } else if (const size_t space = one_of(kSpaces)) {
      out.Space();
      i += space;
    } else if (const size_t dropped = one_of(kDropped)) {
      i += dropped;
    } else if (rest.starts_with("{:}")) {
      out.Put(':');
      i += 3;
    } else if (rest.starts_with("\\dfrac") || rest.starts_with("\\tfrac")) {
      out.Put('\\');  // and the rest of \frac
      i += 2;
    } else {
      bool keep = true;
      if (text[i] == '{') kept_braces.push_back(true);
      if (text[i] == '}' && !kept_braces.empty()) {
        keep = kept_braces.back();
        kept_braces.pop_back();
      }
      if (keep) out.Put(text[i]);
      ++i;
    }
  }
  return WithPlainHours(out.Take());
}

// Whether a text consists of words only: the case of their letters does not matter.
bool IsWords(std::string_view normalized) {
  size_t letters = 0;
  for (const char c : normalized) {
    const bool other = static_cast<unsigned char>(c) >= 0x80;
    if (!IsAsciiLetter(c) && !other &&
        std::string_view(" -'.,").find(c) == std::string_view::npos) {
      return false;
    }
    letters += IsAsciiLetter(c) || other ? 1 : 0;
  }
  return letters >= 2;
}

// Whether a text is words, possibly with numbers ("3:40 pm"), rather than unparsed mathematics.
bool IsText(std::string_view normalized) {
  size_t run = 0, longest = 0;
  for (const char c : normalized) {
    if (std::string_view("\\{}^_=<>").find(c) != std::string_view::npos) return false;
    run = IsAsciiLetter(c) ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest >= 2;
}

// "B", "(B)", "B.": the letter, else 0. Text after it ("(B) 12") is allowed only if `more`.
char ChoiceOf(std::string_view text, bool more) {
  const bool open = text.starts_with("(") || text.starts_with("[");
  if (open) text.remove_prefix(1);
  if (text.empty() || !IsAsciiLetter(text[0])) return 0;
  if (!open && !more && text[0] >= 'a') return 0;  // a variable
  const char letter = LowerAscii(text.substr(0, 1))[0];
  if (letter > 'j') return 0;
  text.remove_prefix(1);
  if (text.empty()) return open ? '\0' : letter;
  const std::string_view closers = open ? ")]" : ").:";
  if (closers.find(text[0]) == std::string_view::npos) return 0;
  return text.size() == 1 || more ? letter : '\0';
}

// The readings of an ambiguous text: "1,234" one number or two, "2e-1" a power of ten or a sum, "5
// m" a length or a product.
std::vector<Reading> ReadingsOf(std::string_view text, const std::set<std::string>* variables) {
  bool thousands = false, scientific = false, letters = false;
  const bool ellipsis = text.find("dots") != std::string_view::npos ||
                        text.find("...") != std::string_view::npos ||
                        text.find("…") != std::string_view::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    letters = letters || IsAsciiLetter(text[i]);
    if (i == 0 || i + 1 >= text.size() || !IsAsciiDigit(text[i - 1])) continue;
    const char next = text[i + 1];
    thousands = thousands || ((text[i] == ',' || text[i] == ' ') && IsAsciiDigit(next));
    scientific = scientific || ((text[i] == 'e' || text[i] == 'E') &&
                                (IsAsciiDigit(next) || next == '-' || next == '+'));
  }
  std::vector<Reading> readings = {{.variables = variables}};
  const auto vary = [&](bool possible, auto change) {
    if (!possible) return;
    for (size_t i = 0, n = readings.size(); i < n; ++i) {
      readings.push_back(readings[i]);
      change(readings.back());
    }
  };
  vary(letters, [](Reading& reading) { reading.units = true; });
  vary(thousands, [](Reading& reading) { reading.thousands = false; });
  vary(ellipsis, [](Reading& reading) { reading.repeating = false; });
  vary(scientific, [](Reading& reading) { reading.scientific = false; });
  return readings;
}

struct Parsed {
  std::vector<Expression> expressions;  // distinct ones of all readings
  std::string error;                    // error of the first reading if there are none
  bool over_budget = false;
};

void ParseInto(Parsed& parsed, std::string_view text, const std::set<std::string>* variables) {
  for (const Reading& reading : ReadingsOf(text, variables)) {
    try {
      math::Budget budget;
      Expression expression = math::Parse(text, reading, budget);
      const auto same = std::find(parsed.expressions.begin(), parsed.expressions.end(), expression);
      if (same == parsed.expressions.end()) parsed.expressions.push_back(std::move(expression));
    } catch (const Error& error) {
      if (parsed.error.empty()) parsed.error = error.what();
      parsed.over_budget = parsed.over_budget || error.code() == ErrorCode::kOutOfMemory;
    }
  }
}

Parsed ParseReference(std::string_view text) {
  Parsed parsed;
  ParseInto(parsed, text, nullptr);
  return parsed;
}

Parsed ParseAnswer(std::string_view text, const std::set<std::string>& variables) {
  Parsed parsed;
  ParseInto(parsed, text, &variables);
  // "The answer is 5!" may be a factorial or an exclamation.
  if (text.ends_with('!')) ParseInto(parsed, text.substr(0, text.size() - 1), &variables);
  return parsed;
}

// Compares any reading of one with any reading of the other.
math::Match CompareAll(const Parsed& reference, const Parsed& answer) {
  math::Scope scope;
  math::Match open = math::Match::kDifferent;  // kUnknown or kUnproven if a pair was
  for (const Expression& a : reference.expressions) {
    for (const Expression& b : answer.expressions) {
      const math::Match match = math::Compare(a, b, scope);
      if (match == math::Match::kEqual) return match;
      if (match != math::Match::kDifferent) open = match;
    }
  }
  return open;
}

std::string Unreadable(std::string_view reference, const std::string& why) {
  return fmt::format("the reference {} cannot be read: {}", Quoted(reference), why);
}
std::string WithoutValue(std::string_view reference) {
  return fmt::format("the reference {} has no value that is known", Quoted(reference));
}

Grade GradeByValue(const std::string& reference, const std::string& answer) {
  const Parsed expected = ParseReference(reference);
  if (expected.expressions.empty()) {
    if (LowerAscii(Normalized(reference)) == LowerAscii(Normalized(answer)))
      return Grade::Correct();
    if (IsText(Normalized(reference))) {
      return Grade::Wrong(fmt::format("{} is not {}", Quoted(answer), Quoted(reference)));
    }
    return Grade::Invalid(Unreadable(reference, expected.error));
  }
  std::set<std::string> variables;
  for (const Expression& e : expected.expressions) variables.merge(math::Variables(e));
  const Parsed given = ParseAnswer(answer, variables);
  if (given.expressions.empty()) {
    std::string reason = fmt::format("{} cannot be read: {}", Quoted(answer), given.error);
    return given.over_budget ? Grade::Invalid(std::move(reason)) : Grade::Wrong(std::move(reason));
  }
  switch (CompareAll(expected, given)) {
    case math::Match::kEqual:
      return Grade::Correct();
    case math::Match::kDifferent:
      return Grade::Wrong(fmt::format("{} is not {}", Quoted(answer), Quoted(reference)));
    case math::Match::kUnproven:
      return Grade::Invalid(
          fmt::format("{} agrees with the reference {} as far as it was computed, "
                      "but is not proven equal",
                      Quoted(answer), Quoted(reference)));
    default:
      return Grade::Invalid(WithoutValue(reference));
  }
}

Grade GradeAnswer(const std::string& reference, const std::string& answer) {
  if (reference.empty()) return Grade::Invalid("the reference is empty");
  if (reference.size() > kMaxReference) return Grade::Invalid("the reference is too long");
  if (answer.size() > kMaxAnswer && answer != reference) {
    return Grade::Wrong(fmt::format("{} bytes are no answer", answer.size()));
  }
  const std::string expected = Normalized(reference), given = Normalized(answer);
  if (expected == given) return Grade::Correct();
  if (IsWords(expected) && LowerAscii(expected) == LowerAscii(given)) return Grade::Correct();
  if (const char choice = ChoiceOf(expected, /*more=*/false)) {
    if (const char chosen = ChoiceOf(given, /*more=*/true)) {
      if (choice == chosen) return Grade::Correct();
      return Grade::Wrong(fmt::format("{} is not {}", Quoted(answer), Quoted(reference)));
    }
  }
  return GradeByValue(reference, answer);
}

// Whether a number can be told from one of the readings.
bool HasKnownValue(const Parsed& reference) {
  const Parsed number = ParseReference("7");
  math::Scope scope;
  return std::any_of(reference.expressions.begin(), reference.expressions.end(),
                     [&](const Expression& expression) {
                       return math::Compare(expression, number.expressions.front(), scope) !=
                              math::Match::kUnknown;
                     });
}

}  // namespace

Grade GradeMath(std::string_view reference, std::string_view completion) {
  std::string expected, given;
  try {
    math::FinalAnswer answer = math::ExtractAnswer(completion);
    expected = math::ReferenceAnswer(reference);
    if (expected.empty()) return Grade::Invalid("the reference is empty");
    if (answer.text.empty()) return Grade::Wrong(fmt::format("no answer: {}", answer.where));
    given = std::move(answer.text);
    return GradeAnswer(expected, given);
  } catch (const std::exception& error) {  // budget or memory exhausted
    return Grade::Invalid(fmt::format("comparing {} with the reference {}: {}", Quoted(given),
                                      Quoted(expected), error.what()));
  }
}

std::string UnusableMathReference(std::string_view reference) {
  try {
    const std::string expected = math::ReferenceAnswer(reference);
    if (expected.empty()) return "the reference is empty";
    if (expected.size() > kMaxReference) return "the reference is too long";
    const std::string normalized = Normalized(expected);
    if (IsWords(normalized) || ChoiceOf(normalized, /*more=*/false) != '\0') return "";
    const Parsed parsed = ParseReference(expected);
    if (parsed.expressions.empty()) {
      return IsText(normalized) ? "" : Unreadable(expected, parsed.error);
    }
    return HasKnownValue(parsed) ? "" : WithoutValue(expected);
  } catch (const std::exception& error) {  // budget or memory exhausted
    return fmt::format("the reference {}: {}", Quoted(reference), error.what());
  }
}

}  // namespace lorikeet
