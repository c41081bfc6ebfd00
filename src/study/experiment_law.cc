// The article's law of learning rates over models of several widths: LR = base * M *
// (2000 / hidden_size)^power, one power for both methods, M = 1 for full fine-tuning.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "study/comparison.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

constexpr double kReferenceWidth = 2000;

struct OfModel {
  std::string name;
  double hidden_size = 0;
  const Sweep* full = nullptr;
  const Sweep* lora = nullptr;
};

std::vector<OfModel> ArrangeLaw(const std::vector<Sweep>& sweeps) {
  std::map<std::string, OfModel> models;
  for (const Sweep& sweep : sweeps) {
    const RunRecord& run = *sweep.runs.begin()->second.begin()->second;
    OfModel& model = models[sweep.spec.model_fingerprint];
    model.name = sweep.spec.model;
    model.hidden_size = run.facts.value("hidden_size", 0.0);
    (sweep.spec.full() ? model.full : model.lora) = &sweep;
  }
  std::vector<OfModel> result;
  for (auto& [print, model] : models) result.push_back(std::move(model));
  std::sort(result.begin(), result.end(),
            [](const OfModel& a, const OfModel& b) { return a.hidden_size < b.hidden_size; });
  return result;
}

struct Law {
  Interval multiplier, lora_power, model_power, base;  // base: full at the reference width
  int models = 0;
};

// Fits a line through the models for every seed; the law's numbers are means over seeds.
Law Fit(const std::vector<OfModel>& models) {
  std::vector<double> multipliers, lora_powers, model_powers, bases;
  std::vector<double> x;
  std::vector<std::vector<double>> full, ratio;
  for (const OfModel& model : models) {
    if (model.full == nullptr || model.lora == nullptr) continue;
    const int64_t steps = model.full->spec.steps();
    const Optimum of_full = OptimumAt(*model.full, steps), of_lora = OptimumAt(*model.lora, steps);
    if (!of_full.bracketed || !of_lora.bracketed) continue;
    x.push_back(std::log10(kReferenceWidth / model.hidden_size));
    full.push_back(of_full.log_rates);
    ratio.push_back(Paired(of_lora.log_rates, of_full.log_rates));
  }
  Law law;
  law.models = static_cast<int>(x.size());
  if (x.empty()) return law;
  for (size_t s = 0; s < ratio.front().size(); ++s) {
    std::vector<double> full_of_seed, ratio_of_seed;
    for (size_t m = 0; m < x.size(); ++m) {
      full_of_seed.push_back(full[m][s]);
      ratio_of_seed.push_back(ratio[m][s]);
    }
    multipliers.push_back(Mean(ratio_of_seed));
    const Line of_full = FitLine(x, full_of_seed);
    model_powers.push_back(of_full.slope);
    bases.push_back(of_full.intercept);
    lora_powers.push_back(FitLine(x, ratio_of_seed).slope);
  }
  law.multiplier = FromLog10(MeanInterval(multipliers));
  law.model_power = MeanInterval(model_powers);
  law.lora_power = MeanInterval(lora_powers);
  law.base = FromLog10(MeanInterval(bases));
  return law;
}

Figure RateFigure(const std::vector<OfModel>& models) {
  Figure figure = {.name = "law_rates",
                   .title = "Best learning rate by width",
                   .xlabel = "hidden size",
                   .ylabel = "best learning rate",
                   .caption = "Vertices of the parabolas with 95 % intervals over seeds.",
                   .log_y = true};
  Series full = {.label = "full", .shade = -2}, lora = {.label = "LoRA"};
  for (const OfModel& model : models) {
    for (const auto& [sweep, series] :
         {std::pair(model.full, &full), std::pair(model.lora, &lora)}) {
      if (sweep == nullptr) continue;
      const Optimum optimum = OptimumAt(*sweep, sweep->spec.steps());
      if (!optimum.bracketed) continue;
      series->Add(model.hidden_size, optimum.rate);
    }
  }
  if (models.front().lora != nullptr) lora.label = models.front().lora->spec.MethodName();
  figure.series = {full, lora};
  return figure;
}

