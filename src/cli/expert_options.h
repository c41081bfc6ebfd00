// The options of a mixture's experts, alike in every command that makes or plans adapters
// (docs/moe.md).
#pragma once
#include <optional>

#include "options/args.h"

namespace lorikeet {

struct ExpertOptions {
  std::optional<int> lora_expert_rank;
  bool lora_shared_outer;

  template <class V>
  void ForEach(V& v) {
    v(lora_expert_rank, "lora_expert_rank", std::nullopt,
      "Rank of each expert's adapters in a mixture of experts; if not given, lora_r / the experts "
      "that are active per token.",
      {.min = 1, .max = 65536});
    v(lora_shared_outer, "lora_shared_outer", false,
      "The experts of a layer share the adapters' factor on the hidden side.");
  }
  int Rank() const { return lora_expert_rank.value_or(0); }  // 0: of lora_r and the active experts
};

}  // namespace lorikeet
