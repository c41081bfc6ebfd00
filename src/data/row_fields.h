// `RowFields` holds the keys of a row, or of a message in it, while its parts are taken out.
#pragma once
#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {

template <class... Args>
[[noreturn]] void BadRow(fmt::format_string<Args...> format, Args&&... args) {
  Fail(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

// Text from outside for a message of one line: no control characters, at most `max_bytes`.
std::string Printable(std::string_view text, size_t max_bytes = 40);

// null, "", [] and {}: tables exported to JSONL have every column in every row.
bool IsEmptyJson(const OrderedJson& value);

// Parses JSON from outside. Throws Error for ill-formed UTF-8, deep nesting and wrong syntax.
OrderedJson ParseRowJson(std::string_view text);

// The value that a string of JSON holds; the string itself if it is not valid JSON.
OrderedJson DecodedJson(OrderedJson value);

// Values are moved out, since rows can be large; the remaining keys are unknown to the format.
class RowFields {
 public:
  explicit RowFields(OrderedJson object) : object_(std::move(object)) {}

  // A key with null counts as absent.
  bool Has(const char* key) const {
    const auto it = object_.find(key);
    return it != object_.end() && !it->is_null();
  }
  // Absent, null, "", [] or {}.
  bool IsEmpty(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || IsEmptyJson(*it);
  }
  const OrderedJson& At(const char* key) const { return object_.at(key); }
  OrderedJson Take(const char* key);  // null if absent
  std::string TakeString(const char* key);
  std::string TakeOptionalString(const char* key);  // "" if absent or null
  OrderedJson TakeArray(const char* key);           // with at least one element
  OrderedJson& rest() { return object_; }

  // Gives columns of a file other names: `names` from a format's name to the file's. A column that
  // had such a name itself is removed; its name goes to `shadowed`.
  void Rename(const std::map<std::string, std::string>& names, std::string* shadowed);
  // The key as the file has it, in quotes: "\"question\"".
  std::string Shown(const char* key) const;

 private:
  OrderedJson object_;
  std::map<std::string, std::string> renamed_;
};

}  // namespace lorikeet
