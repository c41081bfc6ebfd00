#include "study/reward_run.h"

#include <algorithm>

#include "recipes/prepare.h"
#include "recipes/run_settings.h"
#include "rl/rl_loop.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"
#include "verify/grader.h"

namespace lorikeet {
namespace {

// Maximum number of prompts in training, with those of groups that are replaced.
int64_t PromptsOf(const RunSpec& spec) {
  return spec.steps() * spec.run.steps.batch_size *
         GetObjective(spec.rewards()->objective).DefaultRounds();
}

RlConfig MeasuredRun(const Run& run, const RunSpec& spec, const std::string& dir,
                     int64_t save_steps) {
  RlConfig config = RlConfigOf(run);
  config.loop.eval_at = spec.eval_at;
  config.loop.output_dir = dir;
  config.loop.keep_result = false;
  config.loop.save_steps = save_steps;
  config.loop.save_total_limit = 1;
  config.loop.tensorboard = false;
  config.settings = RlSettingsOf(run);
  config.settings["run"] = RunId(spec);
  return config;
}

int64_t LongestPromptOf(const RunSpec& spec, const StudyProblems& problems) {
  if (spec.rewards()->max_prompt_tokens) return *spec.rewards()->max_prompt_tokens;
  return LongestPrompt(problems.Format(), problems.source.OfSeed(spec.seed()), PromptsOf(spec));
}

}  // namespace

std::string FingerprintOf(const StudyProblems& problems, std::span<const Problem> heldout) {
  constexpr int64_t kSome = 64;
  constexpr uint64_t kSeed = 0;  // the same for all runs
  std::vector<std::string> texts = {std::to_string(kGraderVersion)};
  texts.insert(texts.end(), problems.stop_strings.begin(), problems.stop_strings.end());
  const ChatFormat format = problems.Format();
  const auto add = [&](const Problem& problem) {
    Group group = format.MakeGroup(problem);
    texts.push_back(std::move(group.prompt_text));
    texts.push_back(problem.grader + "\n" + problem.answer + "\n" + problem.data.dump());
  };
  for (const Problem& problem : problems.source.rows()) add(problem);
  for (const Problem& problem : heldout) add(problem);
  if (problems.source.generated()) {
    const auto at = problems.source.OfSeed(kSeed);
    for (int64_t i = 0; i < kSome; ++i) add(at(i));
  }
  return FingerprintOf(std::span<const std::string>(texts));
}

double MeanPrompt(const StudyProblems& problems, std::span<const Problem> some) {
  const ChatFormat format = problems.Format();
  double tokens = 0;
  for (const Problem& problem : some) {
    tokens += static_cast<double>(format.MakeGroup(problem).prompt.size());
  }
  return some.empty() ? 0 : tokens / static_cast<double>(some.size());
}

int64_t LongestSequence(const RunSpec& spec, const StudyProblems& problems,
                        std::span<const Problem> heldout) {
  return std::max(LongestPromptOf(spec, problems), LongestPrompt(problems.Format(), heldout)) +
         spec.rewards()->max_tokens;
}

GeneratorLimits SamplingLimits(const RunSpec& spec, int64_t longest) {
  constexpr int64_t kMaxSlots = 64;
  return {.slots = std::min(spec.run.steps.batch_size * spec.rewards()->group_size, kMaxSlots),
          .capacity = longest};
}

bool TrainOnRewards(const RunSpec& spec, const StudyProblems& problems,
                    const std::vector<Problem>& heldout, TrainingRun& run, const std::string& dir,
                    int64_t save_steps, const std::function<bool()>& stop) {
  Run resolved = spec.run;
  resolved.rl()->max_prompt_tokens = static_cast<int>(LongestPromptOf(spec, problems));
  resolved.rl()->base_kl_steps = 0;
  RlConfig config = MeasuredRun(resolved, spec, dir, save_steps);
  config.stop_tokens = StopTokensOf(problems.text, run.model().config().vocab_size);
  if (!ListCheckpoints(dir).empty()) config.loop.resume_from = LatestCheckpoint(dir);
  const int64_t longest =
      std::max(config.max_prompt_tokens, LongestPrompt(problems.Format(), heldout)) +
      config.max_tokens;
  Generator generator(run.model(), SamplingLimits(spec, longest), run.workspace());
  RlHooks hooks;
  hooks.problem = problems.source.OfSeed(spec.seed());
  hooks.heldout = heldout;
  hooks.loop.stop_requested = stop;
  return !TrainRl(run, generator, problems.Format(), config, hooks).interrupted;
}

}  // namespace lorikeet
