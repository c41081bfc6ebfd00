// Comparisons that several analyses share: paired differences, words for them, the step at which
// one loss curve leaves another, tables of optima.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "study/report.h"
#include "study/settings.h"
#include "study/sweep.h"

namespace lorikeet {

// a[s] - b[s] for every seed; empty when the seeds differ.
std::vector<double> Paired(std::span<const double> a, std::span<const double> b);

// Ratio of the best rate of `a` to that of `b` at a step, seeds paired. Unknown if one of them has
// its best rate at the grid's edge.
Interval RateRatio(const Sweep& a, const Sweep& b, int64_t step);
// Lowest loss of `a` minus that of `b`, at a step, seeds paired; nats.
Interval LossGap(const Sweep& a, const Sweep& b, int64_t step);
// Improvement of a condition by a step, at each seed's best rate: the untrained model's loss minus
// its loss, nats.
double LearnedBy(const Sweep& sweep, int64_t step);
// The equivalence margin: a smaller difference of losses is not a difference. 2 % of LearnedBy,
// nats. (The article's largest difference between high ranks and full fine-tuning is 0.4 % of the
// loss.)
double EquivalenceMargin(const Sweep& sweep, int64_t step);

// The step at which `gap` (at `steps`, rising) crosses `threshold` upwards for the last time,
// interpolated in the logarithm of the step. Infinity when it ends below; the first step when it is
// never below. Step 0 and gaps that are not finite are left out.
double DepartureStep(std::span<const int64_t> steps, std::span<const double> gap, double threshold);

struct Departure {
  Interval step;     // over the seeds with a departure
  int departed = 0;  // number of seeds with a departure
  int seeds = 0;
  std::vector<double> of_seed;  // step by seed; infinity: no departure
};
// gaps: one curve per seed, at `steps`.
Departure DetectDeparture(std::span<const int64_t> steps, std::span<const std::vector<double>> gaps,
                          double threshold);

// The sweep of full fine-tuning, at the study's own batch and schedule; null if none.
const Sweep* FindFull(std::span<const Sweep> sweeps);
// The sweeps of LoRA, by rank.
std::vector<const Sweep*> FindLora(std::span<const Sweep> sweeps);

// The runs of a condition at the rate of the grid that is best on average.
std::vector<const RunRecord*> RunsAtBest(const Sweep& sweep, int64_t step);

// "above", "below" or "not to be told from": an interval compared with a value.
std::string AgainstValue(const Interval& here, double value);

// The name of the method and, if it is not constant, of the schedule.
std::string ConditionName(const Sweep& sweep);
// A table of every condition's best rate, loss, ratio to full, band of good rates and diverged
// runs.
Table OptimumTable(const std::string& name, std::span<const Sweep> sweeps, int64_t step);
// The runs' metric (study/measure.h) against learning rate, one line per condition, dashed if its
// schedule is not the first one's. step 0: at the end of each run. At least one sweep.
Figure LossByRateFigure(const std::string& name, std::span<const Sweep* const> sweeps,
                        int64_t step);
// Series::shade of a sweep: 0 for the lowest and 100 for the highest of the ranks, -2 for full, -1
// where ranks repeat.
int ShadeOf(const Sweep& sweep, std::span<const Sweep* const> among);

// Notes that every experiment has: model, data, seeds, rates, intervals, diverged runs.
std::vector<std::string> CommonNotes(const StudySettings& settings,
                                     std::span<const RunRecord> records);
// Notes on sweeps that have their best rate at the edge; their optimum is refused.
std::vector<std::string> EdgeNotes(std::span<const Sweep> sweeps, int64_t step);
int CountRuns(std::span<const Sweep* const> sweeps);
// Throws Error(kInvalidArgument) when there is no run.
void RequireRuns(std::span<const RunRecord> records, const char* experiment);

}  // namespace lorikeet
