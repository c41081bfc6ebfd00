// The experiments of "LoRA Without Regret" (Schulman and Thinking Machines Lab, 2025): each is a
// plan of runs and an analysis of their results, in a file of its own (experiment_NAME.cc).
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "study/report.h"
#include "study/runner.h"
#include "study/settings.h"
#include "study/sweep.h"

namespace lorikeet {

struct PlanContext {
  const StudySettings& settings;
  std::vector<const StudyModel*> models;  // in order of settings.model
  // Bytes that a run may use.
  int64_t memory = std::numeric_limits<int64_t>::max();
};

struct Experiment {
  const char* name;
  const char* summary;  // one line
  StudyPlan (*plan)(const PlanContext& context);
  // A pure function of the finished runs. Throws Error(kInvalidArgument) when they are too few.
  Report (*analyse)(const StudySettings& settings, std::span<const RunRecord> records);
  bool alone = false;    // each run in its own process, so that its memory can be measured
  bool rewards = false;  // its runs learn from rewards (StudyModel::problems)
};

std::span<const Experiment> Experiments();
// Throws Error(kInvalidArgument) naming the nearest.
const Experiment& FindExperiment(std::string_view name);

// Parts of plans. A LoRA run with all settings but rank, rate and seed.
RunSpec BaseSpec(const StudySettings& settings, const StudyModel& model);
SweptCondition LoraCondition(const StudySettings& settings, const StudyModel& model, int rank);
SweptCondition FullCondition(const StudySettings& settings, const StudyModel& model);
// The centre of a condition's grid, for its number of steps.
double CentreOf(const StudySettings& settings, const StudyModel& model, const RunSpec& spec);

// The rows of Experiments(), each in its file, experiment_NAME.cc.
extern const Experiment kLrExperiment, kRankExperiment, kLayersExperiment, kMoeExperiment,
    kBatchExperiment, kInvarianceExperiment, kCostExperiment, kCapacityExperiment, kLawExperiment,
    kAdviseExperiment, kRlExperiment;

}  // namespace lorikeet
