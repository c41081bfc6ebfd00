// Common parts of the reports of `lorikeet bench`.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace lorikeet {

// Minimum, median and maximum of several measurements.
struct Spread {
  double min = 0, median = 0, max = 0;
};
Spread SpreadOf(std::vector<double> values);
OrderedJson SpreadJson(const Spread& spread);
// "12.3 ms (min 11.9, max 14.0)": the values times factor, followed by `unit`.
std::string SpreadText(const Spread& spread, double factor, const char* unit);

std::string ReportLine(const char* name, const std::string& value);

}  // namespace lorikeet
