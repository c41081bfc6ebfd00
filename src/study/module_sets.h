// Common parts of the experiments on the choice of modules to adapt: conditions by modules, ranks
// for equal parameters, and conclusions from differences.
#pragma once
#include <string>
#include <vector>

#include "study/experiment.h"
#include "study/report.h"
#include "study/runner.h"
#include "study/sweep.h"

namespace lorikeet {

using Targets = std::vector<std::string>;
inline Targets OnAttention() { return {"attention"}; }
inline Targets OnMlp() { return {"mlp"}; }
inline Targets OnExperts() { return {"experts"}; }
inline Targets OnAll() { return {"all-linear"}; }
inline Targets OnAllAndHead() { return {"all-linear", "lm_head"}; }

SweptCondition ConditionOn(const StudySettings& settings, const StudyModel& model,
                           const Targets& targets, int rank);
// The smallest step of lora_r that raises every module's rank: the number of active experts in a
// mixture, since lora_r is divided among them; 1 otherwise.
int RankUnit(const StudyModel& model, const Targets& targets);
// The rank at which the adapters of these modules have about `parameters` parameters; a multiple of
// RankUnit.
int RankFor(const StudySettings& settings, const StudyModel& model, const Targets& targets,
            int64_t parameters);

int64_t TrainableOfSweep(const Sweep& sweep);
// Find a LoRA sweep on these modules, with default settings of experts; null if none. By lora_r:
const Sweep* FindOfRank(const std::vector<Sweep>& sweeps, const Targets& targets, int rank);
// By number of parameters: the sweep with the nearest number, in ratio.
const Sweep* FindNearest(const std::vector<Sweep>& sweeps, const Targets& targets,
                         int64_t parameters);

// Loss curves: every condition's pointwise minimum over learning rates, mean over seeds.
Figure ModuleCurves(const std::string& name, const std::vector<Sweep>& sweeps);
// Lowest loss by trained parameters, a line for each set of modules.
Figure LossByParameters(const std::string& name, const std::vector<Sweep>& sweeps, int64_t steps);

// A loss gap in words: "worse", "better" or, if it is not significant, a phrase for that.
const char* WordsFor(const Interval& gap);
// The article's statement on a gap: its words, and bounds of its value.
struct ArticleGap {
  std::string says;
  double from = 0, to = 0;  // nats
};
// Adds a conclusion and a finding on the lowest loss of `a` minus that of `b`; nothing if one of
// them is missing or both are the same. how: for example "equal rank".
void CompareModules(const Sweep* a, const Sweep* b, int64_t steps, const std::string& how,
                    const ArticleGap& article, Report* report);
// One sweep per set of modules; mlp is the experts in a mixture.
struct ModuleSweeps {
  const Sweep *attention = nullptr, *mlp = nullptr, *all = nullptr;
};
// Adds the article's four comparisons: attention with MLP and MLP with all, at equal parameters and
// at equal rank.
void CompareSets(const ModuleSweeps& equal_parameters, const ModuleSweeps& equal_rank,
                 int64_t steps, Report* report);

}  // namespace lorikeet
