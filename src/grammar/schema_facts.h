// `SchemaFacts` are what a set of schemas together asks of a value, for each type of value.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grammar/number_range.h"
#include "grammar/schema_reader.h"

namespace lorikeet {

// Types of values, as bits. A number is an integer (1, 1.0) or a fraction (1.5).
inline constexpr uint8_t kNullType = 1, kBooleanType = 2, kIntegerType = 4, kFractionType = 8,
                         kStringType = 16, kArrayType = 32, kObjectType = 64,
                         kNumberType = kIntegerType | kFractionType, kAllTypes = 127;

struct StringFacts {
  size_t min = 0, max = SIZE_MAX;                 // number of characters
  std::vector<SchemaNode> patterns{}, formats{};  // values of these keywords

  bool constrained() const { return min > 0 || max != SIZE_MAX || has_texts(); }
  bool has_texts() const { return !patterns.empty() || !formats.empty(); }
};

struct ArrayFacts {
  std::vector<SchemaSet> prefix{};  // schemas at the first positions
  bool more = true;                 // whether items may follow those
  SchemaSet items{};                // schemas of the items that follow
  size_t min = 0, max = SIZE_MAX;   // number of items
  bool constrained = false;
};

struct ObjectFacts {
  struct Property {
    std::string name;
    SchemaSet schemas{};
    bool required = false;
  };
  std::vector<Property> properties{};  // in the order in which they are written
  bool more = true;                    // whether other properties may follow
  SchemaSet additional{};              // schemas of the others
  bool constrained = false;

  // Schemas of the property `name`, listed or not.
  const SchemaSet& SchemasOf(const std::string& name) const;
};

struct SchemaFacts {
  uint8_t types = kAllTypes;    // types of values that satisfy the schemas
  uint8_t written = kAllTypes;  // those of them that a grammar writes: where no `type` is given,
                                // those that the keywords are about
  std::optional<std::vector<SchemaNode>> values{};  // those of `enum` and `const`
  NumberRange numbers{};
  StringFacts strings{};
  ArrayFacts arrays{};
  ObjectFacts objects{};
};

// Reads the keywords of each schema of `set`; references and combinations count for nothing here
// (SchemaReader::Alternatives). Throws as Grammar::Compile does.
SchemaFacts ReadFacts(const SchemaSet& set, const SchemaReader& reader);

// Whether surely no value satisfies both sets.
bool AreDisjoint(const SchemaSet& a, const SchemaSet& b, const SchemaReader& reader);

uint8_t TypeOf(const OrderedJson& value);
// As JSON Schema compares: 1 and 1.0 are equal, the order of properties does not matter.
bool JsonEquals(const OrderedJson& a, const OrderedJson& b);

}  // namespace lorikeet
