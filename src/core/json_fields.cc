#include "core/json_fields.h"

#include <cmath>
#include <limits>

#include "core/text.h"

namespace lorikeet {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 24;

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

// Some keys come from the file itself and may hold anything; a message is one line.
std::string KeyText(std::string_view key) {
  const std::string quoted = QuotedName(key);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

JsonFields::JsonFields(const Json& json, std::string where)
    : json_(json), where_(std::move(where)) {
  if (json.is_object()) return;
  Fail(ErrorCode::kCorruptFile, "{}: expected an object, got {}", where_, json.type_name());
}

std::string JsonFields::Where(std::string_view key) const {
  return where_ + (where_.find(": ") == std::string::npos ? ": " : ".") + KeyText(key);
}

const Json& JsonFields::At(std::string_view key) const {
  static const Json kNull;
  const auto it = json_.find(key);
  return it == json_.end() ? kNull : *it;
}

void JsonFields::Expected(std::string_view key, std::string_view what) const {
  const Json& value = At(key);
  const std::string got = !json_.contains(key) ? "nothing"
                          : value.is_number()  ? value.dump()
                                               : value.type_name();
  Fail(ErrorCode::kCorruptFile, "{}: '{}' must be {}, got {}", where_, KeyText(key), what, got);
}

std::string JsonFields::String(std::string_view key) const { return Need<std::string>(key); }
std::string JsonFields::String(std::string_view key, const std::string& when_absent) const {
  return Has(key) ? String(key) : when_absent;
}
bool JsonFields::Bool(std::string_view key, bool when_absent) const {
  return Get<bool>(key, when_absent);
}

int64_t JsonFields::Int(std::string_view key, int64_t min, int64_t max) const {
  const std::optional<int64_t> value = Convert<int64_t>(At(key));
  if (value && *value >= min && *value <= max) return *value;
  Expected(key, fmt::format("an integer of {} to {}", min, max));
}
int64_t JsonFields::Int(std::string_view key, int64_t min, int64_t max, int64_t when_absent) const {
  return Has(key) ? Int(key, min, max) : when_absent;
}

double JsonFields::Number(std::string_view key, double min, double max) const {
  const std::optional<double> value = Convert<double>(At(key));
  if (value && *value >= min && *value <= max) return *value;
  Expected(key, fmt::format("a number of {:g} to {:g}", min, max));
}
double JsonFields::Number(std::string_view key, double min, double max, double when_absent) const {
  return Has(key) ? Number(key, min, max) : when_absent;
}

int64_t JsonFields::Size(std::string_view key) const { return Int(key, 1, kMaxSize); }
int64_t JsonFields::Size(std::string_view key, int64_t when_absent) const {
  if (Has(key)) return Size(key);
  if (when_absent >= 1 && when_absent <= kMaxSize) return when_absent;
  Fail(ErrorCode::kCorruptFile, "{}: '{}' would be {} by default, and must be 1 to {}", where_,
       KeyText(key), when_absent, kMaxSize);
}

const Json& JsonFields::Array(std::string_view key) const {
  if (!At(key).is_array()) Expected(key, "a list");
  return At(key);
}
std::vector<std::string> JsonFields::Strings(std::string_view key) const {
  return Need<std::vector<std::string>>(key);
}
JsonFields JsonFields::Object(std::string_view key) const {
  static const Json kEmpty = Json::object();
  if (!Has(key)) return {kEmpty, Where(key)};
  if (!At(key).is_object()) Expected(key, "an object");
  return {At(key), Where(key)};
}

template <class T>
std::optional<T> JsonFields::Convert(const Json& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) return std::nullopt;
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) return std::nullopt;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    const bool too_large = value.is_number_unsigned() &&
                           value.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max());
    if (!value.is_number_integer() || too_large) return std::nullopt;
  } else if constexpr (IsVector<T>::value) {
    if (!value.is_array()) return std::nullopt;
    T list;
    for (const Json& item : value) {
      std::optional<typename T::value_type> converted = Convert<typename T::value_type>(item);
      if (!converted) return std::nullopt;
      list.push_back(*std::move(converted));
    }
    return list;
  } else {
    if (!value.is_number() || !std::isfinite(value.get<T>())) return std::nullopt;
  }
  return value.get<T>();
}

template <class T>
const char* JsonFields::TypeText() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_same_v<T, int64_t>) return "an integer";
  if constexpr (std::is_same_v<T, double> || std::is_same_v<T, float>) return "a number";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "a list of strings";
  return "a list of values of one type";
}

template std::optional<bool> JsonFields::Convert<bool>(const Json&);
template std::optional<int64_t> JsonFields::Convert<int64_t>(const Json&);
template std::optional<double> JsonFields::Convert<double>(const Json&);
template std::optional<float> JsonFields::Convert<float>(const Json&);
template std::optional<std::string> JsonFields::Convert<std::string>(const Json&);
template std::optional<std::vector<bool>> JsonFields::Convert<std::vector<bool>>(const Json&);
template std::optional<std::vector<int64_t>> JsonFields::Convert<std::vector<int64_t>>(const Json&);
template std::optional<std::vector<double>> JsonFields::Convert<std::vector<double>>(const Json&);
template std::optional<std::vector<float>> JsonFields::Convert<std::vector<float>>(const Json&);
template std::optional<std::vector<std::string>> JsonFields::Convert<std::vector<std::string>>(
    const Json&);
template const char* JsonFields::TypeText<bool>();
template const char* JsonFields::TypeText<int64_t>();
template const char* JsonFields::TypeText<double>();
template const char* JsonFields::TypeText<float>();
template const char* JsonFields::TypeText<std::string>();
template const char* JsonFields::TypeText<std::vector<bool>>();
template const char* JsonFields::TypeText<std::vector<int64_t>>();
template const char* JsonFields::TypeText<std::vector<double>>();
template const char* JsonFields::TypeText<std::vector<float>>();
template const char* JsonFields::TypeText<std::vector<std::string>>();

}  // namespace lorikeet
