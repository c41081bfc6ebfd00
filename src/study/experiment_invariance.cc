// The invariances of the parametrisation in the article: alpha -> alpha / (p q), init_A -> p
// init_A, LR_A -> p LR_A, LR_B -> q LR_B leaves training unchanged; and with the factor 1/r the
// beginning of a run is the same for every rank (figure 9).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "study/comparison.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

// Large enough to matter: with 1e-8 and 0 a transform that omits them would pass.
constexpr double kEps = 1e-4, kWeightDecay = 0.1, kClip = 0.1;
constexpr int64_t kMaxSteps = 60;

int MiddleRank(const StudySettings& settings) {
  const std::vector<int> ranks = settings.Ranks();
  return ranks[ranks.size() / 2];
}

// If A is p times as large, Adam gets gradients 1/p as large for it: eps and decay are scaled
// likewise.
RunSpec Transformed(RunSpec spec, double p, double q) {
  spec.run.adapter.lora_alpha /= p * q;
  spec.run.adapter.lora_init_a_scale *= p;
  spec.run.adapter.a = {p, 1 / p, 1 / p};
  spec.run.adapter.b = {q, 1 / q, 1 / q};
  return spec;
}

struct Variant {
  std::string name;
  RunSpec base, other;
  bool same;          // expected, by the article or by algebra
  bool exact = true;  // factors are powers of two, which change no rounding
};

std::vector<Variant> Variants(const RunSpec& base) {
  const RunSpec both = Transformed(base, 8, 0.5);
  RunSpec eps = both, eps_q = both, decay = both, clipped = base;
  eps.run.adapter.a.eps = eps.run.adapter.b.eps = 1;
  eps_q.run.adapter.a.eps = eps_q.run.adapter.b.eps = 1 / 0.5;
  decay.run.adapter.a.weight_decay = decay.run.adapter.b.weight_decay = 1;
  clipped.run.optimizer.max_grad_norm = kClip;
  return {
      {"p = 8, q = 1/2, eps and decay of A and B by 1/p and 1/q", base, both, true},
      {"p = 3, q = 0.7, likewise", base, Transformed(base, 3, 0.7), true, false},
      {"eps left as it was", base, eps, false},
      {"eps of both by 1/q, as the article's footnote has it", base, eps_q, false},
      {"weight decay left as it was", base, decay, false},
      {"with gradients cut by their global norm", clipped, Transformed(clipped, 8, 0.5), false}};
}

// A run of this rank, with alpha/r or with a scale that does not depend on r.
RunSpec OfRank(RunSpec base, const StudySettings& settings, int rank, bool divided) {
  base.run.adapter.lora_r = rank;
  if (!divided) {
    base.run.adapter.lora_alpha =
        settings.adapter.lora_alpha * rank / static_cast<double>(MiddleRank(settings));
  }
  return base;
}

// The reference run that all variants are compared with, from any spec of the study.
RunSpec BaseOf(const StudySettings& settings, RunSpec spec) {
  spec.run.adapter.method = "lora";
  spec.run.adapter.lora_r = MiddleRank(settings);
  spec.run.adapter.lora_alpha = settings.adapter.lora_alpha;
  spec.run.adapter.lora_init_a_scale = 1;
  spec.run.adapter.a = spec.run.adapter.b = {};
  spec.run.optimizer.adam_epsilon = kEps;
  spec.run.optimizer.weight_decay = kWeightDecay;
  spec.run.optimizer.max_grad_norm = 0;
  return spec;
}

using RunsById = std::map<std::string, const RunRecord*>;

const RunRecord* Find(const RunsById& runs, RunSpec spec, uint64_t seed) {
  spec.run.steps.seed = seed;
  const auto found = runs.find(RunId(spec));
  return found == runs.end() ? nullptr : found->second;
}

// Maximum over steps of the difference of losses.
double LargestDifference(const RunRecord& a, const RunRecord& b) {
  if (a.losses.size() != b.losses.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.losses.size(); ++i) {
    largest = std::max(largest, std::abs(a.losses[i] - b.losses[i]));
  }
  return largest;
}

