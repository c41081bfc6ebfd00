#include "cli/bench/bench_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"

namespace lorikeet {

Spread SpreadOf(std::vector<double> values) {
  CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return {values.front(), (values[(n - 1) / 2] + values[n / 2]) / 2, values.back()};
}

OrderedJson SpreadJson(const Spread& spread) {
  return {{"min", spread.min}, {"median", spread.median}, {"max", spread.max}};
}

std::string SpreadText(const Spread& s, double factor, const char* unit) {
  return fmt::format("{:.4g} {} (min {:.4g}, max {:.4g})", s.median * factor, unit, s.min * factor,
                     s.max * factor);
}

std::string ReportLine(const char* name, const std::string& value) {
  return fmt::format("{:<18} {}\n", name, value);
}

}  // namespace lorikeet
