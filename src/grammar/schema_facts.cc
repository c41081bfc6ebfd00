#include "grammar/schema_facts.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/text.h"

namespace lorikeet {
namespace {

struct NamedType {
  const char* name;
  uint8_t types;
};
constexpr NamedType kTypes[] = {{"null", kNullType},       {"boolean", kBooleanType},
                                {"integer", kIntegerType}, {"number", kNumberType},
                                {"string", kStringType},   {"array", kArrayType},
                                {"object", kObjectType}};

class FactsBuilder {
 public:
  FactsBuilder(const SchemaSet& set, const SchemaReader& reader) : reader_(reader) {
    for (SchemaNode schema : set) {
      if (schema->is_object()) schemas_.push_back(schema);
    }
  }

  SchemaFacts Build() {
    for (SchemaNode schema : schemas_) {
      ReadTypes(schema);
      ReadValues(schema);
      ReadNumbers(schema);
      ReadString(schema);
    }
    ReadArrays();
    ReadObjects();
    facts_.written = facts_.types;
    if (!has_type_ && !facts_.values && about_ != 0) facts_.written &= about_;
    if (facts_.values) NarrowToValues();
    return std::move(facts_);
  }

 private:
  void ReadTypes(SchemaNode schema) {
    SchemaNode type = SchemaReader::Find(schema, "type");
    SchemaNode nullable = SchemaReader::Find(schema, "nullable");
    if (nullable && !nullable->is_boolean()) reader_.Invalid(nullable, "must be true or false");
    if (!type) return;
    has_type_ = true;
    uint8_t types = nullable && *nullable == true ? kNullType : 0;
    if (type->is_array()) {
      for (const OrderedJson& member : *type) types |= NamedTypes(member);
    } else {
      types |= NamedTypes(*type);
    }
    facts_.types &= types;
  }

  uint8_t NamedTypes(const OrderedJson& name) const {
    for (const NamedType& type : kTypes) {
      if (name == type.name) return type.types;
    }
    reader_.Invalid(&name,
                    "not a type; the types are null, boolean, integer, number, string, array "
                    "and object");
  }

  void ReadValues(SchemaNode schema) {
    if (SchemaNode value = SchemaReader::Find(schema, "const")) KeepValues({value});
    if (SchemaNode list = reader_.Array(schema, "enum")) {
      std::vector<SchemaNode> values;
      for (const OrderedJson& value : *list) values.push_back(&value);
      KeepValues(values);
    }
  }

  void KeepValues(const std::vector<SchemaNode>& values) {
    if (!facts_.values) {
      facts_.values = values;
      return;
    }
    std::erase_if(*facts_.values, [&](SchemaNode kept) {
      return std::none_of(values.begin(), values.end(),
                          [&](SchemaNode value) { return JsonEquals(*kept, *value); });
    });
  }

  void NarrowToValues() {
    const uint8_t types = std::exchange(facts_.types, 0);
    std::erase_if(*facts_.values, [&](SchemaNode value) { return (TypeOf(*value) & types) == 0; });
    for (SchemaNode value : *facts_.values) facts_.types |= TypeOf(*value);
    facts_.written = facts_.types;
  }

  void ReadNumbers(SchemaNode schema) {
    NumberRange& range = facts_.numbers;
    for (const bool exclusive : {false, true}) {
      if (SchemaNode low = reader_.Number(schema, exclusive ? "exclusiveMinimum" : "minimum")) {
        about_ |= kNumberType;
        range.RaiseLow({Decimal::Of(*low), exclusive});
      }
      if (SchemaNode high = reader_.Number(schema, exclusive ? "exclusiveMaximum" : "maximum")) {
        about_ |= kNumberType;
        range.LowerHigh({Decimal::Of(*high), exclusive});
      }
    }
    SchemaNode multiple = reader_.Number(schema, "multipleOf");
    if (!multiple) return;
    about_ |= kNumberType;
    const auto value = multiple->get<double>();
    if (!(value > 0)) reader_.Invalid(multiple, "must be above 0");
    if (!Decimal::Of(*multiple).is_integer() || value > kMaxMultiple) {
      reader_.Unsupported(multiple, "`multipleOf` is supported for integers up to {}",
                          kMaxMultiple);
    }
    range.integers = true;
    range.multiple = std::lcm(range.multiple, static_cast<int64_t>(value));
    if (range.multiple > kMaxMultiple) {
      reader_.Unsupported(multiple, "`multipleOf` values whose common multiple is above {}",
                          kMaxMultiple);
    }
  }

