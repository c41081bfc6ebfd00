// What to train with: the article's rules for this model and data, then short runs that correct
// them, then a recommendation and what it may cost beside the best.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/format.h"
#include "study/comparison.h"
#include "study/experiment.h"
#include "train/learning_rate.h"

namespace lorikeet {
namespace {

constexpr double kBitsPerParameter = 2, kBitsPerToken = 1;
constexpr int kLowestRank = 4, kHighestRank = 256;
constexpr int64_t kMostProbeSteps = 120;

int64_t TrainedTokens(const StudyModel& model) {
  int64_t trained = 0;
  for (const Example& example : model.train) {
    trained += std::count_if(example.weights.begin(), example.weights.end(),
                             [](float weight) { return weight != 0; });
  }
  return trained;
}

// The lowest power of two whose parameters are at least as many as the trained tokens.
int RankByCapacity(int64_t trained_tokens, int64_t parameters_per_rank) {
  int rank = kLowestRank;
  while (rank < kHighestRank && rank * parameters_per_rank < trained_tokens) rank *= 2;
  return rank;
}

// A short run's best rate times this is a long one's: the rule's multipliers for both lengths.
double LengthFactor(int rank, int64_t planned, int64_t probed) {
  return LoraMultiplier(rank, planned) / LoraMultiplier(rank, probed);
}

struct Probe {
  const Sweep* sweep = nullptr;
  Optimum optimum;
};

// Loss at a rate between those of the grid, by straight lines in the logarithm of the rate.
double LossAtRate(const Sweep& sweep, uint64_t seed, double log_rate) {
  std::vector<std::pair<double, double>> points;
  for (const auto& [rate, by_seed] : sweep.runs) {
    points.emplace_back(std::log10(rate), by_seed.at(seed)->FinalLoss());
  }
  for (size_t i = 1; i < points.size(); ++i) {
    const auto& [x0, y0] = points[i - 1];
    const auto& [x1, y1] = points[i];
    if (log_rate <= x1) return y0 + (y1 - y0) * std::clamp((log_rate - x0) / (x1 - x0), 0.0, 1.0);
  }
  return points.back().second;
}

// For every seed: what the rate that the other seeds recommend costs it, beside its own best, as a
// share of what it learns.
std::vector<double> Regrets(const Probe& probe) {
  const std::vector<uint64_t> seeds = probe.sweep->Seeds();
  const std::vector<double>& rates = probe.optimum.log_rates;
  std::vector<double> regrets;
  for (size_t s = 0; seeds.size() > 1 && s < seeds.size(); ++s) {
    double others = 0;
    for (size_t t = 0; t < seeds.size(); ++t) others += t == s ? 0 : rates[t];
    others /= static_cast<double>(seeds.size() - 1);
    const double untrained = probe.sweep->runs.begin()->second.at(seeds[s])->LossAt(0);
    const double best = probe.optimum.losses[s];
    regrets.push_back((LossAtRate(*probe.sweep, seeds[s], others) - best) / (untrained - best));
  }
  return regrets;
}

std::vector<Probe> Probes(const std::vector<Sweep>& sweeps) {
  std::vector<Probe> probes;
  for (const Sweep& sweep : sweeps) probes.push_back({&sweep, OptimumAt(sweep, sweep.spec.steps)});
  return probes;
}

// The lowest rank on all modules that is not shown to be worse than the best.
const Probe* Choose(const std::vector<Probe>& probes) {
  const Probe* best = nullptr;
  for (const Probe& probe : probes) {
    if (probe.sweep->spec.full || !probe.optimum.bracketed) continue;
    if (best == nullptr || probe.optimum.loss.value < best->optimum.loss.value) best = &probe;
  }
  const Probe* chosen = best;
  for (const Probe& probe : probes) {
    if (best == nullptr || probe.sweep->spec.full || !probe.optimum.bracketed) continue;
    if (probe.sweep->spec.lora_r >= chosen->sweep->spec.lora_r) continue;
    // Each at its own end: the runs with half the batch have twice the steps.
    const Interval gap = MeanInterval(Paired(probe.optimum.losses, best->optimum.losses));
    if (gap.Known() && gap.low <= 0) chosen = &probe;
  }
  return chosen;
}

void ConcludeCapacity(const RunRecord& run, int64_t parameters, int rank, Report* report) {
  const auto tokens = run.facts.value("data_trained_tokens", int64_t{0});
  report->conclusions.push_back(fmt::format(
      "The data has {} trained tokens, at most about {} of information; an adapter of rank {} has "
      "{} parameters, room for about {}: {}.",
      HumanCount(tokens), ShortCount(kBitsPerToken * static_cast<double>(tokens)) + " bits", rank,
      HumanCount(parameters),
      ShortCount(kBitsPerParameter * static_cast<double>(parameters)) + " bits",
      parameters >= tokens
          ? "by the rule parameters >= trained tokens it suffices"
          : "fewer parameters than trained tokens, so a higher rank may learn more "
            "in a long run"));
}

void Recommend(const StudySettings& settings, const Probe& chosen, const RunRecord& run,
               Report* report) {
  const RunSpec& spec = chosen.sweep->spec;
  const int64_t batch = spec.batch_size;
  const auto examples = run.facts.value("data_examples", int64_t{1});
  const int64_t planned = std::max(settings.steps, (examples + batch - 1) / batch);
  const double factor = LengthFactor(spec.lora_r, planned, spec.steps);
  Interval rate = chosen.optimum.rate;
  for (double* x : {&rate.value, &rate.low, &rate.high}) *x *= factor;
  const LearningRateAdvice rule =
      DefaultLearningRate({.model_type = run.facts.value("model_type", std::string()),
                           .hidden_size = run.facts.value("hidden_size", int64_t{1}),
                           .rank = spec.lora_r,
                           .planned_steps = spec.steps});
  report->conclusions.push_back(fmt::format(
      "Recommended: --lora-r {} --target-modules {} --batch-size {} --learning-rate {} for {} "
      "steps, constant. In runs of {} steps the best rate was {}; the article's rule for LoRA "
      "multiplies by {:.2f} for the longer run.",
      spec.lora_r, fmt::join(spec.target_modules, ","), batch, RateText(rate), planned, spec.steps,
      RateText(chosen.optimum.rate), factor));
  const double off = chosen.optimum.rate.value / rule.value;
  report->conclusions.push_back(fmt::format(
      "The rule alone says {} for these short runs; what was measured is {:.2f} times that. Why: "
      "{}.",
      RateText(rule.value), off, rule.reason));
  const Interval regret = MeanInterval(Regrets(chosen));
  report->conclusions.push_back(fmt::format(
      "Expected regret of the rate, of what these runs learn: {} (every seed judged at the rate "
      "that the others recommend).",
      regret.Text()));
  report->findings.push_back({"regret of the recommended rate, share of what is learned",
                              "below 0.005 of the loss for its rule against whole sweeps", regret,
                              AgreesWith(regret, -1, 0.01), chosen.sweep->NumRuns()});
}

}  // namespace

StudyPlan PlanAdvise(const PlanContext& context) {
  const StudyModel& model = *context.models.front();
  StudySettings settings = context.settings;
  const int64_t tokens = TrainedTokens(model);
  settings.steps = std::min(settings.steps, kMostProbeSteps);
  settings.short_steps = {std::to_string(settings.steps)};
  const int64_t per_rank = TrainableOf(LoraCondition(settings, model, 1).spec, model);
  const int rank = RankByCapacity(tokens, per_rank);
  StudyPlan plan;
  for (const int r : {rank, std::max(1, rank / 4)}) {
    plan.swept.push_back(LoraCondition(settings, model, r));
  }
  SweptCondition half = plan.swept.front();  // whether smaller batches learn more of the same data
  half.spec.batch_size = std::max<int64_t>(1, settings.batch_size / 2);
  half.spec.steps = 2 * settings.steps;
  half.spec.eval_at = LogSpacedSteps(half.spec.steps, settings.eval_points);
  plan.swept.push_back(std::move(half));
  return plan;
}

Report AnalyseAdvise(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "advise");
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const std::vector<Probe> probes = Probes(sweeps);
  Report report = {.experiment = "advise",
                   .title = "Advice",
                   .question =
                       "Which rank, modules, learning rate and batch suit this model and "
                       "this data?"};
  const RunRecord& run = records.front();
  const Probe* chosen = Choose(probes);
  if (chosen == nullptr) {
    report.conclusions.push_back(
        "No condition has its best rate inside its grid: nothing is recommended.");
  } else {
    const RunRecord& of_chosen = *chosen->sweep->runs.begin()->second.begin()->second;
    ConcludeCapacity(run, of_chosen.trainable, chosen->sweep->spec.lora_r, &report);
    Recommend(settings, *chosen, run, &report);
    report.conclusions.push_back(
        "Modules: all linear ones. The article finds attention alone clearly worse, even at equal "
        "parameters; `study layers` tries it on this data.");
  }
  std::vector<const Sweep*> all;
  for (const Sweep& sweep : sweeps) all.push_back(&sweep);
  Table table = {.name = "advise_probes",
                 .title = "Short runs",
                 .header = {"condition", "batch", "steps", "best learning rate", "lowest loss"}};
  for (const Probe& probe : probes) {
    const RunSpec& spec = probe.sweep->spec;
    table.rows.push_back(
        {spec.MethodName(), std::to_string(spec.batch_size), std::to_string(spec.steps),
         probe.optimum.bracketed ? RateText(probe.optimum.rate) : "at the grid's edge",
         fmt::format("{:.4f} ({:.4f} to {:.4f})", probe.optimum.loss.value, probe.optimum.loss.low,
                     probe.optimum.loss.high)});
  }
  report.tables.push_back(std::move(table));
  report.figures.push_back(LossByRateFigure("advise_loss", all, 0));
  for (size_t i = 0; i < all.size(); ++i) {
    report.figures.back().series[i].label += fmt::format(", batch {}", all[i]->spec.batch_size);
  }
  report.notes = CommonNotes(settings, records);
  return report;
}

}  // namespace lorikeet
