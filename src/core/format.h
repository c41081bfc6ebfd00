// Formatting of numbers for messages and tables.
#pragma once
#include <cstdint>
#include <string>

namespace lorikeet {

std::string HumanBytes(int64_t bytes);  // "512 B", "1.5 KiB", "3.20 GiB"
std::string HumanCount(int64_t count);  // "1,234,567"
std::string ShortCount(double count);   // "950", "1.23k", "135M", "4.20T"
// "0.4s", "12s", "3m12s", "2h05m", "3d04h"; "?" if not finite.
std::string HumanDuration(double seconds);
std::string Percent(double fraction);  // 0.561 -> "56%", 0.0123 -> "1.2%"

}  // namespace lorikeet
