// The choice of `--recompute none|auto|block`: whether a run keeps every activation or recomputes
// them in the backward pass. `auto` depends on the available memory. The bits are the same.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/memory_plan.h"

namespace lorikeet {

// The value of `--recompute`; nothing for auto.
std::optional<Recompute> ParseRecompute(const std::string& name);
const char* RecomputeName(Recompute recompute);

// Memory at the beginning of a run. resident: bytes of its plan that this process holds already, in
// its own memory; available: bytes besides (ReadMemory).
struct MemoryAtHand {
  int64_t resident = 0, available = 0;
  // True if `parts` fit, with a margin for memory that the plan does not cover.
  bool Holds(const std::vector<MemoryPart>& parts) const;
  int64_t All() const { return resident + available; }
};

struct RecomputeChoice {
  Recompute recompute = Recompute::kNone;
  std::string reason;              // "1.2 GiB fit into 14 GiB"; follows the name and a colon
  std::vector<MemoryPart> memory;  // the run's memory by part
};
// asked: nothing for auto. shape.recompute is ignored. Does not check that the choice fits.
RecomputeChoice ChooseRecompute(const ModelConfig& config, TrainingShape shape, DType stored,
                                std::optional<Recompute> asked, const MemoryAtHand& memory);

}  // namespace lorikeet