void Conclude(const Law& law, int runs, Report* report) {
  if (law.models == 0) {
    report->conclusions.push_back("No model has both optima inside its grid: no law is stated.");
    return;
  }
  report->conclusions.push_back(
      fmt::format("Over {} model{} LoRA's best rate is {} times that of full fine-tuning: {} the "
                  "article's 9.8.",
                  law.models, law.models == 1 ? "" : "s", law.multiplier.Text(),
                  AgainstValue(law.multiplier, 9.8)));
  report->findings.push_back({"multiplier M of LoRA over full, all models", "9.8", law.multiplier,
                              AgreesWith(law.multiplier, 5, 15), runs});
  if (law.models < 2) {
    report->conclusions.push_back("One width gives no power; give several models.");
    return;
  }
  report->conclusions.push_back(
      fmt::format("The best rate of full fine-tuning goes as (2000 / hidden size) to the power {}, "
                  "the ratio of LoRA to it to the power {}: {} 0.",
                  law.model_power.Text(), law.lora_power.Text(), AgainstValue(law.lora_power, 0)));
  report->findings.push_back({"power of the width in the best rate of full",
                              "0.781 (Llama), 0.0775 (Qwen)", law.model_power,
                              AgreesWith(law.model_power, 0.07, 0.79), runs});
  report->findings.push_back(
      {"power of the width in the ratio of LoRA to full",
       "0 (and not -1, as hidden/(2 alpha) would be)", law.lora_power,
       law.lora_power.Known() && law.lora_power.Contains(0) && !law.lora_power.Contains(-1)
           ? Agreement::kYes
           : AgreesWith(law.lora_power, -0.2, 0.2),
       runs});
}

StudyPlan Plan(const PlanContext& context) {
  StudyPlan plan;
  const int rank = context.settings.Ranks().back();
  for (const StudyModel* model : context.models) {
    plan.swept.push_back(FullCondition(context.settings, *model));
    plan.swept.push_back(LoraCondition(context.settings, *model, rank));
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "law");
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const std::vector<OfModel> models = ArrangeLaw(sweeps);
  const Law law = Fit(models);
  Report report = {.experiment = "law",
                   .title = "Learning rates over models",
                   .question =
                       "How do the best learning rates of LoRA and of full fine-tuning "
                       "follow the width of the model, and does their ratio?"};
  Conclude(law, static_cast<int>(records.size()), &report);
  report.figures.push_back(RateFigure(models));
  Table table = {.name = "law_models",
                 .title = "Models",
                 .header = {"model", "hidden size", "best rate, full", "best rate, LoRA", "ratio"}};
  for (const OfModel& model : models) {
    const auto rate = [](const Sweep* sweep) {
      if (sweep == nullptr) return std::string("not swept");
      const Optimum optimum = OptimumAt(*sweep, sweep->spec.steps());
      return optimum.bracketed ? RateText(optimum.rate) : std::string("at the grid's edge");
    };
    const bool both = model.full != nullptr && model.lora != nullptr;
    table.rows.push_back(
        {model.name, fmt::format("{:g}", model.hidden_size), rate(model.full), rate(model.lora),
         both ? RateRatio(*model.lora, *model.full, model.full->spec.steps()).Text() : ""});
    if (!both) continue;
    const std::vector<const Sweep*> pair = {model.full, model.lora};
    report.figures.push_back(LossByRateFigure(fmt::format("law_loss_{:g}", model.hidden_size), pair,
                                              model.full->spec.steps()));
    report.figures.back().title += fmt::format(", {}", model.name);
  }
  report.tables.push_back(std::move(table));
  report.notes = CommonNotes(settings, records);
  return report;
}

}  // namespace

constinit const Experiment kLawExperiment = {
    .name = "law",
    .summary = "best learning rates over several models: multiplier and powers",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
