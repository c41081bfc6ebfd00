// The option `--recompute`, alike in every command that trains.
#pragma once
#include "options/args.h"

namespace lorikeet {

inline constexpr const char* kRecomputeHelp =
    "none: keep every activation. block: keep only every layer's input and compute the rest again "
    "in the backward pass; less memory, a third more time, the same bits. auto: none where that "
    "fits into memory, else block.";
OptionTraits RecomputeTraits();

}  // namespace lorikeet