  void ReadString(SchemaNode schema) {
    StringFacts& strings = facts_.strings;
    strings.min = std::max(strings.min, reader_.Count(schema, "minLength", 0));
    strings.max = std::min(strings.max, reader_.Count(schema, "maxLength", SIZE_MAX));
    if (SchemaNode pattern = reader_.String(schema, "pattern")) strings.patterns.push_back(pattern);
    if (SchemaNode format = reader_.String(schema, "format")) strings.formats.push_back(format);
    if (Has(schema, {"minLength", "maxLength", "pattern", "format"})) about_ |= kStringType;
  }

  static bool Has(SchemaNode schema, std::initializer_list<const char*> keys) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const char* key) { return SchemaReader::Find(schema, key) != nullptr; });
  }

  void ReadArrays() {
    ArrayFacts& arrays = facts_.arrays;
    bool has_items = false, has_prefix = false;
    for (SchemaNode schema : schemas_) {
      if (!Has(schema, {"items", "prefixItems", "minItems", "maxItems"})) continue;
      arrays.constrained = true;
      arrays.min = std::max(arrays.min, reader_.Count(schema, "minItems", 0));
      arrays.max = std::min(arrays.max, reader_.Count(schema, "maxItems", SIZE_MAX));
      if (SchemaNode prefix = reader_.Array(schema, "prefixItems")) {
        has_prefix = true;
        arrays.prefix.resize(std::max(arrays.prefix.size(), prefix->size()));
      }
      SchemaNode items = SchemaReader::Find(schema, "items");
      if (items && items->is_array()) reader_.Unsupported(items, "a list; use `prefixItems`");
      if (SchemaNode rest = reader_.Schema(schema, "items")) {
        has_items = true;
        arrays.items = reader_.Union(arrays.items, {rest});
      }
    }
    if (!arrays.constrained) return;
    about_ |= kArrayType;
    arrays.more = has_items || !has_prefix;
    for (size_t i = 0; i < arrays.prefix.size(); ++i) arrays.prefix[i] = ItemSchemas(i);
  }

  SchemaSet ItemSchemas(size_t position) const {
    SchemaSet out;
    for (SchemaNode schema : schemas_) {
      SchemaNode prefix = reader_.Array(schema, "prefixItems");
      if (prefix && position < prefix->size()) {
        out = reader_.Union(out, {reader_.AsSchema((*prefix)[position])});
      } else if (SchemaNode items = reader_.Schema(schema, "items")) {
        out = reader_.Union(out, {items});
      }
    }
    return out;
  }

  void ReadObjects() {
    ObjectFacts& objects = facts_.objects;
    bool has_additional = false, lists_properties = false;
    std::vector<std::string> required;
    for (SchemaNode schema : schemas_) {
      if (!Has(schema, {"properties", "required", "additionalProperties"})) continue;
      objects.constrained = true;
      if (SchemaNode additional = reader_.Schema(schema, "additionalProperties")) {
        has_additional = true;
        objects.additional = reader_.Union(objects.additional, {additional});
      }
      if (SchemaNode properties = reader_.Object(schema, "properties")) {
        lists_properties = true;
        for (const auto& [name, value] : properties->items()) AddProperty(name, false);
      }
      ReadRequired(schema, &required);
    }
    if (!objects.constrained) return;
    about_ |= kObjectType;
    objects.more = has_additional || !lists_properties;
    for (const std::string& name : required) AddProperty(name, true);
  }

  void ReadRequired(SchemaNode schema, std::vector<std::string>* required) const {
    SchemaNode list = reader_.Array(schema, "required");
    if (!list) return;
    for (const OrderedJson& name : *list) {
      if (!name.is_string()) reader_.Invalid(&name, "must be a string");
      required->push_back(name.get<std::string>());
    }
  }

  void AddProperty(const std::string& name, bool required) {
    const auto [found, added] = property_index_.emplace(name, facts_.objects.properties.size());
    if (added)
      facts_.objects.properties.push_back({.name = name, .schemas = PropertySchemas(name)});
    if (required) facts_.objects.properties[found->second].required = true;
  }

  SchemaSet PropertySchemas(const std::string& name) const {
    SchemaSet out;
    for (SchemaNode schema : schemas_) {
      SchemaNode properties = reader_.Object(schema, "properties");
      SchemaNode property = properties ? reader_.Schema(properties, name.c_str()) : nullptr;
      if (!property) property = reader_.Schema(schema, "additionalProperties");
      if (property) out = reader_.Union(out, {property});
    }
    return out;
  }

  const SchemaReader& reader_;
  std::vector<SchemaNode> schemas_;
  SchemaFacts facts_;
  std::map<std::string, size_t> property_index_;
  bool has_type_ = false;
  uint8_t about_ = 0;  // types that the keywords are about
};

