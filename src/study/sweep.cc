#include "study/sweep.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "study/measure.h"

namespace lorikeet {
namespace {

// An unknown loss (untrained or diverged run) counts as the worst, so that it never wins a
// comparison.
double OrWorst(double loss) {
  return std::isfinite(loss) ? loss : std::numeric_limits<double>::max();
}

std::vector<double> LossesOfSeed(const Sweep& sweep, uint64_t seed, int64_t step) {
  std::vector<double> losses;
  for (const auto& [rate, by_seed] : sweep.runs) {
    const auto found = by_seed.find(seed);
    losses.push_back(found == by_seed.end() ? kUnknown : found->second->LossAt(step));
  }
  return losses;
}

}  // namespace

Vertex ParabolaMinimum(std::span<const double> x, std::span<const double> y) {
  if (x.empty()) return {};
  size_t i = 0;
  for (size_t j = 1; j < y.size(); ++j) {
    if (OrWorst(y[j]) < OrWorst(y[i])) i = j;
  }
  if (!std::isfinite(y[i])) return {};
  if (i == 0 || i + 1 == y.size()) return {x[i], y[i], false};
  constexpr double kSteepest = 100;
  double left = OrWorst(y[i - 1]) - y[i], right = OrWorst(y[i + 1]) - y[i];
  if (left <= 0 && right <= 0) return {x[i], y[i], true};  // a flat bottom
  if (left > 0 && right > 0) {
    left = std::min(left, kSteepest * right);
    right = std::min(right, kSteepest * left);
  }
  const double a = x[i - 1] - x[i], b = x[i + 1] - x[i];
  // y = y_i + p u + q u^2 through (a, left) and (b, right).
  const double q = (left / a - right / b) / (a - b), p = left / a - q * a;
  const double u = std::clamp(-p / (2 * q), a, b);
  return {x[i] + u, y[i] + p * u + q * u * u, true};
}

std::vector<uint64_t> Sweep::Seeds() const {
  std::map<uint64_t, size_t> count;
  for (const auto& [rate, by_seed] : runs) {
    for (const auto& [seed, run] : by_seed) ++count[seed];
  }
  std::vector<uint64_t> seeds;
  for (const auto& [seed, n] : count) {
    if (n == runs.size()) seeds.push_back(seed);
  }
  return seeds;
}

std::vector<double> Sweep::Rates() const {
  std::vector<double> rates;
  for (const auto& [rate, by_seed] : runs) rates.push_back(rate);
  return rates;
}

int Sweep::NumRuns() const {
  size_t n = 0;
  for (const auto& [rate, by_seed] : runs) n += by_seed.size();
  return static_cast<int>(n);
}

std::vector<int64_t> Sweep::Steps() const {
  std::set<int64_t> steps = {0, spec.steps()};
  steps.insert(spec.eval_at.begin(), spec.eval_at.end());
  return {steps.begin(), steps.end()};
}

std::vector<Sweep> GroupRuns(std::span<const RunRecord> records) {
  std::map<std::string, Sweep> groups;
  for (const RunRecord& record : records) {
    Sweep& sweep = groups[ConditionKey(record.spec)];
    sweep.spec = record.spec;
    sweep.runs[record.spec.learning_rate()][record.spec.seed()] = &record;
  }
  std::vector<Sweep> sweeps;
  for (auto& [key, sweep] : groups) sweeps.push_back(std::move(sweep));
  const auto order = [](const Sweep& s) {
    return std::tuple(!s.spec.full(), s.spec.run.adapter.target_modules, s.spec.run.adapter.lora_r,
                      s.spec.run.adapter.ExpertRank(), s.spec.run.adapter.lora_shared_outer,
                      s.spec.run.steps.batch_size, s.spec.run.optimizer.lr_scheduler_type,
                      s.spec.steps(), s.spec.model);
  };
  std::stable_sort(sweeps.begin(), sweeps.end(),
                   [&](const Sweep& a, const Sweep& b) { return order(a) < order(b); });
  return sweeps;
}

Optimum OptimumAt(const Sweep& sweep, int64_t step) {
  Optimum optimum;
  std::vector<double> x;
  for (const double rate : sweep.Rates()) x.push_back(std::log10(rate));
  optimum.bracketed = !sweep.Seeds().empty();
  for (const uint64_t seed : sweep.Seeds()) {
    const std::vector<double> y = LossesOfSeed(sweep, seed, step);
    const Vertex vertex = ParabolaMinimum(x, y);
    optimum.bracketed = optimum.bracketed && vertex.inside;
    optimum.log_rates.push_back(vertex.x);
    double lowest = kUnknown;
    for (const double loss : y) {
      if (OrWorst(loss) < OrWorst(lowest)) lowest = loss;
    }
    optimum.losses.push_back(lowest);
  }
  optimum.rate = FromLog10(MeanInterval(optimum.log_rates));
  optimum.loss = MeanInterval(optimum.losses);
  const LossByRate by_rate = LossesAt(sweep, step), before = LossesAt(sweep, 0);
  if (by_rate.means.empty()) return optimum;
  double best = kUnknown;
  for (const double mean : by_rate.means) {
    if (OrWorst(mean) < OrWorst(best)) best = mean;
  }
  const double bound = MeasureOf(sweep.spec).GoodCost(best, before.means.front());
  for (size_t i = 0; i < by_rate.rates.size(); ++i) {
    if (!(by_rate.means[i] <= bound)) continue;
    if (std::isnan(optimum.low_rate)) optimum.low_rate = by_rate.rates[i];
    optimum.high_rate = by_rate.rates[i];
  }
  return optimum;
}

LossByRate LossesAt(const Sweep& sweep, int64_t step) {
  LossByRate result;
  for (const auto& [rate, by_seed] : sweep.runs) {
    std::vector<double> losses;
    bool diverged = false;
    for (const auto& [seed, run] : by_seed) {
      losses.push_back(run->LossAt(step));
      diverged = diverged || (run->diverged && run->steps < step);
    }
    result.rates.push_back(rate);
    result.means.push_back(Mean(losses));
    result.deviations.push_back(StandardDeviation(losses));
    result.diverged.push_back(diverged);
  }
  return result;
}

std::vector<double> BestCurve(const Sweep& sweep, uint64_t seed) {
  std::vector<double> curve;
  for (const int64_t step : sweep.Steps()) {
    double best = kUnknown;
    for (const double loss : LossesOfSeed(sweep, seed, step)) {
      if (OrWorst(loss) < OrWorst(best)) best = loss;
    }
    curve.push_back(best);
  }
  return curve;
}

double GridRate(int k, int per_decade) {
  const double exact = std::pow(10.0, static_cast<double>(k) / per_decade);
  const double unit = std::pow(10.0, std::floor(std::log10(exact) + 1e-9) - 2);
  const double rounded = std::round(exact / unit);
  // A division of whole numbers is rounded once, so the rate has the bits of the decimal number
  // that the user would type.
  return unit < 1 ? rounded / std::round(1 / unit) : rounded * unit;
}

int GridIndex(double rate, int per_decade) {
  return static_cast<int>(std::lround(std::log10(rate) * per_decade));
}

std::vector<int> ExtendGrid(const std::map<int, std::vector<double>>& losses) {
  if (losses.empty()) return {};
  const int lowest = losses.begin()->first, highest = losses.rbegin()->first;
  bool below = false, above = false;
  const size_t seeds = losses.begin()->second.size();
  for (size_t s = 0; s < seeds; ++s) {
    int best = lowest;
    for (const auto& [k, of_seed] : losses) {
      if (OrWorst(of_seed[s]) < OrWorst(losses.at(best)[s])) best = k;
    }
    below = below || best == lowest;
    above = above || best == highest;
  }
  std::vector<int> more;
  if (below) more.insert(more.end(), {lowest - 2, lowest - 1});
  if (above) more.insert(more.end(), {highest + 1, highest + 2});
  return more;
}

}  // namespace lorikeet
