// Runs a prepared job of `sft` or `pretrain`, from its first step to its summary.
#pragma once
#include <string>

#include "recipes/sft_job.h"

namespace lorikeet {

// Prints the plan to stderr, trains, writes config.yaml and train_summary.json and prints the
// summary to stdout. command: the command that resumes a stopped run. Returns the exit status: 1 if
// nothing was learned. Throws Error as TrainSft.
int RunSftJob(const SftJob& job, const SftOptions& options, const std::string& command = "sft");

// Prints why a finished run has learned nothing, and returns its exit status; 0 if `why` is empty.
int ReportNothingLearned(const std::string& why, const std::string& output_dir);

}  // namespace lorikeet
