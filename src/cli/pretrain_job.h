// Makes an `SftJob` from the options of `lorikeet pretrain`: a model with random weights, trained
// in full on documents cut into blocks.
#pragma once
#include "cli/pretrain_options.h"
#include "cli/sft_job.h"

namespace lorikeet {

// As PrepareSft. The random model exists on disk only while this runs; a resumed run makes the same
// one again and then reads its checkpoint.
SftJob PreparePretrain(PretrainOptions& options);

}  // namespace lorikeet
