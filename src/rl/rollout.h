// Completions of problems, sampled and graded: what a policy-gradient step learns from.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "chat/bundle.h"
#include "chat/chat_template.h"
#include "sample/generator.h"
#include "verify/rewards/function.h"
#include "verify/task.h"

namespace lorikeet {

struct Rollout {
  Generation generation;
  std::string text;  // without the token or the stop string that ended it
  Grade grade;
};

// The completions of one prompt.
struct Group {
  Problem problem;
  std::string prompt_text;
  std::vector<int32_t> prompt;  // at least two tokens
  std::vector<Rollout> rollouts;
};

// A `PromptWriter` turns problems into prompts and sampled tokens into text.
struct PromptWriter {
  const TokenizerBundle& text;
  const ChatTemplate& chat_template;
  std::vector<std::string> stop_strings = {};  // end a completion and are left out of its text
  OrderedJson variables = {};  // of the template; a problem's own win. Object or null
  std::string date = {};       // for templates that print it; "": today

  // Throws Error for what the template refuses.
  Group Write(Problem problem) const;
};

struct RolloutConfig {
  int64_t group_size = 8;
  SamplingParams sampling;  // its seed: of the step, so that no two steps draw alike
  std::shared_ptr<const LoraWeights> adapter = nullptr;  // to sample with; null: the base
};

// Samples group_size completions of every group and grades them. Sample j of group i is a pure
// function of the weights, the prompt, the seed and (i, j): not of batches or threads. The tokens
// of a stop string were sampled and stay in the generation, whose reason is then kCallback. Without
// a reward function problems are graded by their own graders.
void SampleRollouts(Generator& generator, const PromptWriter& writer, const RolloutConfig& config,
                    const RewardFunction& reward, std::span<Group> groups);

}  // namespace lorikeet
