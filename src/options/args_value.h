// Conversion between text and the fields of an options struct. Only options/args*.cc includes this.
#pragma once
#include <string>
#include <vector>

#include "options/args.h"

namespace lorikeet {

// Sets the field of `option`; `where` begins the error: "run.yaml:3: lora_r", "--lora-r".
void SetFromText(const Option& option, const std::string& text, const std::string& where);
// For lists only.
void SetFromItems(const Option& option, const std::vector<std::string>& items,
                  const std::string& where);

bool IsBool(const Option& option);
bool IsList(const Option& option);
bool IsOptional(const Option& option);
bool IsText(const Option& option);
// FILE, FILES, DIR or PATH.
bool IsPath(const Option& option);
// Whether `text` is null or one of the key's neutral values; numbers are compared as numbers, words
// without case.
bool IsNeutralValue(const ForeignKey& foreign, const std::string& text);
// Whether the value is "", an empty list or an optional without a value.
bool IsEmpty(const Option& option);

std::string FieldAsYaml(const OptionField& field);
OrderedJson FieldAsJson(const OptionField& field);
// FILE, INT, a|b|c ...
std::string MetavarOf(const Option& option);

}  // namespace lorikeet
