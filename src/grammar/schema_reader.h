// A `SchemaReader` reads a JSON Schema: it checks keywords, follows references and takes apart
// allOf, anyOf and oneOf.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace lorikeet {

using SchemaNode = const OrderedJson*;  // a schema within the document: an object or a bool
// Schemas that a value satisfies all at once: in the document's order, each once.
using SchemaSet = std::vector<SchemaNode>;

class SchemaReader {
 public:
  // Most members of the alternatives of one schema, once allOf and anyOf are multiplied out.
  static constexpr size_t kMaxAlternatives = 512;

  // `root` must outlive this. Throws Error(kInvalidArgument) for a schema that is too deep or
  // too large.
  explicit SchemaReader(const OrderedJson& root);

  SchemaNode root() const { return &root_; }
  SchemaSet Union(const SchemaSet& a, const SchemaSet& b) const;

  // The schemas of `set` without references and combinations: a value satisfies `set` exactly if it
  // satisfies one of the returned sets, in which only a schema's own keywords count. Throws as
  // Grammar::Compile does.
  std::vector<SchemaSet> Alternatives(const SchemaSet& set);

  // "schema: /properties/x", for messages. `node`: any value within the schema.
  std::string Where(SchemaNode node) const;

  // Value of a keyword; null if absent. Throws Error(kInvalidArgument) if it has another type.
  SchemaNode Object(SchemaNode schema, const char* key) const;
  SchemaNode Array(SchemaNode schema, const char* key) const;
  SchemaNode Schema(SchemaNode schema, const char* key) const;
  SchemaNode String(SchemaNode schema, const char* key) const;
  SchemaNode Number(SchemaNode schema, const char* key) const;
  size_t Count(SchemaNode schema, const char* key, size_t when_absent) const;
  static SchemaNode Find(SchemaNode schema, const char* key);
  // Throws Error unless `value` is a schema.
  SchemaNode AsSchema(const OrderedJson& value) const;

  template <class... Args>
  [[noreturn]] void Unsupported(SchemaNode node, fmt::format_string<Args...> format,
                                Args&&... args) const {
    Fail(ErrorCode::kUnsupported, "{}: {}", Where(node),
         fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void Invalid(SchemaNode node, fmt::format_string<Args...> format,
                            Args&&... args) const {
    Fail(ErrorCode::kInvalidArgument, "{}: {}", Where(node),
         fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  const std::vector<SchemaSet>& AlternativesOf(SchemaNode schema);
  std::vector<SchemaSet> Split(SchemaNode schema);
  std::vector<SchemaSet> AnyOf(SchemaNode list, bool apart);
  std::vector<SchemaSet> Product(SchemaNode where, const std::vector<SchemaSet>& a,
                                 const std::vector<SchemaSet>& b) const;
  void AddPlaces(const OrderedJson& value, SchemaNode parent, int depth);
  void CheckKeywords(SchemaNode schema) const;
  SchemaNode Resolve(SchemaNode reference) const;

  const OrderedJson& root_;
  struct Place {
    size_t position;    // in the order of the document
    SchemaNode parent;  // null for the root
  };
  std::unordered_map<SchemaNode, Place> places_;  // by value in the schema
  std::map<SchemaNode, std::vector<SchemaSet>> alternatives_;
  std::set<SchemaNode> open_;  // schemas that are being taken apart
};

}  // namespace lorikeet
