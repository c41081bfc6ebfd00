// `AddSchemaRule` turns a JSON Schema into rules of a grammar.
#pragma once
#include "core/json.h"
#include "grammar/json_rules.h"
#include "grammar/rules.h"

namespace lorikeet {

// Adds a rule of the documents that satisfy `schema`. Throws as Grammar::Compile does.
GrammarNode AddSchemaRule(const OrderedJson& schema, const JsonRules& json, GrammarRules* rules);

}  // namespace lorikeet
