#include "core/suggest.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace lorikeet {
namespace {

// A longer name is not a typo of anything, and the table below would only cost time.
constexpr size_t kMaxNameBytes = 100;

std::string Folded(std::string_view name) {
  std::string folded(name);
  for (char& c : folded) {
    c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return folded;
}

}  // namespace

int EditDistance(std::string_view a, std::string_view b) {
  std::vector<int> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string Nearest(std::string_view name, std::span<const std::string> candidates) {
  if (name.empty() || name.size() > kMaxNameBytes) return "";
  const std::string wanted = Folded(name);
  const std::string* best = nullptr;
  int best_distance = std::max(1, static_cast<int>(wanted.size()) / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::string folded = Folded(candidate);
    int distance = EditDistance(wanted, folded);
    // Half a name is a likely mistake as well: --rate, --scheduler.
    if (wanted.size() >= 4 && folded.find(wanted) != std::string::npos)
      distance = std::min(distance, 1);
    if (distance < best_distance) {
      best_distance = distance;
      best = &candidate;
    }
  }
  return best == nullptr ? "" : *best;
}

std::string DidYouMean(std::string_view name, std::span<const std::string> candidates) {
  const std::string nearest = Nearest(name, candidates);
  return nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest);
}

}  // namespace lorikeet
