// Capacity in bits per trained parameter: random labels, which can only be memorised, are learned
// by adapters of several ranks and by full fine-tuning.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/format.h"
#include "study/comparison.h"
#include "study/execute.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

// The default number of labels: four bits for every parameter of the largest adapter, but few
// enough that a run sees each this many times. Memorising takes repetition.
constexpr double kBitsToTry = 4;
constexpr int64_t kPasses = 50;

double BitsPerLabel(const RunRecord& record) {
  const auto vocab = record.facts.value("vocab_size", int64_t{2});
  return std::log2(static_cast<double>(LabelChoices(vocab)));
}

// Bits of its labels that a run has memorised, from the loss on the labels themselves; 0 if it is
// worse than guessing.
double BitsOf(const RunRecord& record) {
  const double known = BitsPerLabel(record) - record.FinalLoss() / std::log(2.0);
  return std::max(0.0, known) * static_cast<double>(record.spec.random_labels);
}

struct Stored {
  const Sweep* sweep = nullptr;
  int64_t trainable = 0;
  double offered = 0;        // bits of all labels
  std::vector<double> bits;  // bits memorised by seed, at its best rate
  std::vector<double> per_param;
};

// Adapters by rank, then full fine-tuning.
std::vector<Stored> ArrangeCapacity(const std::vector<Sweep>& sweeps) {
  std::vector<Stored> result;
  std::vector<const Sweep*> conditions = FindLora(sweeps);
  if (const Sweep* full = FindFull(sweeps)) conditions.push_back(full);
  for (const Sweep* sweep : conditions) {
    Stored stored;
    stored.sweep = sweep;
    for (const uint64_t seed : sweep->Seeds()) {
      double most = -std::numeric_limits<double>::infinity();
      for (const auto& [rate, by_seed] : sweep->runs) {
        const RunRecord& run = *by_seed.at(seed);
        stored.trainable = run.trainable;
        stored.offered = BitsPerLabel(run) * static_cast<double>(run.spec.random_labels);
        if (std::isfinite(BitsOf(run))) most = std::max(most, BitsOf(run));
      }
      stored.bits.push_back(most);
      stored.per_param.push_back(most / static_cast<double>(stored.trainable));
    }
    result.push_back(std::move(stored));
  }
  return result;
}

// Bits below the limit are no evidence against it, since a longer run might memorise more.
Agreement AgainstTheLimit(const Interval& bits_per_parameter) {
  const Agreement agreement = AgreesWith(bits_per_parameter, 1, 4);
  return agreement == Agreement::kNo && bits_per_parameter.high < 1 ? Agreement::kUndecided
                                                                    : agreement;
}

// Bits per additional parameter of an adapter: slope by seed.
Interval SlopeOf(const std::vector<Stored>& stored) {
  std::vector<double> slopes;
  for (size_t s = 0; s < stored.front().bits.size(); ++s) {
    std::vector<double> x, y;
    for (const Stored& of_rank : stored) {
      if (of_rank.sweep->spec.full() || s >= of_rank.bits.size()) continue;
      x.push_back(static_cast<double>(of_rank.trainable));
      y.push_back(of_rank.bits[s]);
    }
    slopes.push_back(FitLine(x, y).slope);
  }
  return MeanInterval(slopes);
}

