// What `--recompute none|auto|block` means: whether a run keeps every activation or computes them
// again in the backward pass. `auto` is left to the memory at hand. The bits are the same.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/args.h"
#include "model/memory_plan.h"

namespace lorikeet {

// The declaration of the option, alike in every command.
inline constexpr const char* kRecomputeHelp =
    "none: keep every activation. block: keep only every layer's input and compute the rest again "
    "in the backward pass; less memory, a third more time, the same bits. auto: none where that "
    "fits into memory, else block.";
OptionTraits RecomputeTraits();

// Nothing for auto. The names are those of RecomputeTraits.
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
  std::string reason;  // "1.2 GiB fit into 14 GiB"; follows the name and a colon
};
// asked: nothing for auto. Of `shape` all but `recompute` counts. Does not check that the choice
// fits.
RecomputeChoice ChooseRecompute(const ModelConfig& config, TrainingShape shape, DType stored,
                                std::optional<Recompute> asked, const MemoryAtHand& memory);

}  // namespace lorikeet
