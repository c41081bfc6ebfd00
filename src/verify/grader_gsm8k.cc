// The conventions of GSM8K: the reference is the text after the last "####".
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "core/text.h"
#include "verify/grader.h"
#include "verify/number_answer.h"

namespace lorikeet {
namespace {

constexpr std::string_view kHashes = "####";

std::string_view Gold(std::string_view answer) {
  const size_t at = answer.rfind(kHashes);
  return Trimmed(at == std::string_view::npos ? answer : answer.substr(at + kHashes.size()));
}

// The region after the last "####" of `line` if a number follows; a Markdown heading has words
// there.
std::optional<Region> HashRegionOfLine(std::string_view line) {
  while (line.ends_with('#') || line.ends_with(' ')) line.remove_suffix(1);
  const size_t at = line.rfind(kHashes);
  if (at == std::string_view::npos) return std::nullopt;
  line = Trimmed(line.substr(at + kHashes.size()));
  const size_t first = line.find_first_of("0123456789");
  if (first == std::string_view::npos ||
      std::ranges::any_of(line.substr(0, first), IsAsciiLetter)) {
    return std::nullopt;
  }
  return Region{line, true};
}

std::optional<Region> LastHashRegion(std::string_view text) {
  for (;;) {
    const size_t line = text.rfind('\n');
    const auto region =
        HashRegionOfLine(line == std::string_view::npos ? text : text.substr(line + 1));
    if (region || line == std::string_view::npos) return region;
    text = text.substr(0, line);
  }
}

std::string WithoutSeparators(std::string_view text) {
  std::string kept(text);
  std::erase_if(kept, [](char c) { return c == ',' || c == '$'; });
  return kept;
}

bool IsNumberChar(char c) { return IsAsciiDigit(c) || c == '.' || c == ','; }

// "#### (\-?[0-9\.\,]+)", its last match in the last 300 characters, as in verl's gsm8k.py.
std::string StrictNumber(std::string_view completion) {
  constexpr size_t kWindow = 300;
  std::string_view text = completion;
  if (text.size() > kWindow) text = text.substr(text.size() - kWindow);
  for (size_t at = text.rfind("#### "); at != std::string_view::npos;) {
    std::string_view rest = text.substr(at + kHashes.size() + 1);
    const size_t sign = rest.starts_with('-') ? 1 : 0;
    size_t end = sign;
    while (end < rest.size() && IsNumberChar(rest[end])) ++end;
    if (end > sign) return WithoutSeparators(rest.substr(0, end));
    at = at == 0 ? std::string_view::npos : text.rfind("#### ", at - 1);
  }
  return {};
}

Grade GradeStrict(std::string_view gold, std::string_view completion) {
  const std::string expected = WithoutSeparators(gold), given = StrictNumber(completion);
  if (given.empty()) return Grade::Wrong("no #### with a number in the last 300 characters");
  if (given == expected) return Grade::Correct();
  return Grade::Wrong(fmt::format("{} is not {}", Quoted(given), Quoted(expected)));
}

NumberAnswer ReadGsm8k(std::string_view completion) {
  if (const auto region = LastHashRegion(FinalText(completion))) return NumberIn(*region);
  return ReadNumberAnswer(completion);
}

}  // namespace

Grade GradeGsm8k(std::string_view answer, std::string_view completion,
                 const GraderOptions& options) {
  const std::string_view gold = Gold(answer);
  if (!ParseNumber(gold)) {
    return Grade::Invalid(fmt::format("the reference {} is no number", Quoted(gold)));
  }
  if (HasOption(options, "strict")) return GradeStrict(gold, completion);
  return CompareNumber(gold, ReadGsm8k(completion));
}

}  // namespace lorikeet
