// `BoundArguments` binds a call's arguments to the parameters of a built-in.
#pragma once
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "chat/jinja/value.h"

namespace lorikeet::jinja {

// The arguments of `what` in the order of `names`; absent ones are empty. Throws Error for too
// many, unknown or doubly given ones, and for one of the first `required` that is missing.
class BoundArguments {
 public:
  BoundArguments(std::string_view what, const CallArguments& call,
                 std::initializer_list<std::string_view> names, size_t required = 0);

  bool Has(size_t i) const { return values_[i].has_value(); }
  bool HasNonNone(size_t i) const { return Has(i) && !values_[i]->Is(Kind::kNone); }
  const Value& operator[](size_t i) const { return *values_[i]; }
  int64_t IntOr(size_t i, int64_t fallback) const;  // Error when given and not an integer
  bool TruthOr(size_t i, bool fallback) const;
  std::string_view Text(size_t i) const;                         // Error when not a string
  std::optional<std::string_view> OptionalText(size_t i) const;  // none for absent and None

 private:
  std::string what_;
  std::vector<std::string_view> names_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace lorikeet::jinja
