#include "cli/recompute_option.h"

namespace lorikeet {

OptionTraits RecomputeTraits() {
  return {.choices = {"none", "auto", "block"},
          .refused = {{"gradient_checkpointing", "write recompute: block, none or auto"}}};
}

}  // namespace lorikeet
