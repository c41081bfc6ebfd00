// Keys of other trainers' configurations (transformers, TRL, peft, axolotl, LLaMA-Factory, mlx-lm)
// that have no option here, with the values that ask for what a run does anyway. Whoever brings
// such a configuration gets one line for each key that would have changed the run, and none for the
// rest. Keys that mean the same as an option are that option's aliases.
#pragma once
#include <string>
#include <vector>

#include "options/args.h"

namespace lorikeet {

// Keys of adapters, as peft's LoraConfig names them.
std::vector<ForeignKey> ForeignAdapterKeys();
// Keys of optimizers.
std::vector<ForeignKey> ForeignOptimizerKeys();
// Keys of batch sizes and gradient accumulation.
std::vector<ForeignKey> ForeignBatchKeys();
// Keys of recomputing.
std::vector<ForeignKey> ForeignMemoryKeys();
// Keys of number formats and quantisation.
std::vector<ForeignKey> ForeignPrecisionKeys();
// Keys of packing.
std::vector<ForeignKey> ForeignPackingKeys();
// Keys of logging, uploading, devices and data loading.
std::vector<ForeignKey> ForeignTrainerKeys();

}  // namespace lorikeet
