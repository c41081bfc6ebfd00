// A `RandomSchema` makes schemas, documents that satisfy them or nearly do, and texts of documents
// in the documented white space.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/random.h"
#include "grammar/json_rules.h"

namespace lorikeet {

class RandomSchema {
 public:
  explicit RandomSchema(uint64_t seed) : stream_(seed, "schema") {}

  size_t Below(size_t bound) { return stream_.Below(index_++, bound); }
  bool Chance(size_t percent) { return Below(100) < percent; }

  // A document with a recursive definition "node", which members refer to.
  OrderedJson Make() {
    OrderedJson root = Schema(3);
    if (!root.is_object()) root = {{"type", "boolean"}};
    root["$defs"]["node"] = {
        {"type", "object"},
        {"properties",
         {{"v", {{"type", "integer"}, {"minimum", 0}, {"maximum", 9}}},
          {"next", {{"anyOf", {{{"$ref", "#/$defs/node"}}, {{"type", "null"}}}}}}}},
        {"required", {"v"}},
        {"additionalProperties", false}};
    root_ = root;
    return root;
  }

  // A document of the last schema; `faults`: in percent, how often a value is replaced by another.
  OrderedJson Document(size_t faults) {
    faults_ = faults;
    return Value(root_, 0);
  }

  // Any JSON value.
  OrderedJson Any(int depth) {
    switch (Below(depth > 0 ? 8 : 6)) {
      case 0:
        return nullptr;
      case 1:
        return Chance(50);
      case 2:
        return static_cast<int64_t>(Below(41)) - 20;
      case 3:
        return static_cast<double>(Below(41)) - 19.5;
      case 4:
      case 5:
        return Text();
      case 6: {
        OrderedJson array = OrderedJson::array();
        for (size_t i = Below(3); i-- > 0;) array.push_back(Any(depth - 1));
        return array;
      }
      default: {
        OrderedJson object = OrderedJson::object();
        for (size_t i = Below(3); i-- > 0;) object[Text()] = Any(depth - 1);
        return object;
      }
    }
  }

  std::string Write(const OrderedJson& value, int depth = 0) {
    if (value.is_string()) return CanonicalString(value.get<std::string>());
    if (!value.is_structured()) return value.dump();
    const bool object = value.is_object();
    if (value.empty()) return object ? "{}" : "[]";
    std::string out = object ? "{" : "[";
    const char* separator = "";
    for (const auto& [key, member] : value.items()) {
      out += separator + Break(depth + 1);
      if (object) out += CanonicalString(key) + (Chance(50) ? ": " : ":");
      out += Write(member, depth + 1);
      separator = ",";
    }
    return out + Break(depth) + (object ? "}" : "]");
  }

 private:
  std::string Break(int depth) {
    switch (Below(4)) {
      case 0:
        return " ";
      case 1:
        return "\n" + std::string(2 * depth, ' ');
      case 2:
        return "\n" + std::string(depth, '\t');
      default:
        return "";
    }
  }

  std::string Text() {
    static const char* const parts[] = {"a",  "b",  "0",    "7", "-", "\"",
                                        "\\", "\n", "\x01", "é", "€", "😀"};
    std::string text;
    for (size_t i = Below(5); i-- > 0;) text += parts[Below(12)];
    return text;
  }
  std::string PlainText() {
    std::string text;
    for (size_t i = Below(6); i-- > 0;) text += "ab01-"[Below(5)];
    return text;
  }
  int64_t Small() { return static_cast<int64_t>(Below(41)) - 20; }
  // Whole numbers are integers: 2.0 is one too, but is not written.
  OrderedJson Eighths() {
    const auto eighths = static_cast<int64_t>(Below(161)) - 80;
    return eighths % 8 == 0 ? OrderedJson(eighths / 8) : OrderedJson(double(eighths) / 8);
  }

  OrderedJson Schema(int depth) {
    switch (Below(depth > 0 ? 12 : 7)) {
      case 0:
        return {{"type", Chance(50) ? "null" : "boolean"}};
      case 1:
        return Integer();
      case 2:
        return Number();
      case 3:
      case 4:
        return StringSchema();
      case 5:
        return Chance(50) ? OrderedJson{{"const", Any(2)}} : Enum();
      case 6:
        return {{"type", {"string", "null", "integer"}}};
      case 7:
        return {{"$ref", "#/$defs/node"}};
      case 8:
        return Array(depth);
      case 9: {
        OrderedJson any = OrderedJson::array();
        for (size_t i = 1 + Below(3); i-- > 0;) any.push_back(Schema(depth - 1));
        return {{"anyOf", any}};
      }
      default:
        return Object(depth);
    }
  }

