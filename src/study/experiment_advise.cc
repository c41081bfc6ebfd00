// Advice on rank, rate and batch: the article's rules for this model and data, then short runs that
// correct them, then a recommendation and its expected regret against the best choice.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/format.h"
#include "data/dataset.h"
#include "study/comparison.h"
#include "study/experiment.h"
#include "train/learning_rate.h"

namespace lorikeet {
namespace {

constexpr double kBitsPerParameter = 2, kBitsPerToken = 1;
constexpr int kLowestRank = 4, kHighestRank = 256;
constexpr int64_t kMaxProbeSteps = 60;
constexpr int kMaxEvaluations = 6;  // one costs as much as the steps between two
// For little data: minimum number of steps per epoch, maximum number of epochs per probe.
constexpr int64_t kStepsPerEpoch = 16, kEpochs = 4;

// The lowest power of two with at least as many parameters as trained tokens.
int RankByCapacity(int64_t trained_tokens, int64_t parameters_per_rank) {
  int rank = kLowestRank;
  while (rank < kHighestRank && rank * parameters_per_rank < trained_tokens) rank *= 2;
  return rank;
}

// Factor from a short run's best rate to a long run's: ratio of the rule's multipliers for both
// lengths.
double LengthFactor(int rank, int64_t planned, int64_t probed) {
  return LoraMultiplier(rank, planned) / LoraMultiplier(rank, probed);
}

// Sets batch and length of the probes, so that few examples are neither passed in a step or two
// nor memorised.
void FitToData(int64_t examples, StudySettings* settings) {
  settings->batch_size = std::clamp<int64_t>(examples / kStepsPerEpoch, 1, settings->batch_size);
  const int64_t epoch = (examples + settings->batch_size - 1) / settings->batch_size;
  settings->steps = std::min({settings->steps, kMaxProbeSteps, kEpochs * epoch});
  settings->steps = std::max<int64_t>(settings->steps, 2);
  settings->eval_points = std::min(settings->eval_points, kMaxEvaluations);
  settings->short_steps.clear();
  for (const int64_t part : {2, 1}) {
    settings->short_steps.push_back(std::to_string(std::max<int64_t>(1, settings->steps / part)));
  }
}

// A condition at the number of steps at which its mean lowest loss is minimal: further steps
// overfit.
struct Probe {
  const Sweep* sweep = nullptr;
  int64_t step = 0;
  Optimum optimum;  // there
  bool at_end() const { return step == sweep->spec.steps(); }
};

// Loss at a rate between those of the grid, interpolated linearly in the logarithm of the rate.
double LossAtRate(const Sweep& sweep, uint64_t seed, int64_t step, double log_rate) {
  std::vector<std::pair<double, double>> points;
  for (const auto& [rate, by_seed] : sweep.runs) {
    points.emplace_back(std::log10(rate), by_seed.at(seed)->LossAt(step));
  }
  for (size_t i = 1; i < points.size(); ++i) {
    const auto& [x0, y0] = points[i - 1];
    const auto& [x1, y1] = points[i];
    if (log_rate <= x1) return y0 + (y1 - y0) * std::clamp((log_rate - x0) / (x1 - x0), 0.0, 1.0);
  }
  return points.back().second;
}

// For every seed, the regret of the rate that the other seeds recommend: its loss minus that at the
// seed's own best rate, as a share of the seed's improvement.
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
    regrets.push_back((LossAtRate(*probe.sweep, seeds[s], probe.step, others) - best) /
                      (untrained - best));
  }
  return regrets;
}

Probe ProbeOf(const Sweep& sweep) {
  Probe probe = {&sweep, sweep.spec.steps(), OptimumAt(sweep, sweep.spec.steps())};
  for (const int64_t step : sweep.Steps()) {
    const Optimum optimum = OptimumAt(sweep, step);
    if (step > 0 && optimum.bracketed && optimum.loss.value < probe.optimum.loss.value) {
      probe = {&sweep, step, optimum};
    }
  }
  return probe;
}

std::vector<Probe> Probes(const std::vector<Sweep>& sweeps) {
  std::vector<Probe> probes;
  for (const Sweep& sweep : sweeps) probes.push_back(ProbeOf(sweep));
  return probes;
}

