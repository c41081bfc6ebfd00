#include "serve/request_fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/utf8.h"
#include "serve/api_error.h"

namespace lorikeet {
namespace {

constexpr int kMaxDepth = 100;

// Depth of the brackets outside of strings: nested deeper than this, a document is hostile.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

bool IsNeutral(const OrderedJson& value) {
  return value.is_null() || value == false || value == 0 || value == "auto" || value == "" ||
         ((value.is_array() || value.is_object()) && value.empty());
}

}  // namespace

OrderedJson ParseRequest(std::string_view body) {
  if (TooDeep(body)) Refuse(400, "", "the body is JSON of more than {} levels", kMaxDepth);
  OrderedJson json;
  try {
    json = OrderedJson::parse(body);
  } catch (const OrderedJson::exception& e) {
    Refuse(400, "", "the body is not valid JSON: {}", e.what());
  }
  if (!json.is_object())
    Refuse(400, "", "the body must be a JSON object, not {}", json.type_name());
  return json;
}

RequestFields::RequestFields(const OrderedJson& json, std::string path)
    : json_(json), path_(std::move(path)) {
  if (!json.is_object())
    Refuse(400, path_, "{} must be an object, not {}", path_, json.type_name());
}

std::string RequestFields::Name(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

const OrderedJson& RequestFields::Value(const std::string& key) {
  static const OrderedJson kNull;
  known_.insert(key);
  const auto found = json_.find(key);
  return found == json_.end() ? kNull : *found;
}

std::optional<std::string> RequestFields::String(const std::string& key) {
  const OrderedJson& value = Value(key);
  if (value.is_null()) return std::nullopt;
  if (!value.is_string()) {
    Refuse(400, Name(key), "{} must be a string, not {}", Name(key), value.type_name());
  }
  return value.get<std::string>();
}

std::string RequestFields::NeedString(const std::string& key) {
  std::optional<std::string> value = String(key);
  if (!value) Refuse(400, Name(key), "{} is missing", Name(key));
  return *std::move(value);
}

std::optional<bool> RequestFields::Bool(const std::string& key) {
  const OrderedJson& value = Value(key);
  if (value.is_null()) return std::nullopt;
  if (!value.is_boolean()) {
    Refuse(400, Name(key), "{} must be true or false, not {}", Name(key), value.type_name());
  }
  return value.get<bool>();
}

std::optional<int64_t> RequestFields::Int(const std::string& key, int64_t min, int64_t max) {
  const OrderedJson& value = Value(key);
  if (value.is_null()) return std::nullopt;
  const auto refuse = [&] {
    Refuse(400, Name(key), "{} must be a whole number from {} to {}, not {}", Name(key), min, max,
           value.is_number() ? value.dump() : value.type_name());
  };
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) refuse();
  } else if (value.is_number_float()) {  // 3.0 is a whole number
    const auto number = value.get<double>();
    if (!(std::abs(number) < 9e15) || number != std::floor(number)) refuse();
  } else if (!value.is_number_integer()) {
    refuse();
  }
  const auto number = value.get<int64_t>();
  if (number < min || number > max) refuse();
  return number;
}

std::optional<double> RequestFields::Number(const std::string& key, double min, double max) {
  const OrderedJson& value = Value(key);
  if (value.is_null()) return std::nullopt;
  if (!value.is_number()) {
    Refuse(400, Name(key), "{} must be a number, not {}", Name(key), value.type_name());
  }
  const double number = value.get<double>();
  if (!(number >= min && number <= max)) {
    Refuse(400, Name(key), "{} must be from {:g} to {:g}, not {:g}", Name(key), min, max, number);
  }
  return number;
}

std::vector<std::string> RequestFields::Strings(const std::string& key) {
  const OrderedJson& value = Value(key);
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array()) {
    Refuse(400, Name(key), "{} must be a string or a list of strings", Name(key));
  }
  std::vector<std::string> strings;
  for (const OrderedJson& each : value) {
    if (each.is_null()) continue;
    if (!each.is_string()) Refuse(400, Name(key), "{} must hold strings only", Name(key));
    strings.push_back(each.get<std::string>());
  }
  return strings;
}

void RequestFields::Ignore(std::initializer_list<const char*> keys) {
  known_.insert(keys.begin(), keys.end());
}

void RequestFields::OnlyNeutral(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (!IsNeutral(Value(key))) Refuse(400, Name(key), "{} is not supported here", Name(key));
  }
}

void RequestFields::RefuseOthers() const {
  for (const auto& [key, value] : json_.items()) {
    if (!known_.contains(key)) Refuse(400, Name(key), "unknown field: {}", Name(key));
  }
}

}  // namespace lorikeet