StudyPlan Plan(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  StudyPlan plan;
  const int64_t largest =
      TrainableOf(LoraCondition(settings, model, settings.Ranks().back()).spec, model);
  const double bits = std::log2(static_cast<double>(LabelChoices(model.base->config().vocab_size)));
  const auto most = std::llround(kBitsToTry * static_cast<double>(largest) / bits);
  const int64_t repeated = kLabelsPerExample * settings.steps * settings.batch_size / kPasses;
  const int64_t labels =
      settings.random_labels > 0 ? settings.random_labels : std::clamp<int64_t>(repeated, 4, most);
  for (const int rank : settings.Ranks()) {
    SweptCondition condition = LoraCondition(settings, model, rank);
    condition.spec.random_labels = labels;
    condition.spec.data_fingerprint = "random labels";
    plan.swept.push_back(std::move(condition));
  }
  SweptCondition full = FullCondition(settings, model);
  full.spec.random_labels = labels;
  full.spec.data_fingerprint = "random labels";
  plan.swept.push_back(std::move(full));
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "capacity");
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const std::vector<Stored> stored = ArrangeCapacity(sweeps);
  const int64_t steps = sweeps.front().spec.steps();
  Report report = {.experiment = "capacity",
                   .title = "Capacity",
                   .question =
                       "How many bits of random labels does a trained parameter come to "
                       "hold?"};
  Series bits = {.label = "learned by heart"},
         two = {.label = "2 bits a parameter", .points = false, .dashed = true, .shade = -2};
  Series all = {.label = "offered", .points = false, .dashed = true};
  Table table = {
      .name = "capacity_bits",
      .title = fmt::format("After {} steps", steps),
      .header = {"condition", "parameters", "bits offered", "bits learned", "bits per parameter"}};
  for (const Stored& of_rank : stored) {
    const Interval learned = MeanInterval(of_rank.bits), each = MeanInterval(of_rank.per_param);
    const auto parameters = static_cast<double>(of_rank.trainable);
    bits.Add(parameters, learned);
    two.Add(parameters, 2 * parameters);
    all.Add(parameters, of_rank.offered);
    table.rows.push_back({of_rank.sweep->spec.MethodName(), HumanCount(of_rank.trainable),
                          ShortCount(of_rank.offered), learned.Text(), each.Text()});
    const double share = learned.value / of_rank.offered;
    report.conclusions.push_back(
        fmt::format("{} came to hold {} bits, {} for each of its {} parameters ({:.0f} % of what "
                    "was offered{}).",
                    of_rank.sweep->spec.MethodName(), learned.Text(), each.Text(),
                    HumanCount(of_rank.trainable), 100 * share,
                    share > 0.9    ? ": there was hardly more to learn, so it could hold more"
                    : share < 0.05 ? ": it has hardly begun; give more steps or fewer labels"
                                   : ""));
    report.findings.push_back({fmt::format("bits per parameter of {} after {} steps",
                                           of_rank.sweep->spec.MethodName(), steps),
                               "about 2 in the long limit", each, AgainstTheLimit(each),
                               of_rank.sweep->NumRuns()});
  }
  if (const Interval slope = SlopeOf(stored); std::isfinite(slope.value)) {
    report.conclusions.push_back(
        fmt::format("Every further parameter of an adapter adds {} bits, {} the 2 bits that "
                    "networks hold in the "
                    "long limit.",
                    slope.Text(), AgainstValue(slope, 2)));
  }
  report.figures.push_back({.name = "capacity_bits_by_parameters",
                            .title = fmt::format("Bits learned by heart in {} steps", steps),
                            .xlabel = "trained parameters",
                            .ylabel = "bits",
                            .caption = "At each seed's best rate; 95 % intervals over seeds. A run "
                                       "of this length gives a lower bound.",
                            .log_y = true,
                            .series = {bits, two, all}});
  std::vector<const Sweep*> conditions;
  for (const Stored& of_rank : stored) conditions.push_back(of_rank.sweep);
  report.figures.push_back(LossByRateFigure("capacity_loss", conditions, steps));
  report.figures.back().title = fmt::format("Loss on the labels after {} steps", steps);
  report.figures.back().ylabel = "loss on the labels, nats";
  report.tables.push_back(std::move(table));
  report.notes = CommonNotes(settings, records);
  report.notes.push_back(
      "Labels are drawn uniformly and independently, four to an example after a key of its own; "
      "what a run knows is log2 of the choices less its loss on the labels, in bits, times their "
      "number. Held-out loss does not exist for random labels.");
  return report;
}

}  // namespace

constinit const Experiment kCapacityExperiment = {
    .name = "capacity",
    .summary = "bits of random labels that a trained parameter comes to hold",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
