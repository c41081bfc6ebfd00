// Numbers in running text, and extraction of the number that is the answer.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/answer.h"
#include "verify/math/rational.h"
#include "verify/task.h"

namespace lorikeet {

// Text with the signs of numbers in ASCII: minus signs and thin spaces of Unicode, and of LaTeX \$
// \%
// {,} \, \! and \frac{1}{2} (1/2). Everything else is unchanged.
std::string PlainNumbers(std::string_view text);

enum class Grouping : uint8_t {
  kNone,    // "1,234" is two numbers: items of a list
  kCommas,  // "1,234" is one
  kSpaces,  // "1 234" is one, too
};

struct NumberSpan {
  size_t begin = 0, end = 0;  // in the text, sign and unit included
  // Absent for a text that only begins like a number: "3/0", "2^5", "x > 3", more than 400 digits.
  std::optional<math::Rational> value;
  bool reduced = true;  // a fraction is in lowest terms and not over 1
};

// The first number at or after text[from]: "-3", "1,234.50", "3.", ".5", "1e3", "-$5", "7/3", "5%"
// (5), "2 million". Digits directly after letters (x2, A4) are part of a name. `text` is from
// PlainNumbers.
std::optional<NumberSpan> NextNumber(std::string_view text, size_t from, Grouping grouping);

// All of `text` as one number, with a currency sign, a percent sign, a full stop or a unit (words)
// around it.
std::optional<math::Rational> ParseNumber(std::string_view text);

struct NumberAnswer {
  std::optional<math::Rational> value;
  bool reduced = true;
  std::string reason;  // the text that was read, or why there is no number
};

// The number in a marked region (verify/answer.h) is its first one after its last equals sign;
// without one, it is the last number of the text. It must stand alone: a number joined to it
// (Joined) makes the answer ambiguous and so absent.
NumberAnswer NumberIn(const Region& region);
// The same for the first region of AnswerRegions that has a number.
NumberAnswer ReadNumberAnswer(std::string_view completion);

// Correct if the completion's number equals problem.answer. kInvalid if that is not a number.
Grade GradeNumber(const Problem& problem, std::string_view completion);
// The verdict on an extracted number.
Grade CompareNumber(std::string_view reference, const NumberAnswer& answer);

}  // namespace lorikeet
