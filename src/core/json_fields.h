// `JsonFields` reads fields of a JSON object, with errors that name file, key and what is expected.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {

// An object within a file: its value and its place ("tokenizer.json: normalizer"). A key whose
// value is null counts as absent. Readers without a default throw Error(kCorruptFile) when the key
// is absent; all of them do when its value has another type or is out of range.
class JsonFields {
 public:
  // Throws Error unless `json` is an object. `json` must outlive this: values are references, since
  // a copy of hostile, deeply nested JSON would overflow the stack.
  JsonFields(const Json& json, std::string where);

  const std::string& where() const { return where_; }
  const Json& json() const { return json_; }
  std::string Where(std::string_view key) const;  // place of a field, for JsonFields of its value
  // Value of `key`; null when absent.
  const Json& At(std::string_view key) const;
  bool Has(std::string_view key) const { return !At(key).is_null(); }

  std::string String(std::string_view key) const;
  std::string String(std::string_view key, const std::string& when_absent) const;
  bool Bool(std::string_view key, bool when_absent) const;
  // An integer of min to max.
  int64_t Int(std::string_view key, int64_t min, int64_t max) const;
  int64_t Int(std::string_view key, int64_t min, int64_t max, int64_t when_absent) const;
  // A finite number of min to max.
  double Number(std::string_view key, double min, double max) const;
  double Number(std::string_view key, double min, double max, double when_absent) const;
  // A dimension or a count of parts of a model: 1 to 2^24, so that products stay in range.
  int64_t Size(std::string_view key) const;
  int64_t Size(std::string_view key, int64_t when_absent) const;
  const Json& Array(std::string_view key) const;
  std::vector<std::string> Strings(std::string_view key) const;  // a list of strings
  // Fields of a nested object; of an empty one when absent.
  JsonFields Object(std::string_view key) const;

  // The value as a T: bool, int64_t, double, float, std::string, or a vector of these.
  template <class T>
  T Need(std::string_view key) const {
    std::optional<T> value = Convert<T>(At(key));
    if (!value) Expected(key, TypeText<T>());
    return *std::move(value);
  }
  template <class T>
  T Get(std::string_view key, T when_absent) const {
    return Has(key) ? Need<T>(key) : when_absent;
  }

  // Throws Error(kCorruptFile): "PLACE: 'KEY' must be WHAT, got TYPE".
  [[noreturn]] void Expected(std::string_view key, std::string_view what) const;

 private:
  template <class T>
  static std::optional<T> Convert(const Json& value);
  template <class T>
  static const char* TypeText();

  const Json& json_;
  std::string where_;
};

}  // namespace lorikeet
