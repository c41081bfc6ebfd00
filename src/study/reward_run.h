// Runs of a study that learn from rewards: their problems and their execution.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rl/problem_source.h"
#include "study/run_spec.h"

namespace lorikeet {

// The problems of a model's runs, and how they are formatted as prompts.
struct StudyProblems {
  ProblemSource source;
  TokenizerBundle text;
  ChatTemplate chat_template;
  std::vector<std::string> stop_strings;
  OrderedJson template_variables = {};  // object or null
  std::string date = {};                // for templates that print it; "": today

  ChatFormat Format() const {
    return {text, chat_template, stop_strings, template_variables, date};
  }
};

// A fingerprint of prompts, reference answers and stop strings: of all rows and held-out problems,
// and of some generated problems.
std::string FingerprintOf(const StudyProblems& problems, std::span<const Problem> heldout);

// Mean tokens per prompt over some problems.
double MeanPrompt(const StudyProblems& problems, std::span<const Problem> some);

// Tokens of a run's longest sequence, held-out problems included.
int64_t LongestSequence(const RunSpec& spec, const StudyProblems& problems,
                        std::span<const Problem> heldout);

// Limits of the generator that samples for the run, for sequences of at most `longest` tokens.
GeneratorLimits SamplingLimits(const RunSpec& spec, int64_t longest);

// Trains from the last checkpoint in `dir`, if there is one, and writes metrics.jsonl and the
// transcript of the last step there. Returns false if `stop` (may be empty) returned true.
// save_steps: 0: a checkpoint only when stopped. Throws Error(kDiverged) as TrainRl does.
bool TrainOnRewards(const RunSpec& spec, const StudyProblems& problems,
                    const std::vector<Problem>& heldout, TrainingRun& run, const std::string& dir,
                    int64_t save_steps, const std::function<bool()>& stop);

}  // namespace lorikeet
