// A run of a study that learns from rewards: what it asks, and how it is made.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rl/problem_source.h"
#include "study/run_spec.h"

namespace lorikeet {

// What the runs of a model ask, and how it is put to the model.
struct StudyProblems {
  ProblemSource source;
  TokenizerBundle text;
  ChatTemplate chat_template;
  std::vector<std::string> stop_strings;
  OrderedJson template_variables = {};  // object or null
  std::string date = {};                // for templates that print it; "": today

  PromptWriter Writer() const {
    return {text, chat_template, stop_strings, template_variables, date};
  }
};

// Differs where prompts, answers or what ends a completion do: of all rows and held-out problems,
// and of some generated ones.
std::string FingerprintOf(const StudyProblems& problems, std::span<const Problem> heldout);

// Tokens of a prompt, the mean over some problems.
double MeanPrompt(const StudyProblems& problems, std::span<const Problem> some);

// Tokens of the longest sequence of a run, its held-out problems included.
int64_t LongestSequence(const RunSpec& spec, const StudyProblems& problems,
                        std::span<const Problem> heldout);

// What samples it, for sequences of at most `longest` tokens.
GeneratorLimits SamplingLimits(const RunSpec& spec, int64_t longest);

// Trains from the last checkpoint in `dir`, if there is one, and leaves metrics.jsonl there, and
// the transcript of the last step. Returns false when `stop` (may be empty) said so. save_steps: 0:
// a checkpoint only when stopped. Throws Error(kDiverged) as TrainRl does.
bool TrainOnRewards(const RunSpec& spec, const StudyProblems& problems,
                    const std::vector<Problem>& heldout, TrainingRun& run, const std::string& dir,
                    int64_t save_steps, const std::function<bool()>& stop);

}  // namespace lorikeet
