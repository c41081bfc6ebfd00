#include "grammar/schema_reader.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "core/text.h"
#include "grammar/schema_facts.h"

namespace lorikeet {
namespace {

constexpr int kMaxDepth = 100;
constexpr size_t kMaxValues = 100'000;

constexpr std::string_view kKeywords[] = {"$ref",
                                          "$defs",
                                          "definitions",
                                          "type",
                                          "nullable",
                                          "enum",
                                          "const",
                                          "allOf",
                                          "anyOf",
                                          "oneOf",
                                          "properties",
                                          "required",
                                          "items",
                                          "prefixItems",
                                          "minItems",
                                          "maxItems",
                                          "minLength",
                                          "maxLength",
                                          "pattern",
                                          "format",
                                          "minimum",
                                          "maximum",
                                          "exclusiveMinimum",
                                          "exclusiveMaximum",
                                          "multipleOf",
                                          "additionalProperties"};
constexpr std::string_view kAnnotations[] = {"title",    "description", "default",  "examples",
                                             "$schema",  "$id",         "$comment", "deprecated",
                                             "readOnly", "writeOnly"};

template <size_t N>
bool Contains(const std::string_view (&list)[N], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

std::string PointerToken(std::string_view key) {
  std::string out;
  for (const char c : key) c == '~' ? out += "~0" : c == '/' ? out += "~1" : out += c;
  return out;
}

// "/x": the token of a JSON pointer from `parent` to a value in it.
std::string TokenOf(SchemaNode parent, SchemaNode value) {
  if (parent->is_array()) {
    size_t index = 0;
    while (&(*parent)[index] != value) ++index;
    return fmt::format("/{}", index);
  }
  for (const auto& [key, member] : parent->items()) {
    if (&member == value) return '/' + PointerToken(key);
  }
  return "";
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A token of a JSON pointer in a URI fragment: %XX, then ~1 and ~0.
std::string DecodeToken(std::string_view token) {
  std::string bytes, out;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool hex = token[i] == '%' && i + 2 < token.size() && HexValue(token[i + 1]) >= 0 &&
                     HexValue(token[i + 2]) >= 0;
    bytes +=
        hex ? static_cast<char>(HexValue(token[i + 1]) << 4 | HexValue(token[i + 2])) : token[i];
    if (hex) i += 2;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    const bool escape = bytes[i] == '~' && i + 1 < bytes.size();
    if (escape && (bytes[i + 1] == '0' || bytes[i + 1] == '1')) {
      out += bytes[++i] == '0' ? '~' : '/';
    } else {
      out += bytes[i];
    }
  }
  return out;
}

SchemaNode Member(SchemaNode at, const std::string& token) {
  if (at->is_object()) {
    const auto found = at->find(token);
    return found == at->end() ? nullptr : &*found;
  }
  if (!at->is_array() || token.empty() || token.size() > 6) return nullptr;
  if (token.find_first_not_of("0123456789") != token.npos) return nullptr;
  const size_t index = std::stoul(token);
  return index < at->size() ? &(*at)[index] : nullptr;
}

}  // namespace

SchemaReader::SchemaReader(const OrderedJson& root) : root_(root) {
  AddPlaces(root, nullptr, 0);
  AsSchema(root);
}

void SchemaReader::AddPlaces(const OrderedJson& value, SchemaNode parent, int depth) {
  if (depth > kMaxDepth) {
    Fail(ErrorCode::kInvalidArgument, "schema: nested deeper than {} levels", kMaxDepth);
  }
  if (places_.size() >= kMaxValues) {
    Fail(ErrorCode::kInvalidArgument, "schema: more than {} values", kMaxValues);
  }
  places_.emplace(&value, Place{places_.size(), parent});
  if (!value.is_structured()) return;
  for (const OrderedJson& member : value) AddPlaces(member, &value, depth + 1);
}

SchemaSet SchemaReader::Union(const SchemaSet& a, const SchemaSet& b) const {
  SchemaSet out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out),
                 [this](SchemaNode x, SchemaNode y) {
                   return places_.at(x).position < places_.at(y).position;
                 });
  return out;
}

std::string SchemaReader::Where(SchemaNode node) const {
  std::string pointer;
  for (auto at = places_.find(node); at != places_.end(); at = places_.find(at->second.parent)) {
    if (at->second.parent) pointer.insert(0, TokenOf(at->second.parent, at->first));
  }
  return "schema: " + WithoutControls(pointer.empty() ? "/" : pointer);
}

SchemaNode SchemaReader::Find(SchemaNode schema, const char* key) {
  if (!schema->is_object()) return nullptr;
  const auto found = schema->find(key);
  return found == schema->end() ? nullptr : &*found;
}

SchemaNode SchemaReader::Object(SchemaNode schema, const char* key) const {
  SchemaNode value = Find(schema, key);
  if (value && !value->is_object()) Invalid(value, "must be an object");
  return value;
}

SchemaNode SchemaReader::Array(SchemaNode schema, const char* key) const {
  SchemaNode value = Find(schema, key);
  if (value && !value->is_array()) Invalid(value, "must be a list");
  return value;
}

SchemaNode SchemaReader::Schema(SchemaNode schema, const char* key) const {
  SchemaNode value = Find(schema, key);
  return value ? AsSchema(*value) : nullptr;
}

