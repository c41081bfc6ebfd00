// What several analyses say in the same way: paired differences, words for them, tables of optima.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "study/report.h"
#include "study/settings.h"
#include "study/sweep.h"

namespace lorikeet {

// a[s] - b[s] of every seed; empty when they are not of the same seeds.
std::vector<double> Paired(std::span<const double> a, std::span<const double> b);

// How many times the best rate of `b` that of `a` is, at a step, seeds paired. Unknown where one of
// them has its best rate at the grid's edge.
Interval RateRatio(const Sweep& a, const Sweep& b, int64_t step);
// Lowest loss of `a` less that of `b`, at a step, seeds paired; nats.
Interval LossGap(const Sweep& a, const Sweep& b, int64_t step);
// What a condition learns by a step, at each seed's best rate: nats from the untrained model's
// loss.
double LearnedBy(const Sweep& sweep, int64_t step);
// A difference that counts as none beside a sweep: 2 % of what it learns, nats. (The article's
// largest between high ranks and full fine-tuning is 0.4 % of the loss.)
double NothingOf(const Sweep& sweep, int64_t step);

// The one that trains everything, at the study's own batch and schedule; null if none.
const Sweep* FindFull(std::span<const Sweep> sweeps);
// Pointers to those of LoRA, by rank.
std::vector<const Sweep*> FindLora(std::span<const Sweep> sweeps);

// The runs of a condition at the grid's rate that is best on average.
std::vector<const RunRecord*> RunsAtBest(const Sweep& sweep, int64_t step);

// "above", "below" or "not to be told from" what the interval is held against.
std::string AgainstValue(const Interval& here, double value);

// Method and, where it is not constant, schedule.
std::string ConditionName(const Sweep& sweep);
// Best rate, loss, ratio to full, band of good rates and diverged runs of every condition.
Table OptimumTable(const std::string& name, std::span<const Sweep> sweeps, int64_t step);
// What the runs are judged by (study/measure.h) against learning rate, one line a condition, dashed
// at another schedule than the first one's. step 0: at the end of each. At least one sweep.
Figure LossByRateFigure(const std::string& name, std::span<const Sweep* const> sweeps,
                        int64_t step);
// 0 for the lowest, 100 for the highest of the ranks, -2 for full, -1 where ranks repeat:
// Series::shade.
int ShadeOf(const Sweep& sweep, std::span<const Sweep* const> among);

// What holds for every experiment: model, data, seeds, rates, intervals, diverged runs.
std::vector<std::string> CommonNotes(const StudySettings& settings,
                                     std::span<const RunRecord> records);
// Of sweeps that have their best rate at the edge; their optimum is refused.
std::vector<std::string> EdgeNotes(std::span<const Sweep> sweeps, int64_t step);
int CountRuns(std::span<const Sweep* const> sweeps);
// Throws Error(kInvalidArgument) when there is no run.
void RequireRuns(std::span<const RunRecord> records, const char* experiment);

}  // namespace lorikeet
