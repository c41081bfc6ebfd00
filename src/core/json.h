// JSON from outside: parse errors become an `Error` of one line that names the file.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lorikeet {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// `where` names the source in errors. Throws Error(kCorruptFile).
Json ParseJson(std::string_view text, const std::string& where);
OrderedJson ParseOrderedJson(std::string_view text, const std::string& where);

}  // namespace lorikeet
