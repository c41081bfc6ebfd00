// Comma- and tab-separated files as rows of JSON: each record becomes an object whose keys are the
// names of the header line (RFC 4180: quotes, doubled quotes, line ends within quotes).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

struct JsonLines {
  std::string text;             // one JSON object per line
  std::vector<int64_t> source;  // line of the original at which each begins, counted from 1
};

// Appends `text` as a JSON string. Ill-formed UTF-8 is kept; the reader of rows reports it.
void AppendJsonString(std::string_view text, std::string* json);

// `delimiter`: ',' or '\t'; for ',' a header without commas but with semicolons is read with those.
// Values are strings, and an empty one is left out; a cell of a column that holds lists in JSON
// (messages, conversations, tools, ...) is JSON if it begins with '[' or '{'. Throws
// Error(kCorruptFile) naming `name` and the line for quotes that do not close, records of another
// length than the header, and headers with empty or repeated names.
JsonLines CsvToJson(std::string_view content, char delimiter, const std::string& name);

}  // namespace lorikeet
