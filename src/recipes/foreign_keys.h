// Keys of other trainers' configurations (transformers, TRL, peft, axolotl, LLaMA-Factory, mlx-lm)
// that have no option here, with neutral values: those that ask for what a run does anyway. A key
// with another value would change the run and is refused with advice. Keys that mean the same as an
// option are that option's aliases.
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
