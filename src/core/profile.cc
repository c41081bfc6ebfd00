#include "core/profile.h"

#include <algorithm>
#include <map>

namespace lorikeet {
namespace {

std::map<std::string, Profile::Part>& Table() {
  static std::map<std::string, Profile::Part> table;
  return table;
}

}  // namespace

void Profile::Reset() { Table().clear(); }

void Profile::Add(const char* name, double seconds) {
  Part& part = Table()[name];
  part.name = name;
  ++part.calls;
  part.seconds += seconds;
}

std::vector<Profile::Part> Profile::Parts() {
  std::vector<Part> parts;
  parts.reserve(Table().size());
  for (const auto& [name, part] : Table()) parts.push_back(part);
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.seconds > b.seconds; });
  return parts;
}

}  // namespace lorikeet
