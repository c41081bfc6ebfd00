// A prepared run from its first step to its summary: what `sft` and `pretrain` share.
#pragma once
#include <string>

#include "cli/sft_job.h"

namespace lorikeet {

// Prints the plan to stderr, trains, writes config.yaml and train_summary.json and prints the
// summary to stdout. `command` goes on with the run when it was stopped. Throws Error as TrainSft.
void RunSftJob(const SftJob& job, const SftOptions& options, const std::string& command = "sft");

}  // namespace lorikeet
