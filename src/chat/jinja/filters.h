// The filters (value | name(...)) and tests (value is name(...)) of Jinja, with tojson as
// `transformers` defines it.
#pragma once
#include <string>

#include "chat/jinja/value.h"

namespace lorikeet::jinja {

// Both throw Error(kUnsupported) for an unknown name.
Value ApplyFilter(const std::string& name, const Value& operand, const CallArguments& call,
                  Budget& budget);
bool ApplyTest(const std::string& name, const Value& operand, const CallArguments& call,
               Budget& budget);
bool IsFilter(const std::string& name);
bool IsTest(const std::string& name);

// The filters that work on sequences (join, map, sort, ...); empty result when `name` is none of
// them.
using FilterFunction = Value (*)(const Value& operand, const CallArguments& call, Budget& budget);
FilterFunction FindSequenceFilter(const std::string& name);

}  // namespace lorikeet::jinja
