// The rows of the table of graders (verify/grader.cc).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "verify/task.h"

namespace lorikeet {

using GraderOptions = std::vector<std::string>;
bool HasOption(const GraderOptions& options, std::string_view name);

// Each may throw Error; the caller makes that kInvalid. An unusable reference is kInvalid whatever
// the completion.
Grade GradeGsm8k(std::string_view answer, std::string_view completion, const GraderOptions&);
Grade GradeExact(std::string_view answer, std::string_view completion, const GraderOptions&);
Grade GradeRegex(std::string_view answer, std::string_view completion, const GraderOptions&);
Grade GradeChoice(std::string_view answer, std::string_view completion, const GraderOptions&);

}  // namespace lorikeet