// The lowest rank on all modules that is not significantly worse than the best.
const Probe* Choose(const std::vector<Probe>& probes) {
  const Probe* best = nullptr;
  for (const Probe& probe : probes) {
    if (probe.sweep->spec.full() || !probe.optimum.bracketed) continue;
    if (best == nullptr || probe.optimum.loss.value < best->optimum.loss.value) best = &probe;
  }
  const Probe* chosen = best;
  for (const Probe& probe : probes) {
    if (best == nullptr || probe.sweep->spec.full() || !probe.optimum.bracketed) continue;
    if (probe.sweep->spec.run.adapter.lora_r >= chosen->sweep->spec.run.adapter.lora_r) continue;
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

// The recommended settings.
struct Advice {
  int rank = 0;
  int64_t batch = 0, steps = 0;
  Interval rate;
  double length_factor = 1;  // factor of the rate, from the probes' length to `steps`
};

Advice AdviceOf(const StudySettings& settings, const Probe& chosen) {
  const RunSpec& spec = chosen.sweep->spec;
  const RunRecord& run = *chosen.sweep->runs.begin()->second.begin()->second;
  Advice advice = {.rank = spec.run.adapter.lora_r,
                   .batch = spec.run.steps.batch_size,
                   .steps = chosen.step,
                   .rate = chosen.optimum.rate};
  if (!chosen.at_end()) return advice;
  // Held-out loss was still falling: advise a longer run, at least one epoch.
  const auto examples = run.facts.value("data_examples", int64_t{1});
  const int64_t pass = (examples + advice.batch - 1) / advice.batch;
  advice.steps = std::max({settings.steps, pass, chosen.step});
  advice.length_factor = LengthFactor(advice.rank, advice.steps, chosen.step);
  for (double* x : {&advice.rate.value, &advice.rate.low, &advice.rate.high}) {
    *x *= advice.length_factor;
  }
  return advice;
}

void Recommend(const Advice& advice, const Probe& chosen, Report* report) {
  const RunSpec& spec = chosen.sweep->spec;
  report->conclusions.push_back(fmt::format(
      "Recommended: --lora-r {} --target-modules {} --batch-size {} --learning-rate {} "
      "--max-steps {}, constant; advise/sft.yaml holds that for `lorikeet sft --config`.",
      advice.rank, fmt::join(spec.run.adapter.target_modules, ","), advice.batch,
      RateText(advice.rate.value), advice.steps));
  report->conclusions.push_back(
      chosen.at_end()
          ? fmt::format("Held-out loss still fell after {} steps. There the best rate was {}; the "
                        "article's rule for LoRA multiplies by {:.2f} for {} steps.",
                        chosen.step, RateText(chosen.optimum.rate), advice.length_factor,
                        advice.steps)
          : fmt::format("Held-out loss is lowest after {} of {} steps, at rate {}, and rises "
                        "afterwards: more steps learn these examples by heart.",
                        chosen.step, spec.steps(), RateText(chosen.optimum.rate)));
  const RunRecord& run = *chosen.sweep->runs.begin()->second.begin()->second;
  const LearningRateAdvice rule =
      DefaultLearningRate({.model_type = run.facts.value("model_type", std::string()),
                           .hidden_size = run.facts.value("hidden_size", int64_t{1}),
                           .rank = spec.run.adapter.lora_r,
                           .planned_steps = chosen.step,
                           .batch_size = spec.run.steps.batch_size,
                           .schedule = ParseScheduleKind(spec.run.optimizer.lr_scheduler_type)});
  report->conclusions.push_back(fmt::format(
      "The rule alone says {} for so short a run; what was measured is {:.2f} times that. Why: {}.",
      RateText(rule.value), chosen.optimum.rate.value / rule.value, rule.reason));
}

// Regret of the advice: against full fine-tuning at its own best rate, and against the best rate.
void ConcludeRegret(const Probe& chosen, const Probe* full, Report* report) {
  if (full == nullptr) {
    report->conclusions.push_back(
        "Full fine-tuning was not tried: it does not fit into this machine's memory. What LoRA "
        "loses beside it is not known.");
  } else {
    const Interval gap = MeanInterval(Paired(chosen.optimum.losses, full->optimum.losses));
    const std::vector<const Sweep*> pair = {chosen.sweep, full->sweep};
    const double margin = EquivalenceMargin(*full->sweep, full->step);
    report->conclusions.push_back(fmt::format(
        "Expected regret: {} ends {} nats above full fine-tuning, each at its own best rate and "
        "length: {} 0.",
        chosen.sweep->spec.MethodName(), gap.Text(), AgainstValue(gap, 0)));
    report->findings.push_back({"lowest loss as advised less that of full fine-tuning, nats",
                                "about 0 where capacity suffices", gap,
                                AgreesWith(gap, -margin, margin), CountRuns(pair)});
  }
  const Interval regret = MeanInterval(Regrets(chosen));
  report->conclusions.push_back(fmt::format(
      "Regret of the rate, of what these runs learn: {} (every seed judged at the rate that the "
      "others recommend).",
      regret.Text()));
  report->findings.push_back({"regret of the recommended rate, share of what is learned",
                              "below 0.005 of the loss for its rule against whole sweeps", regret,
                              AgreesWith(regret, -1, 0.01), chosen.sweep->NumRuns()});
}

std::string SftYaml(const Advice& advice, const RunSpec& spec) {
  return fmt::format(
      "# lorikeet sft --config sft.yaml MODEL --data FILE --output_dir DIR\n"
      "method: lora\nlora_r: {}\nlora_alpha: {:g}\ntarget_modules: [{}]\nbatch_size: {}\n"
      "learning_rate: {:.3g}\nlr_scheduler_type: {}\nmax_steps: {}\n",
      advice.rank, spec.run.adapter.lora_alpha, fmt::join(spec.run.adapter.target_modules, ", "),
      advice.batch, advice.rate.value, spec.run.optimizer.lr_scheduler_type, advice.steps);
}

Table ProbeTable(const std::vector<Probe>& probes) {
  Table table = {
      .name = "advise_probes",
      .title = "Short runs",
      .header = {"condition", "batch", "steps", "best after", "best learning rate", "lowest loss"}};
  for (const Probe& probe : probes) {
    const RunSpec& spec = probe.sweep->spec;
    table.rows.push_back(
        {spec.MethodName(), std::to_string(spec.run.steps.batch_size), std::to_string(spec.steps()),
         std::to_string(probe.step),
         probe.optimum.bracketed ? RateText(probe.optimum.rate) : "at the grid's edge",
         LossText(probe.optimum.loss)});
  }
  return table;
}

StudyPlan Plan(const PlanContext& context) {
  const StudyModel& model = *context.models.front();
  StudySettings settings = context.settings;
  const int64_t tokens = CountTrainedTokens(model.train);
  FitToData(std::ssize(model.train), &settings);
  const int64_t per_rank = TrainableOf(LoraCondition(settings, model, 1).spec, model);
  const int rank = RankByCapacity(tokens, per_rank);
  StudyPlan plan;
  for (const int r : {rank, std::max(1, rank / 4)}) {
    plan.swept.push_back(LoraCondition(settings, model, r));
  }
  if (settings.batch_size > 1) {  // tests whether smaller batches learn more from the same data
    SweptCondition half = plan.swept.front();
    half.spec.run.steps.batch_size = settings.batch_size / 2;
    half.spec.run.steps.max_steps = 2 * settings.steps;
    half.spec.eval_at = LogSpacedSteps(half.spec.steps(), settings.eval_points);
    plan.swept.push_back(std::move(half));
  }
  SweptCondition full = FullCondition(settings, model);
  if (MemoryOf(full.spec, model) <= context.memory) plan.swept.push_back(std::move(full));
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "advise");
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const std::vector<Probe> probes = Probes(sweeps);
  Report report = {.experiment = "advise",
                   .title = "Advice",
                   .question =
                       "Which rank, modules, learning rate and batch suit this model and "
                       "this data?"};
  if (const Probe* chosen = Choose(probes)) {
    const RunRecord& run = *chosen->sweep->runs.begin()->second.begin()->second;
    const Advice advice = AdviceOf(settings, *chosen);
    Recommend(advice, *chosen, &report);
    ConcludeCapacity(run, run.trainable, advice.rank, &report);
    const auto full = std::find_if(probes.begin(), probes.end(),
                                   [](const Probe& probe) { return probe.sweep->spec.full(); });
    ConcludeRegret(*chosen, full == probes.end() ? nullptr : &*full, &report);
    report.conclusions.push_back(
        "Modules: all linear ones. The article finds attention alone clearly worse, even at equal "
        "parameters; `study layers` tries it on this data.");
    report.files.push_back({"sft.yaml", SftYaml(advice, chosen->sweep->spec)});
  } else {
    report.conclusions.push_back(
        "No condition has its best rate inside its grid: nothing is recommended.");
  }
  std::vector<const Sweep*> all;
  for (const Sweep& sweep : sweeps) all.push_back(&sweep);
  report.tables.push_back(ProbeTable(probes));
  report.figures.push_back(LossByRateFigure("advise_loss", all, 0));
  for (size_t i = 0; i < all.size(); ++i) {
    report.figures.back().series[i].label +=
        fmt::format(", batch {}", all[i]->spec.run.steps.batch_size);
  }
  report.notes = CommonNotes(settings, records);
  return report;
}

}  // namespace

constinit const Experiment kAdviseExperiment = {
    .name = "advise",
    .summary = "rank, rate and batch for this model and data, from rules and short runs",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
