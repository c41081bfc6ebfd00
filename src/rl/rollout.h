// A `Rollout` is a sampled and graded completion; a `Group` holds those of one prompt.
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
  std::string text;  // without the stop token or stop string
  Grade grade;
};

struct Group {
  Problem problem;
  std::string prompt_text;
  std::vector<int32_t> prompt;  // at least two tokens
  std::vector<Rollout> rollouts;
};

// A `ChatFormat` renders problems as prompts, and holds what decoding of completions needs.
struct ChatFormat {
  const TokenizerBundle& text;
  const ChatTemplate& chat_template;
  std::vector<std::string> stop_strings = {};  // end a completion; not part of its text
  OrderedJson variables = {};  // template variables, overridden by a problem's; object or null
  std::string date = {};       // for templates that print it; "": today

  RenderOptions OptionsFor(const Problem& problem) const;
  // The problem with its prompt, and no rollouts. Throws Error if the template raises one.
  Group MakeGroup(Problem problem) const;
};

// Notes for the user about problems whose content the chat template does not write: tools, words of
// messages, keys that it never reads. A note counts the problems and names the first by its id.
std::vector<std::string> PromptNotes(const ChatFormat& format, std::span<const Problem> problems);

struct RolloutConfig {
  int64_t group_size = 8;
  SamplingParams sampling;                               // the seed must differ from step to step
  std::shared_ptr<const LoraWeights> adapter = nullptr;  // adapter of the policy; null: the base
};

// Samples group_size completions for every group and grades them. Sample j of group i is a pure
// function of the weights, the prompt, the seed and (i, j), independent of batching and threads.
// The tokens of a stop string stay in the generation, whose reason is then kCallback. If `reward`
// is empty, each problem's own grader is used.
void SampleRollouts(Generator& generator, const ChatFormat& format, const RolloutConfig& config,
                    const RewardFunction& reward, std::span<Group> groups);

}  // namespace lorikeet