bool AreApart(const NumberRange& a, const NumberRange& b) {
  const auto below = [](const NumberRange& x, const NumberRange& y) {
    if (!x.high || !y.low) return false;
    const int order = Compare(x.high->value, y.low->value);
    return order < 0 || (order == 0 && (x.high->exclusive || y.low->exclusive));
  };
  return below(a, b) || below(b, a);
}

bool HasFalse(const SchemaSet& set) {
  return std::any_of(set.begin(), set.end(), [](SchemaNode s) { return *s == false; });
}

constexpr int kMaxDisjointDepth = 4;
bool AreDisjointAt(const SchemaSet& a, const SchemaSet& b, const SchemaReader& reader, int depth);

// Whether a property that `a` requires keeps all its objects from satisfying `b`.
bool PropertySeparates(const ObjectFacts& a, const ObjectFacts& b, const SchemaReader& reader,
                       int depth) {
  return std::any_of(a.properties.begin(), a.properties.end(), [&](const auto& property) {
    if (!property.required) return false;
    const SchemaSet& other = b.SchemasOf(property.name);
    if (HasFalse(other)) return true;
    return AreDisjointAt(property.schemas, other, reader, depth + 1);
  });
}

bool AreDisjointAt(const SchemaSet& set_a, const SchemaSet& set_b, const SchemaReader& reader,
                   int depth) {
  if (depth > kMaxDisjointDepth) return false;
  const SchemaFacts a = ReadFacts(set_a, reader), b = ReadFacts(set_b, reader);
  const uint8_t types = a.types & b.types;
  if (a.values && b.values) {
    return std::none_of(a.values->begin(), a.values->end(), [&](SchemaNode x) {
      return std::any_of(b.values->begin(), b.values->end(),
                         [&](SchemaNode y) { return JsonEquals(*x, *y); });
    });
  }
  if ((types & (kNullType | kBooleanType | kStringType | kArrayType)) != 0) return false;
  if ((types & kNumberType) != 0 && !AreApart(a.numbers, b.numbers)) return false;
  return (types & kObjectType) == 0 || PropertySeparates(a.objects, b.objects, reader, depth) ||
         PropertySeparates(b.objects, a.objects, reader, depth);
}

}  // namespace

const SchemaSet& ObjectFacts::SchemasOf(const std::string& name) const {
  const auto found = std::find_if(properties.begin(), properties.end(),
                                  [&](const Property& property) { return property.name == name; });
  return found == properties.end() ? additional : found->schemas;
}

SchemaFacts ReadFacts(const SchemaSet& set, const SchemaReader& reader) {
  return FactsBuilder(set, reader).Build();
}

bool AreDisjoint(const SchemaSet& a, const SchemaSet& b, const SchemaReader& reader) {
  return AreDisjointAt(a, b, reader, 0);
}

uint8_t TypeOf(const OrderedJson& value) {
  switch (value.type()) {
    case OrderedJson::value_t::null:
      return kNullType;
    case OrderedJson::value_t::boolean:
      return kBooleanType;
    case OrderedJson::value_t::string:
      return kStringType;
    case OrderedJson::value_t::array:
      return kArrayType;
    case OrderedJson::value_t::object:
      return kObjectType;
    default:
      return Decimal::Of(value).is_integer() ? kIntegerType : kFractionType;
  }
}

bool JsonEquals(const OrderedJson& a, const OrderedJson& b) {
  if (TypeOf(a) != TypeOf(b)) return false;
  if (a.is_number()) return Compare(Decimal::Of(a), Decimal::Of(b)) == 0;
  if (!a.is_structured()) return a == b;
  if (a.size() != b.size()) return false;
  if (a.is_array()) return std::equal(a.begin(), a.end(), b.begin(), JsonEquals);
  return std::all_of(a.items().begin(), a.items().end(), [&](const auto& item) {
    const auto other = b.find(item.key());
    return other != b.end() && JsonEquals(item.value(), *other);
  });
}

}  // namespace lorikeet
