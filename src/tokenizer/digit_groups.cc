#include "tokenizer/digit_groups.h"

#include "core/utf8.h"
#include "tokenizer/regex.h"

namespace lorikeet {

const char kDigitGroupStarts[] = R"((?=(\d{3})+(?!\d)))";
const char kDigitGroups[] = R"(\d{1,3}(?=(?:\d{3})*\b))";

namespace {

constexpr uint32_t kCodePoints = 0x110000;
constexpr size_t kGroup = 3;

// The code points that a pattern for one character matches, as `Regex` reads it.
std::vector<bool> MembersOf(const char* pattern) {
  std::string all;
  for (uint32_t code = 0; code < kCodePoints; ++code) {
    if (code < 0xD800 || code >= 0xE000) AppendUtf8(code, &all);
  }
  std::vector<Span> matches;
  Regex(pattern, "digits").FindAll(all, &matches);
  std::vector<bool> members(kCodePoints);
  for (const Span& match : matches) {
    size_t length;
    members[DecodeUtf8(all, match.begin, &length)] = true;
  }
  return members;
}

const std::vector<bool>& Digits() {
  static const std::vector<bool> digits = MembersOf(R"(\d)");
  return digits;
}
const std::vector<bool>& WordChars() {
  static const std::vector<bool> word = MembersOf(R"(\w)");
  return word;
}

// fn(starts, word_follows) for each run of digits: the offset of each digit and that of the run's
// end, and whether another character of a word follows.
template <class Fn>
void ForEachRun(std::string_view text, const Fn& fn) {
  const std::vector<bool>&digits = Digits(), &word = WordChars();
  std::vector<uint32_t> starts;
  size_t i = 0, length = 0;
  for (; i < text.size(); i += length) {
    const uint32_t code = DecodeUtf8(text, i, &length);
    if (digits[code]) {
      starts.push_back(static_cast<uint32_t>(i));
    } else if (!starts.empty()) {
      starts.push_back(static_cast<uint32_t>(i));
      fn(starts, word[code]);
      starts.clear();
    }
  }
  if (starts.empty()) return;
  starts.push_back(static_cast<uint32_t>(i));
  fn(starts, false);
}

// Empty matches before each group.
void FindGroupStarts(std::string_view text, std::vector<Span>* matches) {
  ForEachRun(text, [&](const std::vector<uint32_t>& starts, bool) {
    const size_t count = starts.size() - 1;
    for (size_t d = count % kGroup; d < count; d += kGroup) {
      matches->push_back({starts[d], starts[d]});
    }
  });
}

// The groups; none of a run that is the beginning of a word.
void FindGroups(std::string_view text, std::vector<Span>* matches) {
  ForEachRun(text, [&](const std::vector<uint32_t>& starts, bool word_follows) {
    if (word_follows) return;
    const size_t count = starts.size() - 1;
    for (size_t d = 0; d < count;) {
      const size_t size = (count - d) % kGroup == 0 ? kGroup : (count - d) % kGroup;
      matches->push_back({starts[d], starts[d + size]});
      d += size;
    }
  });
}

}  // namespace

FindMatches DigitGroupsOf(std::string_view pattern) {
  if (pattern == kDigitGroupStarts) return FindGroupStarts;
  if (pattern == kDigitGroups) return FindGroups;
  return nullptr;
}

}  // namespace lorikeet