struct Comparison {
  Variant variant;
  std::vector<double> differences;  // by seed
  double Largest() const {
    return differences.empty() ? kUnknown
                               : *std::max_element(differences.begin(), differences.end());
  }
};

std::vector<Comparison> CompareAll(const StudySettings& settings, const RunSpec& base,
                                   const RunsById& runs) {
  std::vector<Comparison> comparisons;
  for (const Variant& variant : Variants(base)) {
    Comparison comparison = {variant, {}};
    for (const uint64_t seed : settings.Seeds()) {
      const RunRecord* a = Find(runs, variant.base, seed);
      const RunRecord* b = Find(runs, variant.other, seed);
      if (a != nullptr && b != nullptr) comparison.differences.push_back(LargestDifference(*a, *b));
    }
    comparisons.push_back(std::move(comparison));
  }
  return comparisons;
}

// The tolerance: effect of f32 rounding on a loss of a few nats over some tens of steps; with bf16
// operands rounding is coarser.
double Rounding(const RunSpec& spec) {
  return spec.dtype == "F32" || spec.dtype == "f32" ? 1e-3 : 2e-2;
}

void ConcludeTransforms(const std::vector<Comparison>& comparisons, double rounding,
                        Report* report) {
  for (const Comparison& c : comparisons) {
    const double largest = c.Largest();
    if (std::isnan(largest)) continue;
    const bool same = largest <= (c.variant.exact ? 0 : rounding);
    report->conclusions.push_back(
        fmt::format("{}: losses of {} runs differ by at most {:.3g} nats at any step: {}{}.",
                    c.variant.name, c.differences.size(), largest,
                    largest == 0 ? "the same to the last bit"
                    : same       ? "the same up to rounding"
                                 : "not the same run",
                    same == c.variant.same ? "" : ", against what was to be expected"));
    Interval here = MeanInterval(c.differences);
    report->findings.push_back({"largest difference of losses: " + c.variant.name,
                                c.variant.same ? "0: training is unchanged" : "above 0: it breaks",
                                here, same == c.variant.same ? Agreement::kYes : Agreement::kNo,
                                2 * static_cast<int>(c.differences.size())});
  }
}

// Spread of the ranks' losses at a step, as a share of the improvement by then, for one seed.
double Spread(const StudySettings& settings, const RunSpec& base, const RunsById& runs,
              uint64_t seed, bool divided, int64_t step) {
  double low = std::numeric_limits<double>::infinity(), high = -low, before = kUnknown;
  for (const int rank : settings.Ranks()) {
    const RunRecord* run = Find(runs, OfRank(base, settings, rank, divided), seed);
    if (run == nullptr) return kUnknown;
    low = std::min(low, run->LossAt(step));
    high = std::max(high, run->LossAt(step));
    before = run->LossAt(0);
  }
  return (high - low) / (before - low);
}

