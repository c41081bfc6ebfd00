#include "checkpoint/quote.h"

namespace lorikeet {

std::string Quote(std::string_view text) {
  constexpr size_t kMost = 120;
  std::string quoted = "'";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.size() > kMost && i == kMost / 2) {
      quoted += "...";
      i = text.size() - kMost / 2;
    }
    const char c = text[i];
    quoted += c >= ' ' && c <= '~' ? c : '?';
  }
  return quoted + "'";
}

}  // namespace lorikeet
