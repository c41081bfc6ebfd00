#include "cli/bench/bench_profile.h"

#include <fmt/format.h>

#include <algorithm>

namespace lorikeet {
namespace {

const char* CeilingName(const RooflinePoint& point) {
  return point.compute_bound ? "matmul" : "memory";
}

std::string PartRow(const StepProfile::Part& part, double step_seconds) {
  std::string row = fmt::format("  {:<20} {:>9.1f}  {:>6.1f} %", part.cost.part, part.seconds * 1e3,
                                100 * part.seconds / step_seconds);
  if (part.cost.bytes > 0) {
    row += fmt::format("  {:>9.1f} {:>8.1f}  {:>6.1f} % {}  {:>9.1f}", part.point.gflops,
                       part.point.gbs, 100 * part.point.share_of_ceiling, CeilingName(part.point),
                       part.point.ideal_seconds * 1e3);
  }
  return row + "\n";
}

OrderedJson PartJson(const StepProfile::Part& part, double step_seconds) {
  return {{"calls", part.cost.calls},
          {"seconds", part.seconds},
          {"share", part.seconds / step_seconds},
          {"flops", part.cost.flops},
          {"bytes", part.cost.bytes},
          {"gflops_per_second", part.point.gflops},
          {"gb_per_second", part.point.gbs},
          {"ceiling", CeilingName(part.point)},
          {"share_of_ceiling", part.point.share_of_ceiling},
          {"ideal_seconds", part.point.ideal_seconds}};
}

}  // namespace

double StepProfile::RestSeconds() const {
  double rest = step_seconds;
  for (const Part& part : parts) rest -= part.seconds;
  return rest;
}

double StepProfile::IdealSeconds() const {
  double ideal = 0;
  for (const Part& part : parts) ideal += part.point.ideal_seconds;
  return ideal;
}

StepProfile MakeStepProfile(const std::vector<Profile::Part>& measured,
                            const std::vector<PartCost>& costs, int64_t steps, double step_seconds,
                            const Ceilings& ceilings) {
  StepProfile profile{ceilings, {}, step_seconds};
  for (const Profile::Part& from : measured) {
    StepProfile::Part part;
    const auto at = std::find_if(costs.begin(), costs.end(),
                                 [&](const PartCost& cost) { return cost.part == from.name; });
    if (at != costs.end()) part.cost = *at;
    part.cost.part = from.name;
    part.cost.calls = static_cast<double>(from.calls) / static_cast<double>(steps);
    part.seconds = from.seconds / static_cast<double>(steps);
    part.point = UnderRoofline(part.cost.flops, part.cost.bytes, part.seconds, ceilings);
    profile.parts.push_back(part);
  }
  return profile;
}

std::string StepProfileText(const StepProfile& p) {
  std::string text =
      fmt::format("{:<18} at {:.1f} FLOP per byte\n", "roofline's ridge", p.ceilings.Ridge());
  text += fmt::format("  {:<20} {:>9}  {:>8}  {:>9} {:>8}  {:>15}  {:>9}\n", "part", "ms", "share",
                      "GFLOP/s", "GB/s", "of its ceiling", "ideal ms");
  for (const StepProfile::Part& part : p.parts) text += PartRow(part, p.step_seconds);
  text += fmt::format("  {:<20} {:>9.1f}  {:>6.1f} %\n", "the rest", p.RestSeconds() * 1e3,
                      100 * p.RestSeconds() / p.step_seconds);
  text += fmt::format("  {:<20} {:>9.1f}  {:>6.1f} %  {:>18}  {:>6.1f} %{:>18.1f}\n", "step",
                      p.step_seconds * 1e3, 100.0, "", 100 * p.IdealSeconds() / p.step_seconds,
                      p.IdealSeconds() * 1e3);
  return text;
}

OrderedJson StepProfileJson(const StepProfile& p) {
  OrderedJson parts = OrderedJson::object();
  for (const StepProfile::Part& part : p.parts) {
    parts[part.cost.part] = PartJson(part, p.step_seconds);
  }
  return {{"step_seconds", p.step_seconds},
          {"ideal_seconds", p.IdealSeconds()},
          {"rest_seconds", p.RestSeconds()},
          {"matmul_peak_gflops", p.ceilings.matmul_gflops},
          {"read_bandwidth_gbs", p.ceilings.read_gbs},
          {"ridge_flops_per_byte", p.ceilings.Ridge()},
          {"parts", parts}};
}

}  // namespace lorikeet
