#include "rl/rollout.h"

#include "core/check.h"
#include "core/parallel.h"
#include "data/render.h"
#include "rl/grader.h"

namespace lorikeet {
namespace {

// What was said, without the token that ended it.
std::string TextOf(const PromptWriter& writer, const Generation& generation) {
  std::span<const int32_t> said = generation.tokens;
  if (generation.reason == StopReason::kStop) said = said.first(said.size() - 1);
  return writer.text.tokenizer.Decode(said);
}

void GradeHere(std::span<Group> groups) {
  std::vector<std::pair<const Problem*, Rollout*>> work;
  for (Group& group : groups) {
    for (Rollout& rollout : group.rollouts) work.emplace_back(&group.problem, &rollout);
  }
  ParallelDynamic(std::ssize(work), [&](int64_t i) {
    auto& [problem, rollout] = work[static_cast<size_t>(i)];
    rollout->grade = GradeCompletion(*problem, rollout->text);
  });
}

void GradeOutside(const RewardFunction& reward, std::span<Group> groups) {
  std::vector<RewardRequest> requests;
  for (const Group& group : groups) {
    for (const Rollout& rollout : group.rollouts) {
      requests.push_back({&group.problem, group.prompt_text, rollout.text});
    }
  }
  const std::vector<Grade> grades = reward(requests);
  CHECK(grades.size() == requests.size());
  size_t next = 0;
  for (Group& group : groups) {
    for (Rollout& rollout : group.rollouts) rollout.grade = grades[next++];
  }
}

}  // namespace

Group PromptWriter::Write(Problem problem) const {
  Group group;
  group.prompt_text =
      chat_template.Render(problem.messages, {.add_generation_prompt = true,
                                              .tools = problem.tools,
                                              .variables = problem.template_variables});
  group.prompt = text.tokenizer.Encode(group.prompt_text);
  if (NeedsBos(text, group.prompt_text)) group.prompt.insert(group.prompt.begin(), text.bos_id);
  CHECK(group.prompt.size() >= 2);
  group.problem = std::move(problem);
  return group;
}

void SampleRollouts(Generator& generator, const PromptWriter& writer, const RolloutConfig& config,
                    const RewardFunction& reward, std::span<Group> groups) {
  std::vector<GenerateRequest> requests;
  for (size_t g = 0; g < groups.size(); ++g) {
    for (int64_t i = 0; i < config.group_size; ++i) {
      GenerateRequest request;
      request.prompt = groups[g].prompt;
      request.params = config.sampling;
      request.key = static_cast<uint64_t>(g) * static_cast<uint64_t>(config.group_size) +
                    static_cast<uint64_t>(i);
      requests.push_back(std::move(request));
    }
  }
  std::vector<Generation> said = generator.Run(std::move(requests));
  size_t next = 0;
  for (Group& group : groups) {
    group.rollouts.clear();
    for (int64_t i = 0; i < config.group_size; ++i) {
      Rollout rollout;
      rollout.generation = std::move(said[next++]);
      rollout.text = TextOf(writer, rollout.generation);
      group.rollouts.push_back(std::move(rollout));
    }
  }
  if (reward) {
    GradeOutside(reward, groups);
  } else {
    GradeHere(groups);
  }
}

}  // namespace lorikeet
