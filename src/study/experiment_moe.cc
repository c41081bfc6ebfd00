// Figure 4 of the article, right: the choice of modules to adapt in a mixture of experts, and of
// the rank of each expert.
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/format.h"
#include "study/comparison.h"
#include "study/experiment.h"
#include "study/module_sets.h"

namespace lorikeet {
namespace {

// A variant of the article's adapters of all modules that differs in one setting.
struct Rule {
  std::string name;
  int expert_rank = 0;  // 0: rank / active experts
  bool shared_outer = false, router = false;
  std::string article = "says nothing of it";

  Targets targets() const { return router ? Targets{"all-linear", "router"} : OnAll(); }
  bool Of(const RunSpec& spec, int rank) const {
    return !spec.full() && spec.run.adapter.lora_r == rank &&
           spec.run.adapter.target_modules == targets() &&
           spec.run.adapter.ExpertRank() == expert_rank &&
           spec.run.adapter.lora_shared_outer == shared_outer;
  }
};

int DividedBy(int rank, int64_t experts) {
  return std::max(1, rank / static_cast<int>(std::max<int64_t>(1, experts)));
}

// The variants, the article's rule first; those with the same expert rank as the rule are left out.
std::vector<Rule> Rules(int rank, int64_t experts, int64_t active) {
  const std::string others = "no number; its rule is rank / active experts";
  std::vector<Rule> rules = {
      {"rank / active experts"},
      {.name = "rank / all experts", .expert_rank = DividedBy(rank, experts), .article = others},
      {.name = "the whole rank in every expert", .expert_rank = rank, .article = others},
      {.name = "factors on the hidden side shared by the experts", .shared_outer = true},
      {.name = "the router adapted too", .router = true}};
  std::erase_if(rules,
                [&](const Rule& rule) { return rule.expert_rank == DividedBy(rank, active); });
  return rules;
}

struct MoeData {
  std::vector<Sweep> sweeps;
  int64_t steps = 0;
  int rank = 0;
  int64_t experts = 1, active = 1;
  double attention_parameters = 0, mlp_parameters = 0;  // parameters of the model
  // LoRA of `rank`; `all` by the article's rule for expert ranks.
  const Sweep *attention = nullptr, *all = nullptr;
};

MoeData ArrangeMoe(const StudySettings& settings, std::span<const RunRecord> records) {
  MoeData data;
  data.sweeps = GroupRuns(records);
  data.steps = data.sweeps.front().spec.steps();
  data.rank = settings.Ranks().back();
  const Json& facts = records.front().facts;
  data.experts = facts.value("num_experts", int64_t{1});
  data.active = facts.value("num_experts_per_tok", int64_t{1});
  data.attention_parameters = facts.value("attention_parameters", 0.0);
  data.mlp_parameters = facts.value("mlp_parameters", 0.0);
  data.attention = FindOfRank(data.sweeps, OnAttention(), data.rank);
  data.all = FindOfRank(data.sweeps, OnAll(), data.rank);
  return data;
}

const Sweep* Find(const MoeData& data, const Rule& rule) {
  for (const Sweep& sweep : data.sweeps) {
    if (rule.Of(sweep.spec, data.rank)) return &sweep;
  }
  return nullptr;
}

// Ratio of adapter parameters per parameter of the experts to adapter parameters per parameter of
// attention.
double ShareOverAttention(const MoeData& data, const Sweep& sweep) {
  const auto in_attention = static_cast<double>(TrainableOfSweep(*data.attention));
  const double in_experts = static_cast<double>(TrainableOfSweep(sweep)) - in_attention;
  return in_experts / data.mlp_parameters / (in_attention / data.attention_parameters);
}

bool KnowsShares(const MoeData& data) {
  return data.attention != nullptr && data.mlp_parameters > 0 && data.attention_parameters > 0;
}

void ConcludeOnRule(const MoeData& data, const Rule& rule, const Sweep& sweep, Report* report) {
  const Interval gap = LossGap(sweep, *data.all, data.steps);
  const double times = static_cast<double>(TrainableOfSweep(sweep)) /
                       static_cast<double>(TrainableOfSweep(*data.all));
  report->conclusions.push_back(
      fmt::format("With {} ({:.3g} times the parameters) all modules end {} nats above those with "
                  "rank / active experts: {}.",
                  rule.name, times, gap.Text(), WordsFor(gap)));
  const std::vector<const Sweep*> pair = {&sweep, data.all};
  report->findings.push_back(
      {fmt::format("loss with {} less that with rank / active experts", rule.name), rule.article,
       gap, Agreement::kUndecided, CountRuns(pair)});
}

void ConcludeOnShare(const MoeData& data, const std::vector<Rule>& rules, Report* report) {
  std::vector<std::string> shares;
  for (const Rule& rule : rules) {
    const Sweep* sweep = Find(data, rule);
    if (sweep == nullptr || rule.router) continue;
    shares.push_back(fmt::format("{:.3g} with {}", ShareOverAttention(data, *sweep), rule.name));
  }
  report->conclusions.push_back(
      fmt::format("Trained parameters over the model's own, in the experts, are so many times what "
                  "they are in attention: {}.",
                  fmt::join(shares, ", ")));
  const double share = ShareOverAttention(data, *data.all);
  const Interval exact = {share, share, share, 1};
  report->findings.push_back(
      {"trained over own parameters, experts over attention, rank / active experts",
       "1: the rule keeps the ratio (0.24 by the shapes of its Qwen3-30B-A3B)", exact,
       AgreesWith(exact, 0.5, 2), data.all->NumRuns()});
}

Table RuleTable(const MoeData& data, const std::vector<Rule>& rules) {
  Table table = {.name = "moe_rules",
                 .title = fmt::format("All modules, rank {}, {} experts of which {} are active",
                                      data.rank, data.experts, data.active),
                 .header = {"experts' adapters", "rank in each", "parameters",
                            "trained share over attention's", "lowest held-out loss",
                            "nats above rank / active"}};
  for (const Rule& rule : rules) {
    const Sweep* sweep = Find(data, rule);
    if (sweep == nullptr) continue;
    const int rank = rule.expert_rank > 0 ? rule.expert_rank : DividedBy(data.rank, data.active);
    const bool share = KnowsShares(data) && !rule.router;
    table.rows.push_back({rule.name, std::to_string(rank), HumanCount(TrainableOfSweep(*sweep)),
                          share ? fmt::format("{:.3g}", ShareOverAttention(data, *sweep)) : "",
                          LossText(OptimumAt(*sweep, data.steps).loss.value),
                          data.all == nullptr || sweep == data.all
                              ? ""
                              : LossGap(*sweep, *data.all, data.steps).Text()});
  }
  return table;
}

void ConcludeOnSets(const MoeData& data, Report* report) {
  const Sweep* experts = FindOfRank(data.sweeps, OnExperts(), data.rank);
  const ModuleSweeps equal_rank = {data.attention, experts, data.all};
  ModuleSweeps equal_parameters;
  if (data.attention != nullptr && experts != nullptr) {
    equal_parameters.mlp = FindNearest(data.sweeps, OnExperts(), TrainableOfSweep(*data.attention));
    const int64_t parameters = TrainableOfSweep(*equal_parameters.mlp);
    equal_parameters.attention = FindNearest(data.sweeps, OnAttention(), parameters);
    equal_parameters.all = FindNearest(data.sweeps, OnAll(), parameters);
  }
  CompareSets(equal_parameters, equal_rank, data.steps, report);
}

void RequireMixture(const StudyModel& model) {
  if (model.base->config().num_experts > 0) return;
  Fail(ErrorCode::kInvalidArgument,
       "study moe: {} is no mixture of experts; name one, or make one of it: lorikeet convert {} "
       "MIXTURE --upcycle 8:2",
       model.path, model.path);
}

void AddOnce(const SweptCondition& condition, StudyPlan* plan) {
  const std::string key = ConditionKey(condition.spec);
  const bool there =
      std::any_of(plan->swept.begin(), plan->swept.end(),
                  [&](const SweptCondition& other) { return ConditionKey(other.spec) == key; });
  if (!there) plan->swept.push_back(condition);
}

std::vector<std::string> NotesOf(const MoeData& data, const StudySettings& settings,
                                 std::span<const RunRecord> records) {
  std::vector<std::string> notes = CommonNotes(settings, records);
  notes.push_back(
      "Equal parameters: the rank of the experts is solved for the number that attention has at "
      "the common rank, then that of attention and of all modules for what the experts have.");
  if (data.rank % data.active != 0) {
    notes.push_back(
        fmt::format("Rank {} is no multiple of the {} active experts: each has the whole part, {}.",
                    data.rank, data.active, DividedBy(data.rank, data.active)));
  }
  for (std::string& note : EdgeNotes(data.sweeps, data.steps)) notes.push_back(std::move(note));
  return notes;
}

StudyPlan Plan(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  RequireMixture(model);
  const ModelConfig& config = model.base->config();
  const int rank = settings.Ranks().back();
  StudyPlan plan;
  plan.swept.push_back(FullCondition(settings, model));
  // Adds a condition and returns its number of trained parameters.
  const auto add = [&](const SweptCondition& condition) {
    AddOnce(condition, &plan);
    return TrainableOf(condition.spec, model);
  };
  const auto add_equal = [&](const Targets& targets, int64_t parameters) {
    const int r = RankFor(settings, model, targets, parameters);
    return add(ConditionOn(settings, model, targets, r));
  };
  add(ConditionOn(settings, model, OnExperts(), rank));
  const int64_t in_attention = add(ConditionOn(settings, model, OnAttention(), rank));
  // The experts' rank is solved for attention's parameters, not the reverse, because attention's
  // matrices may be too small for a rank with the experts' parameters. Expert ranks come in large
  // steps, so the other ranks are solved for the number that resulted.
  const int64_t equal = add_equal(OnExperts(), in_attention);
  add_equal(OnAttention(), equal);
  add_equal(OnAll(), equal);
  for (const Rule& rule : Rules(rank, config.num_experts, config.num_experts_per_tok)) {
    SweptCondition condition = ConditionOn(settings, model, rule.targets(), rank);
    condition.spec.run.adapter.lora_expert_rank = rule.expert_rank;
    condition.spec.run.adapter.lora_shared_outer = rule.shared_outer;
    add(condition);
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "moe");
  const MoeData data = ArrangeMoe(settings, records);
  Report report = {
      .experiment = "moe",
      .title = "Mixture of experts",
      .question =
          "Which modules of a mixture are to be adapted: attention, experts or all, at "
          "equal rank and at equal numbers of parameters? And what is each expert's "
          "adapter to be?"};
  std::vector<const Sweep*> all_sweeps;
  for (const Sweep& sweep : data.sweeps) all_sweeps.push_back(&sweep);
  report.figures = {ModuleCurves("moe_curves", data.sweeps),
                    LossByParameters("moe_parameters", data.sweeps, data.steps),
                    LossByRateFigure("moe_loss", all_sweeps, data.steps)};
  ConcludeOnSets(data, &report);
  const std::vector<Rule> rules = Rules(data.rank, data.experts, data.active);
  if (data.all != nullptr) {
    for (const Rule& rule : rules) {
      const Sweep* sweep = Find(data, rule);
      if (sweep != nullptr && sweep != data.all) ConcludeOnRule(data, rule, *sweep, &report);
    }
    if (KnowsShares(data)) ConcludeOnShare(data, rules, &report);
  }
  report.tables = {OptimumTable("moe_optima", data.sweeps, data.steps), RuleTable(data, rules)};
  report.notes = NotesOf(data, settings, records);
  return report;
}

}  // namespace

constinit const Experiment kMoeExperiment = {
    .name = "moe",
    .summary = "the same on a mixture of experts, and what the experts' rank decides",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
