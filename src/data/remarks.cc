#include "data/remarks.h"

#include <fmt/format.h>

#include <algorithm>

namespace lorikeet {

void RemarkCounter::Add(const std::string& place, std::span<const Remark> remarks) {
  ++row_;
  for (const Remark& remark : remarks) {
    auto found = std::find_if(counted_.begin(), counted_.end(),
                              [&](const Counted& known) { return known.text == remark.text; });
    if (found == counted_.end()) {
      const std::string message =
          remark.message ? fmt::format(", message {}", *remark.message + 1) : "";
      found = counted_.insert(found, {.text = remark.text, .first = place + message});
    }
    if (found->last_row == row_) continue;
    found->last_row = row_;
    ++found->rows;
  }
}

std::vector<std::string> RemarkCounter::Notes() const {
  std::vector<std::string> notes;
  for (const Counted& remark : counted_) {
    notes.push_back(
        fmt::format("{} (the first: {}); such rows: {}", remark.text, remark.first, remark.rows));
  }
  return notes;
}

}  // namespace lorikeet
