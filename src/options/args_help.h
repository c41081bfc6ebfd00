// The two columns of --help, for what a command lists below its options.
#pragma once
#include <string>

namespace lorikeet {

// One entry: `help` is wrapped beside `left`, or below where that is long. A line break in `help`
// stays one.
std::string HelpEntry(const std::string& left, const std::string& help);

}  // namespace lorikeet
