// What the experiments on which modules to adapt share: conditions by modules, ranks for equal
// parameters, and the differences that are concluded from.
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
// The least step of lora_r by which every module's rank grows: a mixture's active experts, among
// which an expert's rank is divided; 1 otherwise.
int RankUnit(const StudyModel& model, const Targets& targets);
// The rank at which these modules have about so many parameters; a multiple of RankUnit.
int RankFor(const StudySettings& settings, const StudyModel& model, const Targets& targets,
            int64_t parameters);

int64_t TrainableOfSweep(const Sweep& sweep);
// Of the sweeps of LoRA on these modules, experts as usual; null if none. That of this lora_r:
const Sweep* FindOfRank(const std::vector<Sweep>& sweeps, const Targets& targets, int rank);
// That which is nearest to so many parameters, in ratio.
const Sweep* FindNearest(const std::vector<Sweep>& sweeps, const Targets& targets,
                         int64_t parameters);

// Every condition's pointwise minimum over learning rates, mean over seeds.
Figure ModuleCurves(const std::string& name, const std::vector<Sweep>& sweeps);
// Lowest loss by trained parameters, a line for each set of modules.
Figure LossByParameters(const std::string& name, const std::vector<Sweep>& sweeps, int64_t steps);

// "worse", "better" or what is to be said instead, of a loss gap.
const char* WordsFor(const Interval& gap);
// What the article says of a gap: words, and the bounds that it lies between.
struct ArticleGap {
  std::string says;
  double from = 0, to = 0;  // nats
};
// A conclusion and a finding on the lowest loss of `a` less that of `b`; nothing when one of them
// is missing or they are one. how: "equal rank".
void CompareModules(const Sweep* a, const Sweep* b, int64_t steps, const std::string& how,
                    const ArticleGap& article, Report* report);
// One sweep for each set of modules; mlp is the experts in a mixture.
struct ModuleSweeps {
  const Sweep *attention = nullptr, *mlp = nullptr, *all = nullptr;
};
// The article's four comparisons: attention with MLP and MLP with all, at equal parameters and at
// equal rank.
void CompareSets(const ModuleSweeps& equal_parameters, const ModuleSweeps& equal_rank,
                 int64_t steps, Report* report);

}  // namespace lorikeet
