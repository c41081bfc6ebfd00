// Analysis of learning-rate sweeps: the runs of a study by condition, the optimum of each with its
// interval over seeds, and the pointwise minimum over rates.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "study/ledger.h"
#include "study/statistics.h"

namespace lorikeet {

// Vertex of the parabola through the lowest point and its two neighbours, x rising.
struct Vertex {
  double x = kUnknown, y = kUnknown;
  bool inside = false;  // false: the lowest point is the first or last one; x and y are its own
};
// If one neighbour is more than a hundred times as far above the lowest point as the other (a
// diverged run), its distance is clipped to a hundred times: the optimum then lies between the
// other two.
Vertex ParabolaMinimum(std::span<const double> x, std::span<const double> y);

// One condition: runs that differ in learning rate and seed only.
struct Sweep {
  RunSpec spec;                                                 // settings of one of its runs
  std::map<double, std::map<uint64_t, const RunRecord*>> runs;  // by rate, by seed

  std::vector<uint64_t> Seeds() const;  // seeds that every rate has
  std::vector<double> Rates() const;
  int NumRuns() const;
  // Steps at which every run is evaluated.
  std::vector<int64_t> Steps() const;
};

// Groups runs by condition, ordered by full first, then modules, rank and batch. The records must
// outlive the sweeps.
std::vector<Sweep> GroupRuns(std::span<const RunRecord> records);

struct Optimum {
  bool bracketed = false;                 // true if no seed has its best rate at the grid's edge
  Interval rate;                          // vertex of the parabola in log10 of the rate
  Interval loss;                          // the lowest measured loss (RunRecord::LossAt)
  std::vector<double> log_rates, losses;  // by seed, in order of Sweep::Seeds
  // Bounds of the rates whose mean loss is above the best by at most a hundredth of the distance to
  // the untrained model's; with rewards, whose mean reward is within a twentieth of the best one.
  double low_rate = kUnknown, high_rate = kUnknown;
};
// The optimum by RunRecord::LossAt(step).
Optimum OptimumAt(const Sweep& sweep, int64_t step);

// Mean and standard deviation over seeds, by rate.
struct LossByRate {
  std::vector<double> rates, means, deviations;
  std::vector<bool> diverged;  // true if a run of any seed diverged
};
LossByRate LossesAt(const Sweep& sweep, int64_t step);

// Pointwise minimum over rates of one seed's held-out loss, at every step of sweep.Steps().
std::vector<double> BestCurve(const Sweep& sweep, uint64_t seed);

// The rate at index k of a grid: 10^(k / per_decade), rounded to three digits, so that grids share
// their runs.
double GridRate(int k, int per_decade);
int GridIndex(double rate, int per_decade);

// Grid indices to try next so that no seed has its best rate at the edge: two beyond each such
// edge. losses: one per seed, by index. Empty once every optimum is inside.
std::vector<int> ExtendGrid(const std::map<int, std::vector<double>>& losses);

}  // namespace lorikeet
