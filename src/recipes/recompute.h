// What `--recompute none|auto|block` means: whether a run keeps every activation or computes them
// again in the backward pass. `auto` is left to the memory at hand. The bits are the same.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/memory_plan.h"

namespace lorikeet {

// Nothing for auto. The names are those of RecomputeTraits (cli/recompute_option.h).
std::optional<Recompute> ParseRecompute(const std::string& name);
const char* RecomputeName(Recompute recompute);

// Memory as a run finds it. resident: bytes of its plan that this process holds already, in memory
// of its own; available: what else there is (ReadMemory).
struct MemoryAtHand {
  int64_t resident = 0, available = 0;
  // A margin is left to everything that no plan knows.
  bool Holds(const std::vector<MemoryPart>& parts) const;
  int64_t All() const { return resident + available; }
};

struct RecomputeChoice {
  Recompute recompute = Recompute::kNone;
  std::string reason;              // "1.2 GiB fit into 14 GiB"; follows the name and a colon
  std::vector<MemoryPart> memory;  // of a run that does so
};
// asked: nothing for auto. Of `shape` all but `recompute` counts. Does not check that the choice
// fits.
RecomputeChoice ChooseRecompute(const ModelConfig& config, TrainingShape shape, DType stored,
                                std::optional<Recompute> asked, const MemoryAtHand& memory);

}  // namespace lorikeet
