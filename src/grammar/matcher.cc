#include "grammar/matcher.h"

namespace lorikeet {

bool GrammarMatcher::Advance(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (parser_.Push(static_cast<uint8_t>(bytes[i]))) continue;
    while (parser_.depth() > 0) parser_.Pop();
    return false;
  }
  parser_.Commit();
  return true;
}

}  // namespace lorikeet
