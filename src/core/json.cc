#include "core/json.h"

#include "core/error.h"

namespace lorikeet {
namespace {

template <class J>
J Parse(std::string_view text, const std::string& where) {
  try {
    return J::parse(text.begin(), text.end());
  } catch (const typename J::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}: not valid JSON: {}", where, e.what());
  }
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) { return Parse<Json>(text, where); }
OrderedJson ParseOrderedJson(std::string_view text, const std::string& where) {
  return Parse<OrderedJson>(text, where);
}

}  // namespace lorikeet