  OrderedJson Enum() {
    OrderedJson values = OrderedJson::array();
    for (size_t i = 1 + Below(4); i-- > 0;) values.push_back(Any(1));
    OrderedJson schema = {{"enum", values}};
    if (Chance(30)) schema["type"] = {"string", "number"};
    return schema;
  }

  OrderedJson Integer() {
    OrderedJson schema = {{"type", "integer"}};
    if (Chance(50)) schema[Chance(50) ? "minimum" : "exclusiveMinimum"] = Small();
    if (Chance(50)) schema[Chance(50) ? "maximum" : "exclusiveMaximum"] = Small();
    if (Chance(20)) schema["multipleOf"] = 1 + Below(5);
    return schema;
  }
  OrderedJson Number() {
    OrderedJson schema = {{"type", "number"}};
    if (Chance(50)) schema[Chance(50) ? "minimum" : "exclusiveMinimum"] = Eighths();
    if (Chance(50)) schema[Chance(50) ? "maximum" : "exclusiveMaximum"] = Eighths();
    return schema;
  }
  OrderedJson StringSchema() {
    static const char* const patterns[] = {"^a+$", "b", "^(a|b0)*-?$", "[0-9]{2}", "a$|^b"};
    OrderedJson schema = {{"type", "string"}};
    if (Chance(40)) schema["minLength"] = Below(4);
    if (Chance(40)) schema["maxLength"] = Below(6);
    if (Chance(30)) schema["pattern"] = patterns[Below(5)];
    return schema;
  }

  OrderedJson Array(int depth) {
    OrderedJson schema = {{"type", "array"}};
    if (Chance(70)) schema["items"] = Schema(depth - 1);
    if (schema.contains("items") && Chance(30)) {
      schema["prefixItems"] = {Schema(depth - 1), Schema(depth - 1)};
    }
    if (Chance(40)) schema["minItems"] = Below(3);
    if (Chance(40)) schema["maxItems"] = Below(5);
    return schema;
  }

  OrderedJson Object(int depth) {
    OrderedJson properties = OrderedJson::object(), required = OrderedJson::array();
    for (const char* name : {"a", "ab", "b\n", "é", "c"}) {
      if (!Chance(50)) continue;
      properties[name] = Schema(depth - 1);
      if (Chance(50)) required.push_back(name);
    }
    OrderedJson schema = {{"type", "object"}, {"properties", properties}, {"required", required}};
    const OrderedJson additional[] = {false, true, Schema(0)};
    schema["additionalProperties"] = additional[Below(3)];
    return schema;
  }

  OrderedJson Value(const OrderedJson& s, int depth) {
    if (Below(1000) < 10 * faults_ || depth > 12) return Any(1);
    if (s.is_boolean()) return Any(1);
    if (s.contains("const")) return s["const"];
    if (s.contains("enum")) return s["enum"][Below(s["enum"].size())];
    if (s.contains("anyOf")) return Value(s["anyOf"][Below(s["anyOf"].size())], depth + 1);
    if (s.contains("$ref")) return Value(root_["$defs"]["node"], depth + 1);
    if (!s.contains("type")) return Any(2);
    const OrderedJson& types = s["type"];
    const std::string type = types.is_array() ? types[Below(types.size())] : types;
    if (type == "null") return nullptr;
    if (type == "boolean") return Chance(50);
    if (type == "integer") return Small();
    if (type == "number") return Chance(50) ? OrderedJson(Small()) : Eighths();
    if (type == "string") return s.contains("pattern") ? PlainText() : Text();
    return type == "array" ? ArrayValue(s, depth) : ObjectValue(s, depth);
  }

  OrderedJson ArrayValue(const OrderedJson& s, int depth) {
    OrderedJson array = OrderedJson::array();
    const size_t prefix = s.contains("prefixItems") ? s["prefixItems"].size() : 0;
    for (size_t i = 0, size = Below(5); i < size; ++i) {
      if (i < prefix) {
        array.push_back(Value(s["prefixItems"][i], depth + 1));
      } else {
        array.push_back(s.contains("items") ? Value(s["items"], depth + 1) : Any(1));
      }
    }
    return array;
  }

  OrderedJson ObjectValue(const OrderedJson& s, int depth) {
    OrderedJson object = OrderedJson::object();
    for (const auto& [name, property] : s["properties"].items()) {
      if (Chance(70)) object[name] = Value(property, depth + 1);
    }
    if (Chance(20)) object[Text() + "x"] = Value(s["additionalProperties"], depth + 1);
    return object;
  }

  RandomStream stream_;
  uint64_t index_ = 0;
  OrderedJson root_;
  size_t faults_ = 0;
};

}  // namespace lorikeet
