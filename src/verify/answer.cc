#include "verify/answer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/text.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxRead = 16 << 10;   // bytes at the end of a text
constexpr size_t kMaxMarkers = 16;      // "answer"
constexpr size_t kMaxTokenLength = 40;  // of <|...|>

// Length of the token that ends a turn at the end of `text`, or 0.
size_t EndTokenLength(std::string_view text) {
  for (const std::string_view token :
       {"</s>", "<eos>", "<pad>", "<end_of_turn>", "<｜end▁of▁sentence｜>", "[EOS]"}) {
    if (text.ends_with(token)) return token.size();
  }
  if (!text.ends_with("|>")) return 0;
  const size_t open = text.rfind("<|");
  return open == std::string_view::npos || text.size() - open > kMaxTokenLength
             ? 0
             : text.size() - open;
}

std::string_view BehindThinking(std::string_view text) {
  for (const std::string_view tag : {"think>", "thinking>"}) {
    const std::string open = "<" + std::string(tag), close = "</" + std::string(tag);
    const size_t at = text.rfind(close);
    if (at != std::string_view::npos) text = text.substr(at + close.size());
    if (text.find(open) != std::string_view::npos) return {};
  }
  return text;
}

// Contents of the last <answer>...</answer>.
std::optional<std::string_view> InAnswerTag(std::string_view text) {
  constexpr std::string_view kOpen = "<answer>", kClose = "</answer>";
  const size_t close = text.rfind(kClose);
  if (close == std::string_view::npos) return std::nullopt;
  const size_t open = text.rfind(kOpen, close);
  if (open == std::string_view::npos) return std::nullopt;
  return Trimmed(text.substr(open + kOpen.size(), close - open - kOpen.size()));
}

// Contents of the brace before `text`; to the end of the line if it is not closed.
std::string_view InBraces(std::string_view text) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return text.substr(1, i - 1);
    }
  }
  return text.substr(1, text.find('\n') - 1);
}

std::optional<std::string_view> LastBoxed(std::string_view text) {
  size_t begin = 0;
  for (const std::string_view command : {"\\boxed{", "\\fbox{"}) {
    const size_t at = text.rfind(command);
    if (at != std::string_view::npos) begin = std::max(begin, at + command.size() - 1);
  }
  if (begin == 0) return std::nullopt;
  return Trimmed(InBraces(text.substr(begin)));
}

// Offset of the answer if the word "answer" ends at `at`; npos if it does not announce one.
size_t BehindMarker(std::string_view lower, size_t at) {
  constexpr std::string_view kEmphasis = "*_`\" \t", kMore = "*_`\": \t";
  at = std::min(lower.find_first_not_of(kEmphasis, at), lower.size());
  const std::string_view rest = lower.substr(at);
  const bool sign = rest.starts_with(":") || rest.starts_with("=");
  const bool is = rest.starts_with("is") && (rest.size() == 2 || !IsAsciiLetter(rest[2]));
  if (!sign && !is) return std::string_view::npos;
  return std::min(lower.find_first_not_of(kMore, at + (sign ? 1 : 2)), lower.size());
}

std::string_view MarkedPart(std::string_view behind, Extent extent) {
  behind = Trimmed(behind);  // skips the rest of the line if it is empty
  return extent == Extent::kRest ? behind : Trimmed(behind.substr(0, behind.find('\n')));
}

// A word that stands between the numbers of one expression or of a choice.
bool IsJoiner(std::string_view word) {
  constexpr std::array<std::string_view, 17> kJoiners = {
      "and", "or",  "to",      "by",   "x",    "times", "plus", "minus", "over",
      "mod", "div", "divided", "cdot", "frac", "dfrac", "sqrt", "maybe"};
  return std::find(kJoiners.begin(), kJoiners.end(), word) != kJoiners.end();
}

