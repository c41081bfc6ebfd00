// Figures 6 to 8 of the article: final reward against learning rate for every rank and for full
// fine-tuning, the band of good rates, and an upper bound on the information in a run's rewards.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/format.h"
#include "rl/objective.h"
#include "study/comparison.h"
#include "study/experiment.h"
#include "study/measure.h"
#include "study/reward_report.h"

namespace lorikeet {
namespace {

// The lowest and the highest rank, once if they are the same.
std::vector<const Sweep*> Outermost(const RewardData& data) {
  if (data.lora.empty()) return {};
  if (data.lora.size() == 1) return {data.lora.front()};
  return {data.lora.front(), data.lora.back()};
}

// Highest reward of `a` minus that of `b`, seeds paired.
Interval RewardGap(const Sweep& a, const Sweep& b, int64_t step) { return LossGap(b, a, step); }

double UntrainedReward(const RewardData& data) {
  const Sweep& sweep = data.full != nullptr ? *data.full : data.sweeps.front();
  return MeasureOf(sweep.spec).Value(Mean(LossesAt(sweep, 0).means));
}

const char* GapWords(const Interval& gap, double margin) {
  if (!gap.Known()) return "one seed does not say whether that is more than noise";
  if (gap.low >= -margin && gap.high <= margin) return "equal, as the article says";
  if (gap.low > 0) return "LoRA is better";
  if (gap.high < 0) return "full fine-tuning is better";
  return "not to be told from equal, nor from a difference that matters";
}

void ConcludeLearning(const RewardData& data, Report* report) {
  std::string text = fmt::format("The untrained model's reward is {:.3f}. ", UntrainedReward(data));
  for (size_t i = 0; i < data.sweeps.size(); ++i) {
    const Sweep& sweep = data.sweeps[i];
    text += fmt::format("{}{} {}", i == 0 ? "At their best rates runs end at: " : ", ",
                        sweep.spec.MethodName(), RewardOf(sweep, data.steps).Text());
  }
  report->conclusions.push_back(text + ".");
}

void ConcludeReward(const RewardData& data, const Sweep& lora, Report* report) {
  const Interval gap = RewardGap(lora, *data.full, data.steps);
  const double learned = RewardOf(*data.full, data.steps).value - UntrainedReward(data);
  // In the article ranks are below full fine-tuning by up to 4 % of the improvement.
  constexpr double kShare = 0.05;
  const double margin = kShare * std::max(0.0, learned);
  report->conclusions.push_back(fmt::format(
      "The final reward of {} less that of full fine-tuning is {}; full gains {:.3g} over "
      "the untrained model: {}.",
      lora.spec.MethodName(), gap.Text(), learned, GapWords(gap, margin)));
  const std::vector<const Sweep*> pair = {&lora, data.full};
  report->findings.push_back({fmt::format("final reward of {} less that of full, at the best rates "
                                          "(5 % of what full gains: {:.3g})",
                                          lora.spec.MethodName(), margin),
                              "equal: rank 1 matches full (-0.015 on GSM8K, -0.010 on MATH)", gap,
                              AgreesWith(gap, -margin, margin), CountRuns(pair)});
}

void ConcludeRatio(const RewardData& data, const Sweep& lora, Report* report) {
  const Interval ratio = RateRatio(lora, *data.full, data.steps);
  if (!std::isfinite(ratio.value)) {
    report->conclusions.push_back(
        fmt::format("No ratio of best rates is stated for {}: an optimum lies at the edge of its "
                    "grid.",
                    lora.spec.MethodName()));
    return;
  }
  constexpr double kLowest = 3.5, kHighest = 12.5;  // range in the article's figures
  const Agreement agrees = AgreesWith(ratio, kLowest, kHighest);
  const std::string held = fmt::format(
      "{} the article's 10, {} the range of its own figures (3.5 to 12.5)", AgainstValue(ratio, 10),
      agrees == Agreement::kYes  ? "within"
      : agrees == Agreement::kNo ? "outside"
                                 : "not decided whether within");
  report->conclusions.push_back(fmt::format(
      "The best learning rate of {} is {} times that of full fine-tuning: {}.",
      lora.spec.MethodName(), ratio.Text(),
      ratio.Known() ? held
                    : "one seed does not hold it against the article's 10 or its figures' 3.5 to "
                      "12.5"));
  const std::vector<const Sweep*> pair = {&lora, data.full};
  report->findings.push_back(
      {fmt::format("best rate of {} over that of full, rewards", lora.spec.MethodName()),
       "10 (its figures: 9.7 to 12.5 on GSM8K, 4.9 to 7.5 on MATH, 3.5 to 4.1 on DeepMath)", ratio,
       agrees, CountRuns(pair)});
}

void ConcludeBand(const RewardData& data, const Sweep& lora, Report* report) {
  const GoodBand here = BandOf(lora, data.steps), full = BandOf(*data.full, data.steps);
  const std::string name = lora.spec.MethodName();
  std::string text = fmt::format(
      "Rates within 5 % of the best reward span a factor of {} for {} and of {} for "
      "full fine-tuning",
      WidthText(here), name, WidthText(full));
  if (full.Open() || here.log_widths.size() != full.log_widths.size()) {
    report->conclusions.push_back(
        text + ": the latter reaches the edge of its grid, so the two are not compared.");
    return;
  }
  const Interval ratio = FromLog10(MeanInterval(Paired(here.log_widths, full.log_widths)));
  const Agreement agrees = AgreesWith(ratio, 1, std::numeric_limits<double>::infinity());
  text += fmt::format(": {}.", agrees == Agreement::kYes ? "LoRA's is wider, as the article says"
                               : agrees == Agreement::kNo && !here.Open()
                                   ? "LoRA's is narrower, against the article"
                                   : "which of them is wider is not decided");
  report->conclusions.push_back(text);
  const std::vector<const Sweep*> pair = {&lora, data.full};
  report->findings.push_back(
      {fmt::format("width of the band of good rates of {} over that of full{}", name,
                   here.Open() ? ", at least" : ""),
       "wider (5x against less than 2x on GSM8K, 4x against 2x on MATH)", ratio,
       agrees == Agreement::kNo && here.Open() ? Agreement::kUndecided : agrees, CountRuns(pair)});
}

// Upper bound on the information in the rewards of a run, in bits: the entropy of its advantages.
double BitsOf(const RunRecord& run) {
  const auto episodes =
      static_cast<double>(run.spec.run.steps.batch_size * run.spec.rewards()->group_size);
  double bits = 0;
  for (const RewardStep& step : run.reward_steps) bits += step.advantage_entropy * episodes;
  return bits;
}

void ConcludeCapacity(const RewardData& data, Report* report) {
  const Sweep& lora = *data.lora.front();
  std::vector<double> bits, per_parameter;
  double episodes = 0, trainable = 0;
  for (const RunRecord* run : RunsAtBest(lora, data.steps)) {
    trainable = static_cast<double>(run->trainable);
    episodes = static_cast<double>(std::ssize(run->reward_steps) * run->spec.run.steps.batch_size *
                                   run->spec.rewards()->group_size);
    bits.push_back(BitsOf(*run));
    per_parameter.push_back(bits.back() / trainable);
  }
  constexpr double kBitsPerParameter = 2;  // capacity of networks (Allen-Zhu and Li)
  const Interval density = MeanInterval(per_parameter);
  report->conclusions.push_back(fmt::format(
      "A run learns from {} episodes. If each told right or wrong, that were at most {} bits; the "
      "entropy of their advantages bounds it by {} bits at the best rate of {}. Its {} parameters "
      "hold about 2 bits each, {}: {}.",
      HumanCount(std::llround(episodes)), HumanCount(std::llround(episodes)),
      HumanCount(std::llround(Mean(bits))), lora.spec.MethodName(),
      HumanCount(std::llround(trainable)), ShortCount(kBitsPerParameter * trainable),
      density.value < kBitsPerParameter ? "so that its capacity suffices, as the article says"
                                        : "so that its capacity may not suffice"));
  report->findings.push_back(
      {fmt::format("bits that the rewards can tell, a parameter of {}", lora.spec.MethodName()),
       "far below 2 (320,000 bits on MATH, 3M parameters of rank 1)", density,
       AgreesWith(density, 0, kBitsPerParameter), lora.NumRuns()});
}

void ConcludeHeldOut(const RewardData& data, Report* report) {
  std::string text =
      "Held-out problems solved greedily before and after, at the rate of the best final reward: ";
  for (size_t i = 0; i < data.sweeps.size(); ++i) {
    const std::vector<const RunRecord*> runs = RunsAtBest(data.sweeps[i], data.steps);
    text += fmt::format("{}{} {} and {}", i == 0 ? "" : "; ", data.sweeps[i].spec.MethodName(),
                        ShareText(SolvedBy(runs, 0)), ShareText(SolvedBy(runs, data.steps)));
  }
  report->conclusions.push_back(text + ".");
}

// The rate from which runs of a condition break; nothing if none does.
std::string Broken(const Sweep& sweep) {
  for (const auto& [rate, by_seed] : sweep.runs) {
    for (const auto& [seed, run] : by_seed) {
      if (!run->diverged && !RanAway(*run)) continue;
      return fmt::format("{} from {} ({})", sweep.spec.MethodName(), RateText(rate),
                         run->diverged ? "diverged" : "runaway length");
    }
  }
  return "";
}

void ConcludeBroken(const RewardData& data, Report* report) {
  std::string text;
  for (const Sweep& sweep : data.sweeps) {
    const std::string broken = Broken(sweep);
    if (!broken.empty()) text += (text.empty() ? "" : "; ") + broken;
  }
  report->conclusions.push_back(text.empty()
                                    ? "No run diverged or ran away in length."
                                    : "Lowest rates at which a run breaks: " + text +
                                          ". Runaway length is a failure, whatever the reward.");
}

void ConcludeSampler(std::span<const RunRecord> records, Report* report) {
  double largest = 0;
  int64_t steps = 0;
  for (const RunRecord& record : records) {
    steps += std::ssize(record.reward_steps);
    for (const RewardStep& step : record.reward_steps) {
      largest = std::max(largest, step.logp_difference);
    }
  }
  report->conclusions.push_back(fmt::format(
      "The sampler's log-probabilities differ from the trainer's by at most {:g} in all "
      "{} steps{}.",
      largest, HumanCount(steps),
      largest == 0 ? ": every first update is on-policy to the last bit"
                   : ": more than the 0 that they should; `lorikeet doctor` says why"));
}

std::string ProblemsText(const RunSpec& spec) {
  if (spec.rewards()->task.empty()) return "Problems of files";
  return fmt::format("Generated task{} {} ({})", spec.rewards()->task.size() == 1 ? "" : "s",
                     fmt::join(spec.rewards()->task, ", "),
                     !spec.rewards()->difficulty
                         ? "usual difficulty"
                         : fmt::format("difficulty {}", *spec.rewards()->difficulty));
}

std::vector<std::string> Notes(const StudySettings& settings, std::span<const RunRecord> records) {
  const RunRecord& first = records.front();
  const Rl& rewards = *first.spec.rewards();
  double flops = 0, seconds = 0;
  for (const RunRecord& record : records) {
    flops += record.TrainFlops();
    seconds += record.TrainSeconds();
  }
  return {
      fmt::format("Model {} ({} parameters, width {}), computed in {}. {}, {} prompts of {:.0f} "
                  "tokens on average with {} completions each a step, at most {} tokens of a "
                  "completion, temperature {:g}, objective {}. {} held-out problems, the same for "
                  "all, answered greedily.",
                  first.spec.model, ShortCount(first.facts.value("parameters", 0.0)),
                  first.facts.value("hidden_size", 0), first.spec.dtype, ProblemsText(first.spec),
                  first.spec.run.steps.batch_size, first.facts.value("prompt_tokens", 0.0),
                  rewards.group_size, rewards.max_tokens, rewards.temperature, rewards.objective,
                  first.facts.value("heldout_problems", int64_t{0})),
      fmt::format("{} runs; {}FLOP in {} of sampling and training.", records.size(),
                  ShortCount(flops), HumanDuration(seconds)),
      fmt::format("{} seed{}. A seed decides the problems, the random numbers of the samples and "
                  "A's first values; every condition of a seed is asked the same problems in the "
                  "same order. AdamW (beta {} and {}, eps {:g}, weight decay {:g}), gradients cut "
                  "to norm {:g}, constant rate, one update a step.",
                  settings.seeds, settings.seeds == 1 ? "" : "s", settings.optimizer.adam_beta1,
                  settings.optimizer.adam_beta2, settings.optimizer.adam_epsilon,
                  settings.optimizer.weight_decay, settings.optimizer.max_grad_norm),
      fmt::format(
          "A run is judged by its final reward: the mean over its last {} training "
          "problems ({} steps), each sampled {} times. A diverged run's missing steps count "
          "0. The untrained model's reward is that of the first step's samples.",
          first.spec.final_steps * first.spec.run.steps.batch_size, first.spec.final_steps,
          rewards.group_size),
      fmt::format(
          "Learning rates stand {} to a factor of ten; a grid whose best rate for any seed was at "
          "an edge was extended. The best rate is the vertex of a parabola in the logarithm of the "
          "rate through the highest reward and its neighbours, for each seed; intervals are 95 % t "
          "intervals over seeds, paired where two conditions are compared. The highest reward is "
          "the highest one measured, which favours conditions with more rates. Good rates are "
          "those within 5 % of a seed's highest reward, interpolated between the grid's.",
          settings.lr_per_decade)};
}

// The steps of evaluations: evenly spaced, since rewards are plotted over steps, not over their
// logarithm.
std::vector<int64_t> EvenSteps(int64_t steps, int64_t points) {
  std::set<int64_t> at = {0, steps};
  for (int64_t i = 1; i < points; ++i) at.insert(steps * i / points);
  return {at.begin(), at.end()};
}

void RequirePlannable(const StudySettings& settings) {
  GetObjective(settings.rewards.rl.objective);
  if (settings.schedules != std::vector<std::string>{"constant"}) {
    Fail(ErrorCode::kInvalidArgument,
         "study rl: its learning rate is constant; leave schedules out");
  }
}

void AddRewards(const StudySettings& settings, SweptCondition* condition) {
  RunSpec& spec = condition->spec;
  spec.run.steps.batch_size = settings.rewards.steps.batch_size;
  spec.eval_at = EvenSteps(settings.steps, settings.eval_points);
  spec.run.objective = settings.rewards.rl;
  spec.final_steps = settings.FinalSteps();
}

StudyPlan Plan(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  RequirePlannable(settings);
  StudyPlan plan;
  plan.swept.push_back(FullCondition(settings, model));
  for (const int rank : settings.Ranks()) {
    plan.swept.push_back(LoraCondition(settings, model, rank));
  }
  for (SweptCondition& condition : plan.swept) {
    AddRewards(settings, &condition);
    condition.centre = CentreOf(settings, model, condition.spec);
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> finished) {
  std::vector<RunRecord> records(finished.begin(), finished.end());
  std::erase_if(records, [](const RunRecord& record) { return !record.spec.rewards(); });
  RequireRuns(records, "rl");
  for (RunRecord& record : records) record.spec.final_steps = settings.FinalSteps();
  const RewardData data = ArrangeRewards(records);
  Report report = {.experiment = "rl",
                   .title = "Rewards",
                   .question =
                       "With rewards instead of examples: does rank 1 learn as much as full "
                       "fine-tuning, where does the best learning rate lie, and how wide is the "
                       "band of good ones?"};
  report.figures = RewardFigures(data);
  ConcludeLearning(data, &report);
  if (data.full != nullptr) {
    for (const Sweep* sweep : Outermost(data)) ConcludeReward(data, *sweep, &report);
    for (const Sweep* sweep : Outermost(data)) ConcludeRatio(data, *sweep, &report);
    for (const Sweep* sweep : Outermost(data)) ConcludeBand(data, *sweep, &report);
  }
  ConcludeHeldOut(data, &report);
  if (!data.lora.empty()) ConcludeCapacity(data, &report);
  ConcludeBroken(data, &report);
  ConcludeSampler(records, &report);
  report.tables.push_back(RewardOptima(data));
  report.notes = Notes(settings, records);
  for (const std::string& note : EdgeNotes(data.sweeps, data.steps)) report.notes.push_back(note);
  return report;
}

}  // namespace

constinit const Experiment kRlExperiment = {
    .name = "rl",
    .summary = "final reward against learning rate, for every rank and for full",
    .plan = Plan,
    .analyse = Analyse,
    .rewards = true};

}  // namespace lorikeet
