#include "chat/jinja/arguments.h"

#include <algorithm>

#include "core/error.h"

namespace lorikeet::jinja {

BoundArguments::BoundArguments(std::string_view what, const CallArguments& call,
                               std::initializer_list<std::string_view> names, size_t required)
    : what_(what), names_(names), values_(names.size()) {
  if (call.positional.size() > values_.size()) {
    Fail(ErrorCode::kInvalidArgument, "{}() takes at most {} arguments, {} given", what_,
         values_.size(), call.positional.size());
  }
  std::copy(call.positional.begin(), call.positional.end(), values_.begin());
  for (const auto& [name, value] : call.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      Fail(ErrorCode::kInvalidArgument, "{}() has no argument '{}'", what_, name);
    }
    auto& slot = values_[static_cast<size_t>(found - names_.begin())];
    if (slot) Fail(ErrorCode::kInvalidArgument, "{}(): '{}' is given twice", what_, name);
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i]) {
      Fail(ErrorCode::kInvalidArgument, "{}() needs the argument '{}'", what_, names_[i]);
    }
  }
}

int64_t BoundArguments::IntOr(size_t i, int64_t fallback) const {
  if (!Has(i)) return fallback;
  if (!values_[i]->IsIntegral()) {
    Fail(ErrorCode::kInvalidArgument, "{}(): '{}' must be an integer, not {}", what_, names_[i],
         values_[i]->TypeName());
  }
  return values_[i]->AsInt();
}

bool BoundArguments::TruthOr(size_t i, bool fallback) const {
  return Has(i) ? Truthy(*values_[i]) : fallback;
}

std::string_view BoundArguments::Text(size_t i) const {
  const Value& value = *values_[i];
  if (value.Is(Kind::kUndefined)) {
    Fail(ErrorCode::kInvalidArgument, "{}", value.UndefinedMessage());
  }
  if (!value.Is(Kind::kString)) {
    Fail(ErrorCode::kInvalidArgument, "{}(): '{}' must be a string, not {}", what_, names_[i],
         value.TypeName());
  }
  return value.Text();
}

std::optional<std::string_view> BoundArguments::OptionalText(size_t i) const {
  if (!HasNonNone(i)) return {};
  return Text(i);
}

}  // namespace lorikeet::jinja
