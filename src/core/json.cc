#include "core/json.h"

#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

// nlohmann's copy and comparison of values recurse, so files nested deeper than any real one are
// refused.
constexpr int kMaxDepth = 200;

void CheckDepth(std::string_view text, const std::string& where) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) {
        Fail(ErrorCode::kCorruptFile, "{}: JSON nested deeper than {} levels", where, kMaxDepth);
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

template <class J>
J Parse(std::string_view text, const std::string& where) {
  CheckDepth(text, where);
  try {
    return J::parse(text.begin(), text.end());
  } catch (const typename J::exception& e) {
    RefuseWebPage(text, where);
    Fail(ErrorCode::kCorruptFile, "{}: not valid JSON: {}", where, e.what());
  }
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) { return Parse<Json>(text, where); }
OrderedJson ParseOrderedJson(std::string_view text, const std::string& where) {
  return Parse<OrderedJson>(text, where);
}

}  // namespace lorikeet
