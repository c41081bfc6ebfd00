#include "train/learning_rate.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/check.h"

namespace lorikeet {
namespace {

constexpr double kBase = 5e-5, kReferenceWidth = 2000;
constexpr double kLlamaPower = 0.781, kQwenPower = 0.0775;
// Reinforcement learning: the article's figures 6 and 8 have the best rate of full fine-tuning
// at 4.5e-6 to 6e-6 (Llama-3.1-8B) and 1.5e-5 (Qwen3-8B), about a fifth of the supervised rule, and
// that of LoRA 4 to 10 times higher at every rank. With 6 the rule gives 3.4e-5 and 5.7e-5 for
// LoRA; the optima were 2.2e-5 to 7.5e-5 and 5.3e-5 to 6.1e-5.
constexpr double kRlBase = 1e-5, kRlMultiplier = 6;

// Measured between 4 and 64 examples for LoRA and for full fine-tuning (docs/study, `batch`: powers
// of 0.47 to 0.55). Nothing is known of larger batches than the rule's, and LoRA is worse at them.
constexpr int64_t kRuleBatch = 128;
// The peak of a decaying schedule over a constant rate: keeps the mean. For a linear schedule, 2.5
// was measured with full fine-tuning, 2.9 and 3.4 with LoRA (docs/study, `lr`).
constexpr double kDecayFactor = 2;

constexpr double kShortMultiplier = 15;
constexpr double kShortRun = 100, kLongRun = 1000;  // steps
// At ranks 1, 2, 4, ... 512.
constexpr std::array kLongMultipliers = {2.7, 4.5, 4.8, 5.3, 6.1, 7.3, 8.2, 9.3, 9.5, 9.8};

double LongMultiplier(int rank) {
  const double last = static_cast<double>(kLongMultipliers.size() - 1);
  const double at = std::clamp(std::log2(static_cast<double>(std::max(rank, 1))), 0.0, last);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, kLongMultipliers.size() - 1);
  return std::lerp(kLongMultipliers[below], kLongMultipliers[above],
                   at - static_cast<double>(below));
}

// 0 for a short run, 1 for a long one.
double Longness(int64_t planned_steps) {
  if (planned_steps <= 0) return 1;
  const double beyond_short = std::log(static_cast<double>(planned_steps) / kShortRun);
  return std::clamp(beyond_short / std::log(kLongRun / kShortRun), 0.0, 1.0);
}

struct Power {
  double value;
  std::string why;
};

Power WidthPower(const LearningRateQuery& query) {
  if (query.model_type == "llama") return {kLlamaPower, "fitted for Llama"};
  if (query.model_type.rfind("qwen", 0) == 0) return {kQwenPower, "fitted for Qwen"};
  // No fit exists: of the two known laws, the one that gives the lower rate at this width.
  const bool wide = static_cast<double>(query.hidden_size) > kReferenceWidth;
  return {wide ? kLlamaPower : kQwenPower,
          fmt::format("no fit exists for {}; the more careful of the Llama and Qwen fits",
                      query.model_type.empty() ? "this family" : query.model_type)};
}

std::string MultiplierReason(const LearningRateQuery& query, double multiplier) {
  if (!query.lora) return "";
  if (query.rl)
    return fmt::format(" * {:.0f} (LoRA in reinforcement learning, any rank)", multiplier);
  const std::string run = query.planned_steps > 0 ? fmt::format("in {} steps", query.planned_steps)
                                                  : "in a run of unknown length";
  return fmt::format(" * {:.1f} (LoRA of rank {} {})", multiplier, query.rank, run);
}

double BatchFactor(int64_t batch_size) {
  if (batch_size <= 0 || batch_size >= kRuleBatch) return 1;
  return std::sqrt(static_cast<double>(batch_size) / static_cast<double>(kRuleBatch));
}

std::string FactorsReason(const LearningRateQuery& query, double batch, double schedule) {
  std::string text;
  if (query.lora && query.rslora) text += fmt::format(" / {}^0.5 (rsLoRA's scale)", query.rank);
  if (batch != 1)
    text += fmt::format(" * ({} / {})^0.5 (examples a step)", query.batch_size, kRuleBatch);
  if (schedule != 1) text += fmt::format(" * {:g} (a schedule that decays)", schedule);
  return text;
}

}  // namespace

double LoraMultiplier(int rank, int64_t planned_steps) {
  return kShortMultiplier *
         std::pow(LongMultiplier(rank) / kShortMultiplier, Longness(planned_steps));
}

LearningRateAdvice DefaultLearningRate(const LearningRateQuery& query) {
  CHECK(query.hidden_size > 0);
  const Power power = WidthPower(query);
  const double base = query.rl ? kRlBase : kBase;
  const double multiplier = !query.lora ? 1
                            : query.rl  ? kRlMultiplier
                                        : LoraMultiplier(query.rank, query.planned_steps);
  const double batch = query.rl ? 1 : BatchFactor(query.batch_size);
  const double schedule = query.schedule == ScheduleKind::kConstant ? 1 : kDecayFactor;
  const double scale = query.lora && query.rslora ? std::sqrt(query.rank) : 1;
  const double exact =
      base * multiplier * batch * schedule / scale *
      std::pow(kReferenceWidth / static_cast<double>(query.hidden_size), power.value);
  // Three digits are more than the rule knows, and they can be typed again.
  const double value = std::stod(fmt::format("{:.2e}", exact));
  return {value, fmt::format("{:.2e} = {:.0e}{} * (2000 / {})^{} (hidden size; {}){}, the rule of "
                             "\"LoRA Without Regret\"",
                             value, base, MultiplierReason(query, multiplier), query.hidden_size,
                             power.value, power.why, FactorsReason(query, batch, schedule))};
}

}  // namespace lorikeet
