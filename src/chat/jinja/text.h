// Operations of Python's `str` on UTF-8 text, for the methods, filters and slices of a template.
// Positions and lengths are in code points, as in Python. A byte that is not UTF-8 counts as one
// code point.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet::jinja {

struct CodePoint {
  uint32_t value = 0;
  uint32_t bytes = 0;  // 1..4; a stray byte has value 0xDC00 + byte, as Python's surrogateescape
};

// The code point that starts at byte `at` < text.size().
CodePoint DecodeAt(std::string_view text, size_t at);
void AppendCodePoint(uint32_t code_point, std::string& out);
size_t CountCodePoints(std::string_view text);
// The code points, each as a piece of `text`.
std::vector<std::string_view> SplitCodePoints(std::string_view text);

bool IsSpace(uint32_t code_point);  // str.isspace
// Byte length of the whitespace at the front and at the end.
size_t LeadingSpace(std::string_view text);
size_t TrailingSpace(std::string_view text);
// str.strip; without `chars` strips whitespace.
std::string_view Strip(std::string_view text, std::optional<std::string_view> chars, bool left,
                       bool right);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Capitalize(std::string_view text);
std::string TitleMethod(std::string_view text);  // str.title
std::string TitleFilter(std::string_view text);  // jinja's `title`: words begin after [-\s({[<]
// str.isalpha, isdigit, isalnum, isnumeric, isdecimal, isspace, isupper, islower by their name
// without "is".
bool IsClass(std::string_view text, std::string_view which);

// str.split / rsplit; no separator = runs of whitespace; limit < 0 = all.
std::vector<std::string_view> SplitText(std::string_view text,
                                        std::optional<std::string_view> separator, int64_t limit);
std::vector<std::string_view> SplitTextRight(std::string_view text,
                                             std::optional<std::string_view> separator,
                                             int64_t limit);
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends);
// str.replace; limit < 0 = all. Throws Error when the result would pass `max_bytes`.
std::string Replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit, size_t max_bytes);

std::string Repr(std::string_view text);                           // repr(str)
std::string FloatRepr(double value);                               // repr(float)
std::string JsonString(std::string_view text, bool ensure_ascii);  // json.dumps(str)

}  // namespace lorikeet::jinja
