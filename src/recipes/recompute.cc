#include "recipes/recompute.h"

#include <fmt/format.h>

#include <utility>

#include "core/check.h"
#include "core/format.h"

namespace lorikeet {

std::optional<Recompute> ParseRecompute(const std::string& name) {
  if (name == "auto") return std::nullopt;
  CHECK(name == "none" || name == "block");
  return name == "block" ? Recompute::kBlock : Recompute::kNone;
}

const char* RecomputeName(Recompute recompute) {
  return recompute == Recompute::kBlock ? "block" : "none";
}

bool MemoryAtHand::Holds(const std::vector<MemoryPart>& parts) const {
  constexpr double kMargin = 0.05;  // share of the available memory
  const auto needed = static_cast<double>(TotalBytes(parts)) - static_cast<double>(resident);
  return needed <= (1 - kMargin) * static_cast<double>(available);
}

RecomputeChoice ChooseRecompute(const ModelConfig& config, TrainingShape shape, DType stored,
                                std::optional<Recompute> asked, const MemoryAtHand& memory) {
  shape.recompute = asked.value_or(Recompute::kNone);
  std::vector<MemoryPart> parts = PlanTrainingMemory(config, shape, stored);
  if (asked) return {*asked, "as asked", std::move(parts)};
  const std::string bytes = HumanBytes(static_cast<int64_t>(TotalBytes(parts)));
  const std::string all = HumanBytes(memory.All());
  if (memory.Holds(parts)) {
    return {Recompute::kNone, fmt::format("{} fit into {}", bytes, all), std::move(parts)};
  }
  shape.recompute = Recompute::kBlock;
  return {Recompute::kBlock,
          fmt::format("with every activation kept, {} tokens at once take {} of {}",
                      shape.tokens_per_microbatch, bytes, all),
          PlanTrainingMemory(config, shape, stored)};
}

}  // namespace lorikeet
