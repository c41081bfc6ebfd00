// What a learning-rate sweep says: the runs of a study by condition, the optimum of each with its
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

// The minimum of a parabola through the lowest point and its two neighbours, x rising.
struct Vertex {
  double x = kUnknown, y = kUnknown;
  bool inside = false;  // false: the lowest point is the first or the last one, x and y are its own
};
// Where one neighbour lies more than a hundred times as far above the lowest point as the other (a
// diverged run), it is taken at a hundred times: the optimum then lies between the other two.
Vertex ParabolaMinimum(std::span<const double> x, std::span<const double> y);

// One condition: runs that differ in learning rate and seed only.
struct Sweep {
  RunSpec spec;                                                 // of one of them
  std::map<double, std::map<uint64_t, const RunRecord*>> runs;  // by rate, by seed

  std::vector<uint64_t> Seeds() const;  // that every rate has
  std::vector<double> Rates() const;
  int NumRuns() const;
  // Steps that every run was to be evaluated at.
  std::vector<int64_t> Steps() const;
};

// In order of full first, then modules, rank and batch. The records must outlive the sweeps.
std::vector<Sweep> GroupRuns(std::span<const RunRecord> records);

struct Optimum {
  bool bracketed = false;                 // no seed has its best rate at the grid's edge
  Interval rate;                          // of the parabola in log10 of the rate
  Interval loss;                          // the lowest that was measured (RunRecord::LossAt)
  std::vector<double> log_rates, losses;  // of each seed, in order of Sweep::Seeds
  // The rates whose mean loss is within a hundredth of the way back to the untrained model's; with
  // rewards, whose mean reward is within a twentieth of the best one.
  double low_rate = kUnknown, high_rate = kUnknown;
};
// By RunRecord::LossAt a step.
Optimum OptimumAt(const Sweep& sweep, int64_t step);

// By rate, the mean over seeds, and the standard deviation.
struct LossByRate {
  std::vector<double> rates, means, deviations;
  std::vector<bool> diverged;  // in any seed
};
LossByRate LossesAt(const Sweep& sweep, int64_t step);

// Pointwise minimum over rates of one seed's held-out loss, at every step of sweep.Steps().
std::vector<double> BestCurve(const Sweep& sweep, uint64_t seed);

// Rates of a grid lie at powers of ten of k / per_decade, rounded to three digits, so that grids
// share their runs.
double GridRate(int k, int per_decade);
int GridIndex(double rate, int per_decade);

// What is still to be tried so that no seed has its best rate at the edge: two more rates beyond
// each such edge. losses: of each seed at each rate tried. Empty once every optimum is inside.
std::vector<int> ExtendGrid(const std::map<int, std::vector<double>>& losses);

}  // namespace lorikeet