// Bytes of the operator or dash at the front of `text`, which is not ASCII; 0 if it is a letter.
size_t OperatorLength(std::string_view text) {
  for (const std::string_view sign : {"×", "÷", "−", "·", "⋅", "∗", "–", "—", "√"}) {
    if (text.starts_with(sign)) return sign.size();
  }
  return 0;
}

}  // namespace

std::string_view FinalText(std::string_view completion, Spaces spaces) {
  const auto trimmed = [&](std::string_view text) {
    return spaces == Spaces::kTrim ? Trimmed(text) : text;
  };
  std::string_view text = trimmed(completion);
  while (const size_t length = EndTokenLength(text)) {
    text = trimmed(text.substr(0, text.size() - length));
  }
  return trimmed(BehindThinking(text));
}

std::vector<Region> AnswerRegions(std::string_view final_text, Extent extent) {
  std::string_view text = final_text;
  const std::optional<std::string_view> tagged = InAnswerTag(text);
  if (tagged) text = *tagged;
  if (text.size() > kMaxRead) text = text.substr(text.size() - kMaxRead);
  std::vector<Region> regions;
  if (const auto boxed = LastBoxed(text)) regions.push_back({*boxed, true});
  constexpr std::string_view kWord = "answer";
  const std::string lower = LowerAscii(text);
  size_t at = lower.rfind(kWord);
  for (size_t found = 0; at != std::string::npos && found < kMaxMarkers; ++found) {
    size_t begin = BehindMarker(lower, at + kWord.size());
    if (begin == std::string_view::npos) {
      const size_t below = BehindAnswerHeading(text, at);
      if (below != 0) begin = below;
    }
    if (begin != std::string_view::npos)
      regions.push_back({MarkedPart(text.substr(begin), extent), true});
    at = at == 0 ? std::string::npos : lower.rfind(kWord, at - 1);
  }
  regions.push_back({text, tagged.has_value()});
  return regions;
}

size_t BehindAnswerHeading(std::string_view text, size_t at) {
  const size_t before = text.rfind('\n', at);
  const size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const size_t end = text.find('\n', at);
  if (end == std::string_view::npos) return 0;
  const std::string_view line = text.substr(begin, end - begin);
  constexpr std::string_view kMarkup = "#*_ \t\r:";
  std::string words;
  for (const char c : LowerAscii(line)) {
    if (kMarkup.find(c) == std::string_view::npos) words.push_back(c);
  }
  constexpr std::array<std::string_view, 4> kHeadings = {"answer", "finalanswer", "theanswer",
                                                         "thefinalanswer"};
  if (std::find(kHeadings.begin(), kHeadings.end(), words) == kHeadings.end()) return 0;
  const size_t next = text.find_first_not_of(" \t\r\n", end);
  return next == std::string_view::npos ? 0 : next;
}

bool Joined(std::string_view gap) {
  if (gap.find_first_of("\n=") != std::string_view::npos ||
      gap.find("->") != std::string_view::npos)
    return false;
  const size_t first = gap.find_first_not_of(" *_`$%");
  if (first != std::string_view::npos && gap[first] == '(') return false;
  for (size_t i = 0; i < gap.size();) {
    const bool space_behind = i + 1 < gap.size() && IsSpace(gap[i + 1]);
    if (space_behind && (gap[i] == '.' || gap[i] == '!' || gap[i] == '?' || gap[i] == ':')) {
      return false;
    }
    if (static_cast<unsigned char>(gap[i]) >= 0x80) {
      const size_t length = OperatorLength(gap.substr(i));
      if (length == 0) return false;  // a letter of another script, an arrow
      i += length;
    } else if (IsAsciiLetter(gap[i])) {
      size_t end = i;
      while (end < gap.size() && IsAsciiLetter(gap[end])) ++end;
      if (!IsJoiner(LowerAscii(gap.substr(i, end - i)))) return false;
      i = end;
    } else {
      ++i;
    }
  }
  return true;
}

}  // namespace lorikeet
