// Runs a prepared job of `sft` or `pretrain`, from its first step to its summary.
#pragma once
#include <string>

#include "cli/sft_job.h"

namespace lorikeet {

// Prints the plan to stderr, trains, writes config.yaml and train_summary.json and prints the
// summary to stdout. command: the command that resumes a stopped run. Throws Error as TrainSft.
void RunSftJob(const SftJob& job, const SftOptions& options, const std::string& command = "sft");

}  // namespace lorikeet
