// A `SchemaOracle` validates documents by the text of the JSON Schema specification, with none of
// the code under test.
#pragma once
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <regex>
#include <string>

#include "core/json.h"

namespace lorikeet {

class SchemaOracle {
 public:
  explicit SchemaOracle(const OrderedJson& root) : root_(root) {}
  bool IsValid(const OrderedJson& value) const { return Holds(root_, value); }
  // Whether it is valid and its properties are in the schema's order, those not listed last.
  bool IsWritable(const OrderedJson& value) const {
    SchemaOracle ordered(root_);
    ordered.ordered_ = true;
    return ordered.IsValid(value);
  }

 private:
  static bool IsInteger(const OrderedJson& v) {
    return v.is_number_integer() || (v.is_number_float() && std::floor(double(v)) == double(v));
  }
  static bool HasType(const OrderedJson& v, const std::string& type) {
    if (type == "integer") return IsInteger(v);
    if (type == "number") return v.is_number();
    if (type == "null") return v.is_null();
    if (type == "boolean") return v.is_boolean();
    if (type == "string") return v.is_string();
    return type == "array" ? v.is_array() : v.is_object();
  }
  // Through a sorted json, whose comparison does not depend on the order of properties.
  bool Same(const OrderedJson& a, const OrderedJson& b) const {
    return ordered_ ? a.dump() == b.dump() : Json::parse(a.dump()) == Json::parse(b.dump());
  }
  static bool InOrder(const OrderedJson& properties, const OrderedJson& value) {
    size_t last = 0;
    for (const auto& [name, member] : value.items()) {
      const auto found = properties.find(name);
      const auto place = static_cast<size_t>(std::distance(properties.begin(), found));
      if (place < last) return false;
      last = place;
    }
    return true;
  }
  static size_t Characters(const std::string& text) {
    size_t count = 0;
    for (const char c : text) count += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
    return count;
  }
  static bool IsDate(const std::string& text) {
    int y = 0, m = 0, d = 0, length = 0;
    if (text.size() != 10 || std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &y, &m, &d, &length) != 3) {
      return false;
    }
    return length == 10 && std::chrono::year_month_day(std::chrono::year(y), std::chrono::month(m),
                                                       std::chrono::day(d))
                               .ok();
  }

  bool HoldsType(const OrderedJson& s, const OrderedJson& v) const {
    if (!s.contains("type")) return true;
    if (s.value("nullable", false) && v.is_null()) return true;
    if (s["type"].is_string()) return HasType(v, s["type"]);
    for (const auto& type : s["type"]) {
      if (HasType(v, type)) return true;
    }
    return false;
  }

  // Exact for 64-bit integers; greater ones are only known roughly, and pass.
  static bool IsMultiple(const OrderedJson& v, int64_t of) {
    if (v.is_number_unsigned()) return v.get<uint64_t>() % static_cast<uint64_t>(of) == 0;
    if (v.is_number_integer()) return v.get<int64_t>() % of == 0;
    return std::abs(double(v)) > 1e18 || std::fmod(double(v), double(of)) == 0;
  }

  static bool HoldsNumber(const OrderedJson& s, const OrderedJson& value) {
    const double v = value;
    if (s.contains("minimum") && !(v >= double(s["minimum"]))) return false;
    if (s.contains("maximum") && !(v <= double(s["maximum"]))) return false;
    if (s.contains("exclusiveMinimum") && !(v > double(s["exclusiveMinimum"]))) return false;
    if (s.contains("exclusiveMaximum") && !(v < double(s["exclusiveMaximum"]))) return false;
    return !s.contains("multipleOf") || IsMultiple(value, s["multipleOf"]);
  }

  bool HoldsString(const OrderedJson& s, const std::string& v) const {
    if (s.contains("minLength") && Characters(v) < s["minLength"]) return false;
    if (s.contains("maxLength") && Characters(v) > s["maxLength"]) return false;
    if (s.contains("format") && s["format"] == "date" && !IsDate(v)) return false;
    return !s.contains("pattern") ||
           std::regex_search(v, std::regex(s["pattern"].get<std::string>()));
  }

  bool HoldsArray(const OrderedJson& s, const OrderedJson& v) const {
    if (s.contains("minItems") && v.size() < s["minItems"]) return false;
    if (s.contains("maxItems") && v.size() > s["maxItems"]) return false;
    const size_t prefix = s.contains("prefixItems") ? s["prefixItems"].size() : 0;
    for (size_t i = 0; i < v.size(); ++i) {
      if (i < prefix ? !Holds(s["prefixItems"][i], v[i])
                     : s.contains("items") && !Holds(s["items"], v[i])) {
        return false;
      }
    }
    return true;
  }

  bool HoldsObject(const OrderedJson& s, const OrderedJson& v) const {
    if (s.contains("required")) {
      for (const auto& name : s["required"]) {
        if (!v.contains(name.get<std::string>())) return false;
      }
    }
    if (ordered_ && s.contains("properties") && !InOrder(s["properties"], v)) return false;
    for (const auto& [name, value] : v.items()) {
      if (s.contains("properties") && s["properties"].contains(name)) {
        if (!Holds(s["properties"][name], value)) return false;
      } else if (s.contains("additionalProperties") && !Holds(s["additionalProperties"], value)) {
        return false;
      }
    }
    return true;
  }

  bool HoldsCombined(const OrderedJson& s, const OrderedJson& v) const {
    const auto count = [&](const char* key) {
      size_t held = 0;
      for (const auto& member : s[key]) held += Holds(member, v);
      return held;
    };
    if (s.contains("allOf") && count("allOf") != s["allOf"].size()) return false;
    if (s.contains("anyOf") && count("anyOf") == 0) return false;
    if (s.contains("oneOf") && count("oneOf") != 1) return false;
    if (!s.contains("$ref")) return true;
    const std::string pointer = s["$ref"].get<std::string>().substr(1);
    return Holds(root_.at(OrderedJson::json_pointer(pointer)), v);
  }

  bool Holds(const OrderedJson& s, const OrderedJson& v) const {
    if (s.is_boolean()) return s.get<bool>();
    if (!HoldsType(s, v) || !HoldsCombined(s, v)) return false;
    if (s.contains("const") && !Same(s["const"], v)) return false;
    if (s.contains("enum")) {
      bool found = false;
      for (const auto& member : s["enum"]) found = found || Same(member, v);
      if (!found) return false;
    }
    if (v.is_number()) return HoldsNumber(s, v);
    if (v.is_string()) return HoldsString(s, v);
    if (v.is_array()) return HoldsArray(s, v);
    return !v.is_object() || HoldsObject(s, v);
  }

  const OrderedJson& root_;
  bool ordered_ = false;
};

}  // namespace lorikeet
