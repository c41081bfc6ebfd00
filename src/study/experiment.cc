#include "study/experiment.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/suggest.h"
#include "recipes/prepare.h"

namespace lorikeet {

std::span<const Experiment> Experiments() {
  static const std::array kExperiments = {
      kLrExperiment,    kRankExperiment,       kLayersExperiment, kMoeExperiment,
      kBatchExperiment, kInvarianceExperiment, kCostExperiment,   kCapacityExperiment,
      kLawExperiment,   kAdviseExperiment,     kRlExperiment};
  return kExperiments;
}

const Experiment& FindExperiment(std::string_view name) {
  std::vector<std::string> names;
  for (const Experiment& experiment : Experiments()) {
    if (name == experiment.name) return experiment;
    names.emplace_back(experiment.name);
  }
  Fail(ErrorCode::kInvalidArgument,
       "study: there is no experiment '{}'{}; `lorikeet study --help` "
       "lists them",
       name, DidYouMean(name, names));
}

RunSpec BaseSpec(const StudySettings& settings, const StudyModel& model) {
  RunSpec spec;
  spec.model = model.path;
  spec.model_fingerprint = model.model_fingerprint;
  spec.data_fingerprint = model.data_fingerprint;
  spec.dtype = DTypeName(model.base->compute());
  spec.run.adapter = settings.adapter;
  spec.run.optimizer = settings.optimizer;
  spec.run.steps.batch_size = settings.batch_size;
  spec.run.steps.max_steps = settings.steps;
  constexpr int64_t kMicroBatch = 2048;
  spec.run.steps.micro_batch_tokens = std::max(model.LongestExample(), kMicroBatch);
  spec.run.optimizer.lr_scheduler_type =
      settings.schedules.empty() ? "constant" : settings.schedules.front();
  spec.eval_at = LogSpacedSteps(settings.steps, settings.eval_points);
  for (const int64_t step : settings.ShortSteps()) spec.eval_at.push_back(step);
  std::sort(spec.eval_at.begin(), spec.eval_at.end());
  spec.eval_at.erase(std::unique(spec.eval_at.begin(), spec.eval_at.end()), spec.eval_at.end());
  return spec;
}

double CentreOf(const StudySettings& settings, const StudyModel& model, const RunSpec& spec) {
  const std::optional<double>& chosen =
      spec.full() ? settings.full_learning_rate : settings.learning_rate;
  if (chosen) return *chosen;
  return DefaultLearningRate(LearningRateQueryOf(spec.run, model.base->config(), spec.steps()))
      .value;
}

SweptCondition LoraCondition(const StudySettings& settings, const StudyModel& model, int rank) {
  SweptCondition condition;
  condition.spec = BaseSpec(settings, model);
  condition.spec.run.adapter.lora_r = rank;
  condition.centre = CentreOf(settings, model, condition.spec);
  return condition;
}

SweptCondition FullCondition(const StudySettings& settings, const StudyModel& model) {
  SweptCondition condition;
  condition.spec = BaseSpec(settings, model);
  condition.spec.run.adapter.method = "full";
  condition.centre = CentreOf(settings, model, condition.spec);
  return condition;
}

}  // namespace lorikeet
