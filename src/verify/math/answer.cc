#include "verify/math/answer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/text.h"
#include "verify/answer.h"

namespace lorikeet::math {
namespace {

constexpr size_t kMaxLine = 200;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool Strip(std::string_view& text, std::string_view open, std::string_view close) {
  if (text.size() < open.size() + close.size() || !text.starts_with(open) ||
      !text.ends_with(close)) {
    return false;
  }
  text = Trimmed(text.substr(open.size(), text.size() - open.size() - close.size()));
  return true;
}

// A full stop, but not the last one of an ellipsis behind a decimal: 0.333...
bool StripFullStop(std::string_view& text) {
  const size_t digits = text.find_last_not_of('.');
  const bool ellipsis = text.ends_with("...") && digits != std::string_view::npos &&
                        IsAsciiDigit(text[digits]) &&
                        text.substr(0, digits).find('.') != std::string_view::npos;
  if (ellipsis || !text.ends_with('.')) return false;
  text = Trimmed(text.substr(0, text.size() - 1));
  return true;
}

bool StripTrailing(std::string_view& text, std::string_view what) {
  if (what.empty() || !text.ends_with(what)) return false;
  text = Trimmed(text.substr(0, text.size() - what.size()));
  return true;
}

// `text` without the white space, delimiters of formulas, emphasis, quotes and punctuation around
// it.
std::string Clean(std::string_view text) {
  text = Trimmed(text);
  for (bool changed = true; changed;) {
    changed = Strip(text, "$$", "$$") || Strip(text, "$", "$") || Strip(text, "\\(", "\\)") ||
              Strip(text, "\\[", "\\]") || Strip(text, "**", "**") || Strip(text, "*", "*") ||
              Strip(text, "`", "`") || Strip(text, "\"", "\"") || StripFullStop(text) ||
              StripTrailing(text, ",") || StripTrailing(text, ";") || StripTrailing(text, ":") ||
              StripTrailing(text, "**");
  }
  return std::string(text);
}

std::string_view InAnswerTag(std::string_view text) {
  constexpr std::string_view kOpen = "<answer>", kClose = "</answer>";
  const size_t close = text.rfind(kClose);
  if (close == std::string_view::npos) return text;
  const size_t open = text.rfind(kOpen, close);
  if (open == std::string_view::npos) return text;
  return text.substr(open + kOpen.size(), close - open - kOpen.size());
}

// Offset of the brace that closes the one at `open`.
size_t ClosingBrace(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

std::optional<FinalAnswer> Boxed(std::string_view text) {
  constexpr std::string_view kBoxed = "\\boxed", kFbox = "\\fbox";
  const auto begin_of = [&](std::string_view command) {
    const size_t at = text.rfind(command);
    return at == std::string_view::npos ? 0 : at + command.size();
  };
  size_t at = std::max(begin_of(kBoxed), begin_of(kFbox));
  if (at == 0) return std::nullopt;
  while (at < text.size() && text[at] == ' ') ++at;
  if (at < text.size() && text[at] == '{') {
    const size_t close = ClosingBrace(text, at);
    if (close == std::string_view::npos) return FinalAnswer{"", "the last \\boxed is not closed"};
    std::string inside = Clean(text.substr(at + 1, close - at - 1));
    if (inside.empty()) return FinalAnswer{"", "the last \\boxed is empty"};
    return FinalAnswer{std::move(inside), kBoxed};
  }
  const size_t end = std::min(text.find_first_of(" \t\r\n$", at), text.size());  // \boxed 5
  std::string inside = Clean(text.substr(at, end - at));
  if (inside.empty()) return FinalAnswer{"", "the last \\boxed is empty"};
  return FinalAnswer{std::move(inside), kBoxed};
}

std::optional<FinalAnswer> Hashes(std::string_view text) {
  constexpr std::string_view kHashes = "####";
  const size_t at = text.rfind(kHashes);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(at + kHashes.size());
  line = line.substr(0, line.find('\n'));
  std::string answer = Clean(line);
  if (answer.empty()) return FinalAnswer{"", "the last line with #### is empty"};
  return FinalAnswer{std::move(answer), kHashes};
}

struct Formula {
  size_t begin = 0, end = 0;  // its contents
  size_t behind = 0;          // offset after the closing delimiter
};

// The formula whose opening delimiter is at text[at]. A dollar sign opens a formula if no space
// follows, and closes one if no space precedes and no digit follows: "$5 and $6" are prices.
std::optional<Formula> FormulaAt(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  for (const auto& [open, close] : {std::pair<std::string_view, std::string_view>{"\\(", "\\)"},
                                    {"\\[", "\\]"},
                                    {"$$", "$$"}}) {
    if (!rest.starts_with(open)) continue;
    const size_t end = text.find(close, at + open.size());
    if (end == std::string_view::npos) return std::nullopt;
    return Formula{at + open.size(), end, end + close.size()};
  }
  if (!rest.starts_with("$") || rest.size() < 2 || IsSpace(rest[1])) return std::nullopt;
  for (size_t i = at + 1; i < text.size() && text[i] != '\n'; ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '$') {
      const bool closes =
          !IsSpace(text[i - 1]) && (i + 1 == text.size() || !IsAsciiDigit(text[i + 1]));
      if (closes && i > at + 1) return Formula{at + 1, i, i + 1};
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// The first sentence of `text`, which ends with its line or at a full stop before a space.
std::string_view Sentence(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  for (size_t i = 0; i < text.size(); ++i) {
    const bool stop = text[i] == '.' || text[i] == '?';
    if (stop && (i + 1 == text.size() || IsSpace(text[i + 1]))) return text.substr(0, i);
  }
  return text;
}

std::string_view WithoutReason(std::string_view text) {
  const std::string lower = LowerAscii(text);
  for (const std::string_view word : {" because ", " since ", ", because ", ", since "}) {
    text = text.substr(0, std::min(lower.find(word), text.size()));
  }
  return text;
}

// Offset after "answer" at `at` and "is", "are", ":" or "=", with emphasis around; 0 without them.
size_t BehindAnchor(std::string_view lower, size_t at) {
  constexpr std::string_view kFiller = "*_` \"", kMore = "*_` \":=\t\r\n";
  at = std::min(lower.find_first_not_of(kFiller, at), lower.size());
  const std::string_view rest = lower.substr(at);
  const bool sign = rest.starts_with(":") || rest.starts_with("=");
  const size_t length = sign ? 1 : rest.starts_with("is") ? 2 : rest.starts_with("are") ? 3 : 0;
  if (length == 0) return 0;
  if (!sign && rest.size() > length && IsAsciiLetter(rest[length])) return 0;
  return std::min(lower.find_first_not_of(kMore, at + length), lower.size());
}

std::optional<FinalAnswer> Announced(std::string_view text) {
  constexpr std::string_view kWord = "answer";
  const std::string lower = LowerAscii(text);
  for (size_t at = lower.rfind(kWord); at != std::string::npos;
       at = at == 0 ? std::string::npos : lower.rfind(kWord, at - 1)) {
    size_t begin = BehindAnchor(lower, at + kWord.size());
    if (begin == 0) begin = BehindAnswerHeading(text, at);
    if (begin == 0) continue;
    std::string answer;
    if (const std::optional<Formula> formula = FormulaAt(text, begin)) {
      answer = Clean(text.substr(formula->begin, formula->end - formula->begin));
    } else {
      answer = Clean(WithoutReason(Sentence(text.substr(begin))));
    }
    if (answer.empty()) return FinalAnswer{"", "nothing follows \"answer is\""};
    return FinalAnswer{std::move(answer), "answer is"};
  }
  return std::nullopt;
}

std::optional<FinalAnswer> LastFormula(std::string_view text) {
  std::optional<Formula> last;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '$') {
      ++i;
      continue;
    }
    if (text[i] != '$' && text[i] != '\\') continue;
    const std::optional<Formula> formula = FormulaAt(text, i);
    if (!formula) continue;
    last = formula;
    i = formula->behind - 1;
  }
  if (!last) return std::nullopt;
  std::string answer = Clean(text.substr(last->begin, last->end - last->begin));
  if (answer.empty()) return FinalAnswer{"", "the last formula is empty"};
  return FinalAnswer{std::move(answer), "the last formula"};
}

FinalAnswer WholeLine(std::string_view text) {
  if (text.find('\n') != std::string_view::npos || text.size() > kMaxLine) {
    return {"", "no \\boxed{...}, no \"answer is\", no formula"};
  }
  std::string answer = Clean(text);
  if (answer.empty()) return {"", "no text, or thinking that does not end"};
  return {std::move(answer), "the text"};
}

}  // namespace

FinalAnswer ExtractAnswer(std::string_view completion) {
  const std::string_view text = Trimmed(InAnswerTag(FinalText(completion)));
  if (auto answer = Boxed(text)) return *answer;
  if (auto answer = Hashes(text)) return *answer;
  if (auto answer = Announced(text)) return *answer;
  if (auto answer = LastFormula(text)) return *answer;
  return WholeLine(text);
}

std::string ReferenceAnswer(std::string_view reference) {
  if (auto answer = Boxed(reference)) return answer->text;
  if (auto answer = Hashes(reference)) return answer->text;
  return Clean(reference);
}

}  // namespace lorikeet::math
