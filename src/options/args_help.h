// The two-column layout of --help, for lists that a command prints below its options.
#pragma once
#include <string>

namespace lorikeet {

// One entry: `help` is wrapped beside `left`, or below it when `left` is long. Line breaks in
// `help` are kept.
std::string HelpEntry(const std::string& left, const std::string& help);

}  // namespace lorikeet
