// What the reports of `lorikeet bench` share.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace lorikeet {

// Of several measurements.
struct Spread {
  double least = 0, median = 0, most = 0;
};
Spread SpreadOf(std::vector<double> values);
OrderedJson SpreadJson(const Spread& spread);
// "12.3 ms (least 11.9, most 14.0)": the values times factor, in units of `unit`.
std::string SpreadText(const Spread& spread, double factor, const char* unit);

std::string ReportLine(const char* name, const std::string& value);

}  // namespace lorikeet
