#include "verify/item_answer.h"

#include <fmt/core.h>

#include <span>

#include "core/text.h"

namespace lorikeet {
namespace {

std::string_view Between(std::string_view text, const Item& a, const Item& b) {
  return text.substr(a.end, b.begin - a.end);
}

ItemAnswer ItemIn(const Region& region, FindItems find) {
  std::string_view text = region.text;
  const size_t equals = region.marked ? text.rfind('=') : std::string_view::npos;
  if (equals != std::string_view::npos) text = text.substr(equals + 1);
  const std::vector<Item> items = find(text);
  if (items.empty()) return {};
  const bool alone = items.size() == 1;
  const size_t at = region.marked || alone ? 0 : items.size() - 2;  // the first of two that matter
  if (!alone && Joined(Between(text, items[at], items[at + 1]))) {
    const size_t length = items[at + 1].end - items[at].begin;
    return {"", fmt::format("{} is not one answer", Quoted(text.substr(items[at].begin, length)))};
  }
  const Item& item = region.marked || alone ? items.front() : items.back();
  return {item.value, Quoted(text.substr(item.begin, item.end - item.begin))};
}

// Whether a gap has only separators, list signs, "and" and "then".
bool OnlySeparates(std::string_view gap) {
  for (size_t i = 0; i < gap.size();) {
    size_t end = i;
    while (end < gap.size() && IsAsciiLetter(gap[end])) ++end;
    const std::string word = LowerAscii(gap.substr(i, end - i));
    if (!word.empty() && word != "and" && word != "then") return false;
    i = end + 1;
  }
  return true;
}

// Whether the items from items[at] on are a whole list.
bool IsWholeList(std::string_view text, std::span<const Item> items, size_t at, size_t count) {
  bool rows = false;  // one item per line
  for (size_t i = at; i + 1 < at + count; ++i) {
    const std::string_view gap = Between(text, items[i], items[i + 1]);
    if (!OnlySeparates(gap)) return false;
    rows = rows || gap.find('\n') != std::string_view::npos;
  }
  const auto goes_on = [&](size_t i) {
    const std::string_view gap = Between(text, items[i], items[i + 1]);
    return rows ? OnlySeparates(gap) : Joined(gap);
  };
  const bool longer_before = at > 0 && goes_on(at - 1);
  const bool longer_behind = at + count < items.size() && goes_on(at + count - 1);
  return !longer_before && !longer_behind;
}

}  // namespace

ItemAnswer ReadItem(std::string_view completion, FindItems find) {
  for (const Region& region : AnswerRegions(FinalText(completion), Extent::kLine)) {
    ItemAnswer answer = ItemIn(region, find);
    if (!answer.value.empty() || !answer.reason.empty()) return answer;
  }
  return {"", "no answer of the kind that was asked for"};
}

std::vector<std::string> ReadItemList(std::string_view completion, FindItems find, size_t count) {
  for (const Region& region : AnswerRegions(FinalText(completion), Extent::kRest)) {
    const std::vector<Item> items = find(region.text);
    if (items.empty()) continue;
    if (items.size() < count) return {};
    const size_t at = region.marked ? 0 : items.size() - count;
    if (!IsWholeList(region.text, items, at, count)) return {};
    std::vector<std::string> values;
    for (size_t i = at; i < at + count; ++i) values.push_back(items[i].value);
    return values;
  }
  return {};
}

}  // namespace lorikeet