Figure EarlyFigure(const StudySettings& settings, const RunSpec& base, const RunsById& runs) {
  Figure figure = {.name = "invariance_ranks",
                   .title = "Spread of the ranks' losses over what was learned so far",
                   .xlabel = "step",
                   .ylabel = "share",
                   .caption =
                       "One learning rate for all ranks; mean over seeds with 95 % "
                       "intervals.",
                   .log_y = true};
  for (const bool divided : {true, false}) {
    Series series = {.label = divided ? "alpha / r" : "without 1 / r"};
    for (const int64_t step : base.eval_at) {
      std::vector<double> spreads;
      for (const uint64_t seed : settings.Seeds()) {
        if (step > 0) spreads.push_back(Spread(settings, base, runs, seed, divided, step));
      }
      const Interval spread = MeanInterval(spreads);
      if (!std::isfinite(spread.value) || spread.value <= 0) continue;
      series.Add(static_cast<double>(step),
                 {spread.value, std::max(spread.low, spread.value / 10), spread.high});
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

void ConcludeRanks(const StudySettings& settings, const RunSpec& base, const RunsById& runs,
                   Report* report) {
  int64_t early = 0;
  for (const int64_t step : base.eval_at) {
    if (step <= std::max<int64_t>(2, base.steps() / 10)) early = std::max(early, step);
  }
  std::vector<double> with, without, factor;
  for (const uint64_t seed : settings.Seeds()) {
    with.push_back(Spread(settings, base, runs, seed, true, early));
    without.push_back(Spread(settings, base, runs, seed, false, early));
    factor.push_back(std::log10(without.back() / with.back()));
  }
  const Interval spread = MeanInterval(with), other = MeanInterval(without);
  const Interval times = FromLog10(MeanInterval(factor));
  if (!std::isfinite(spread.value)) return;
  report->conclusions.push_back(fmt::format(
      "After {} steps at one learning rate the losses of ranks {} to {} lie within {} of what was "
      "learned with alpha / r, within {} without the 1 / r: {} times as far apart, {} 1.",
      early, settings.Ranks().front(), settings.Ranks().back(), spread.Text(), other.Text(),
      times.Text(), AgainstValue(times, 1)));
  report->findings.push_back(
      {"how many times further apart early curves of the ranks are without 1/r",
       "above 1: with 1/r they are alike", times,
       AgreesWith(times, 1, std::numeric_limits<double>::infinity()),
       static_cast<int>(2 * settings.Seeds().size() * settings.Ranks().size())});
}

StudyPlan Plan(const PlanContext& context) {
  StudySettings settings = context.settings;
  settings.steps = std::min(settings.steps, kMaxSteps);
  settings.short_steps = {"1"};
  const StudyModel& model = *context.models.front();
  RunSpec base = BaseOf(settings, BaseSpec(settings, model));
  base.run.optimizer.learning_rate = CentreOf(settings, model, base);
  StudyPlan plan;
  const auto add = [&](RunSpec spec) {
    for (const uint64_t seed : settings.Seeds()) {
      spec.run.steps.seed = seed;
      plan.fixed.push_back(spec);
    }
  };
  for (const Variant& variant : Variants(base)) {
    add(variant.base);
    add(variant.other);
  }
  for (const int rank : settings.Ranks()) {
    for (const bool divided : {true, false}) add(OfRank(base, settings, rank, divided));
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "invariance");
  RunsById runs;
  for (const RunRecord& record : records) runs[record.id] = &record;
  const RunSpec base = BaseOf(settings, records.front().spec);
  Report report = {.experiment = "invariance",
                   .title = "Invariances",
                   .question =
                       "Which changes of alpha, of A's first values and of the learning "
                       "rates of A and B leave training as it is?"};
  const std::vector<Comparison> comparisons = CompareAll(settings, base, runs);
  ConcludeTransforms(comparisons, Rounding(base), &report);
  ConcludeRanks(settings, base, runs, &report);
  report.figures.push_back(EarlyFigure(settings, base, runs));
  Table table = {.name = "invariance_differences",
                 .title = "Largest difference of losses at any step",
                 .header = {"change", "expected", "seeds", "nats"}};
  for (const Comparison& c : comparisons) {
    table.rows.push_back({c.variant.name, c.variant.same ? "the same run" : "another run",
                          std::to_string(c.differences.size()),
                          fmt::format("{:.3g}", c.Largest())});
  }
  report.tables.push_back(std::move(table));
  report.notes = CommonNotes(settings, records);
  report.notes.push_back(fmt::format(
      "{} steps at learning rate {}, eps {:g}, weight decay {:g}, no clipping but where it is "
      "named (norm {:g}); rank {}. Powers of two scale without rounding, other factors do not.",
      base.steps(), RateText(base.learning_rate()), kEps, kWeightDecay, kClip,
      base.run.adapter.lora_r));
  return report;
}

}  // namespace

constinit const Experiment kInvarianceExperiment = {
    .name = "invariance",
    .summary = "which scales of alpha, A and B leave training as it is",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
