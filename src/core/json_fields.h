// Reads fields of a JSON object with errors that name file and key.
#pragma once
#include <cstdint>
#include <string>

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {

// An object within a file: its value and its place ("tokenizer.json: normalizer").
class JsonFields {
 public:
  // Throws Error unless `json` is an object. `json` must outlive this.
  JsonFields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) Fail(ErrorCode::kCorruptFile, "{}: expected an object", where_);
  }

  const std::string& where() const { return where_; }
  std::string Where(const std::string& key) const { return where_ + "." + key; }
  // The value of `key`; null when absent.
  const Json& At(const std::string& key) const {
    static const Json null;
    const auto it = json_.find(key);
    return it == json_.end() ? null : *it;
  }
  bool Has(const std::string& key) const { return !At(key).is_null(); }

  std::string String(const std::string& key) const {
    if (!At(key).is_string()) Expected(key, "a string");
    return At(key).get<std::string>();
  }
  std::string String(const std::string& key, const std::string& when_absent) const {
    return Has(key) ? String(key) : when_absent;
  }
  bool Bool(const std::string& key, bool when_absent) const {
    if (!Has(key)) return when_absent;
    if (!At(key).is_boolean()) Expected(key, "true or false");
    return At(key).get<bool>();
  }
  // A non-negative integer of at most `limit`.
  int64_t Int(const std::string& key, int64_t limit) const {
    const Json& value = At(key);
    const bool ok = value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t(limit);
    if (!ok) Expected(key, fmt::format("an integer of 0 to {}", limit));
    return value.get<int64_t>();
  }
  const Json& Array(const std::string& key) const {
    if (!At(key).is_array()) Expected(key, "a list");
    return At(key);
  }

  [[noreturn]] void Expected(const std::string& key, const std::string& what) const {
    Fail(ErrorCode::kCorruptFile, "{}.{}: expected {}", where_, key, what);
  }

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace lorikeet
