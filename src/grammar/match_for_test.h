// `Matches` tells whether a text as a whole is one of a grammar.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "grammar/matcher.h"

namespace lorikeet {

using GrammarPointer = std::shared_ptr<const Grammar>;

inline GrammarPointer SchemaGrammar(OrderedJson schema) {
  return Grammar::Compile(JsonSchema(std::move(schema)));
}
inline GrammarPointer SchemaGrammar(const char* schema) {
  return SchemaGrammar(ParseOrderedJson(schema, "test"));
}

inline bool Matches(const GrammarPointer& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  return matcher.Advance(text) && matcher.CanEnd();
}

// The message of the error with which a schema is refused; "" if it is not.
inline std::string ErrorOf(const char* schema, ErrorCode code = ErrorCode::kUnsupported) {
  try {
    SchemaGrammar(schema);
  } catch (const Error& e) {
    return e.code() == code ? e.what() : std::string("of another code: ") + e.what();
  }
  return "";
}

}  // namespace lorikeet