SchemaNode SchemaReader::String(SchemaNode schema, const char* key) const {
  SchemaNode value = Find(schema, key);
  if (value && !value->is_string()) Invalid(value, "must be a string");
  return value;
}

SchemaNode SchemaReader::Number(SchemaNode schema, const char* key) const {
  SchemaNode value = Find(schema, key);
  if (value && !value->is_number()) Invalid(value, "must be a number");
  return value;
}

size_t SchemaReader::Count(SchemaNode schema, const char* key, size_t when_absent) const {
  SchemaNode value = Number(schema, key);
  if (!value) return when_absent;
  const auto count = value->get<double>();
  if (count < 0 || count != std::floor(count)) Invalid(value, "must be a whole number, 0 or more");
  return static_cast<size_t>(std::min(count, 1e9));  // more than any grammar can count
}

SchemaNode SchemaReader::AsSchema(const OrderedJson& value) const {
  if (!value.is_object() && !value.is_boolean()) {
    Invalid(&value, "a schema must be an object, true or false");
  }
  return &value;
}

std::vector<SchemaSet> SchemaReader::Alternatives(const SchemaSet& set) {
  std::vector<SchemaSet> out = {{}};
  for (SchemaNode schema : set) out = Product(schema, out, AlternativesOf(schema));
  return out;
}

const std::vector<SchemaSet>& SchemaReader::AlternativesOf(SchemaNode schema) {
  const auto found = alternatives_.find(schema);
  if (found != alternatives_.end()) return found->second;
  if (open_.size() > kMaxDepth)
    Unsupported(schema, "a chain of so many references is not supported");
  if (!open_.insert(schema).second) {
    Invalid(schema, "refers to itself with no property or item in between");
  }
  std::vector<SchemaSet> alternatives = Split(schema);
  open_.erase(schema);
  return alternatives_.emplace(schema, std::move(alternatives)).first->second;
}

std::vector<SchemaSet> SchemaReader::Split(SchemaNode schema) {
  if (schema->is_boolean()) {
    return schema->get<bool>() ? std::vector<SchemaSet>{{}} : std::vector<SchemaSet>{};
  }
  CheckKeywords(schema);
  std::vector<SchemaSet> out = {{schema}};
  if (SchemaNode reference = String(schema, "$ref")) {
    out = Product(schema, out, AlternativesOf(Resolve(reference)));
  }
  if (SchemaNode all = Array(schema, "allOf")) {
    for (const OrderedJson& member : *all) {
      out = Product(&member, out, AlternativesOf(AsSchema(member)));
    }
  }
  if (SchemaNode any = Array(schema, "anyOf")) out = Product(any, out, AnyOf(any, false));
  if (SchemaNode one = Array(schema, "oneOf")) out = Product(one, out, AnyOf(one, true));
  return out;
}

// `apart`: members must be such that no value satisfies two of them.
std::vector<SchemaSet> SchemaReader::AnyOf(SchemaNode list, bool apart) {
  if (list->empty()) Invalid(list, "must not be empty");
  std::vector<SchemaSet> out;
  for (const OrderedJson& member : *list) {
    const std::vector<SchemaSet>& more = AlternativesOf(AsSchema(member));
    if (apart) {
      for (const SchemaSet& a : out) {
        for (const SchemaSet& b : more) {
          if (AreDisjoint(a, b, *this)) continue;
          Unsupported(&member,
                      "`oneOf` is supported where no value can satisfy two of its members "
                      "(by type, or by a required property of different constants); use `anyOf`");
        }
      }
    }
    out.insert(out.end(), more.begin(), more.end());
    if (out.size() > kMaxAlternatives) Unsupported(list, "too many alternatives");
  }
  return out;
}

std::vector<SchemaSet> SchemaReader::Product(SchemaNode where, const std::vector<SchemaSet>& a,
                                             const std::vector<SchemaSet>& b) const {
  if (a.size() * b.size() > kMaxAlternatives) {
    Unsupported(where, "more than {} alternatives (`anyOf` within `allOf` multiplies them)",
                kMaxAlternatives);
  }
  std::vector<SchemaSet> out;
  for (const SchemaSet& x : a) {
    for (const SchemaSet& y : b) out.push_back(Union(x, y));
  }
  return out;
}

void SchemaReader::CheckKeywords(SchemaNode schema) const {
  for (const auto& [key, value] : schema->items()) {
    if (Contains(kKeywords, key) || Contains(kAnnotations, key)) continue;
    if (key == "uniqueItems" && value == false) continue;
    Unsupported(&value, "`{}` is not supported", WithoutControls(key));
  }
}

SchemaNode SchemaReader::Resolve(SchemaNode reference) const {
  const auto& text = reference->get_ref<const std::string&>();
  if (!text.starts_with('#') || (text.size() > 1 && text[1] != '/')) {
    Unsupported(reference, "`$ref` to {} is not supported; only \"#\" and \"#/...\" are",
                Quoted(text));
  }
  SchemaNode at = &root_;
  for (size_t begin = 1; begin < text.size();) {
    const size_t end = std::min(text.find('/', begin + 1), text.size());
    at = Member(at, DecodeToken(std::string_view(text).substr(begin + 1, end - begin - 1)));
    if (at == nullptr) Invalid(reference, "`$ref`: there is no {} in the schema", Quoted(text));
    begin = end;
  }
  return AsSchema(*at);
}

}  // namespace lorikeet
