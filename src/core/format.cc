#include "core/format.h"

#include <fmt/core.h>

#include <array>
#include <cmath>

namespace lorikeet {
namespace {

// Three significant digits: 1.23, 12.3, 123.
std::string ThreeDigits(double value) {
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

}  // namespace

std::string HumanBytes(int64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes > -1024 && bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (std::abs(value) >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", ThreeDigits(value), kUnits[unit]);
}

std::string HumanCount(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const int first = digits[0] == '-' ? 1 : 0;
  for (int at = static_cast<int>(digits.size()) - 3; at > first; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string ShortCount(double count) {
  constexpr std::array kUnits = {"k", "M", "G", "T", "P", "E"};
  if (!std::isfinite(count)) return "?";
  if (std::abs(count) < 999.5)
    return count == std::floor(count) ? fmt::format("{}", count) : ThreeDigits(count);
  size_t unit = 0;
  count /= 1000;
  while (std::abs(count) >= 999.5 && unit + 1 < kUnits.size()) {
    count /= 1000;
    ++unit;
  }
  return ThreeDigits(count) + kUnits[unit];
}

std::string HumanDuration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e11) return "?";
  if (seconds < 9.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  const int64_t minutes = whole / 60, hours = whole / 3600, days = whole / 86400;
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", minutes, whole % 60);
  if (whole < 86400) return fmt::format("{}h{:02}m", hours, minutes % 60);
  return fmt::format("{}d{:02}h", days, hours % 24);
}

std::string Percent(double fraction) {
  if (!std::isfinite(fraction)) return "?";
  const double percent = fraction * 100;
  return fmt::format("{:.{}f}%", percent, std::abs(percent) < 9.95 ? 1 : 0);
}

}  // namespace lorikeet
