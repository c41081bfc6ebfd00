// Tables and figures in the report of `study rl`, and the statistics that they show.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "study/measure.h"
#include "study/report.h"
#include "study/sweep.h"

namespace lorikeet {

struct RewardData {
  std::vector<Sweep> sweeps;
  const Sweep* full = nullptr;
  std::vector<const Sweep*> lora;  // by rank
  int64_t steps = 0;
};

// The records must outlive the result.
RewardData ArrangeRewards(std::span<const RunRecord> records);

// The highest measured reward: mean and interval over seeds.
Interval RewardOf(const Sweep& sweep, int64_t step);
// Shares of the held-out problems that the runs solve with greedy decoding; 0 for a diverged run.
std::vector<double> SolvedBy(std::span<const RunRecord* const> runs, int64_t step);
// True if completion lengths had exploded at the end of the run (rl/rl_monitor.h).
bool RanAway(const RunRecord& run);

std::string ShareText(std::span<const double> shares);  // "88.3 % (85.1 to 91.5)"
std::string WidthText(const GoodBand& band);            // "at least 4.1 (3.9 to 4.4)"

std::vector<Figure> RewardFigures(const RewardData& data);
Table RewardOptima(const RewardData& data);

}  // namespace lorikeet
