#include "rl/rollout.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "chat/answer_text.h"
#include "core/check.h"
#include "core/error.h"
#include "core/parallel.h"
#include "data/remarks.h"
#include "data/render.h"
#include "data/written_check.h"

namespace lorikeet {
namespace {

// The completion's text without the stop token or stop string.
std::string TextOf(const ChatFormat& format, const Generation& generation) {
  std::span<const int32_t> tokens = generation.tokens;
  if (generation.reason == StopReason::kStop) tokens = tokens.first(tokens.size() - 1);
  std::string text = format.text.tokenizer.Decode(tokens);
  size_t end = text.size();
  for (const std::string& stop : format.stop_strings) {
    if (!stop.empty()) end = std::min(end, text.find(stop));
  }
  return text.substr(0, end);
}

// A callback that ends a sequence at the first stop string, which may span several tokens.
std::function<bool(const SampledToken&)> StopperOf(const ChatFormat& format) {
  if (format.stop_strings.empty()) return {};
  auto text = std::make_shared<AnswerText>(format.text.tokenizer, format.stop_strings,
                                           /*skip_special_tokens=*/false);
  return [text](const SampledToken& token) {
    text->Push(token.token);
    return !text->stopped();
  };
}

void GradeAll(const RewardFunction& reward, std::span<Group> groups) {
  std::vector<RewardRequest> requests;
  for (const Group& group : groups) {
    for (const Rollout& rollout : group.rollouts) {
      requests.push_back({&group.problem, group.prompt_text, rollout.text});
    }
  }
  std::vector<Grade> grades = reward(requests);
  CHECK(grades.size() == requests.size());
  size_t next = 0;
  for (Group& group : groups) {
    for (Rollout& rollout : group.rollouts) rollout.grade = std::move(grades[next++]);
  }
}

}  // namespace

RenderOptions ChatFormat::OptionsFor(const Problem& problem) const {
  return {.add_generation_prompt = true,
          .tools = problem.tools,
          .variables = MergedVariables(variables, problem.template_variables),
          .date = date};
}

Group ChatFormat::MakeGroup(Problem problem) const {
  Group group;
  group.prompt_text = chat_template.Render(problem.messages, OptionsFor(problem));
  group.prompt = text.tokenizer.Encode(group.prompt_text);
  PutBos(text, group.prompt_text, &group.prompt);
  CHECK(group.prompt.size() >= 2);
  group.problem = std::move(problem);
  return group;
}

std::vector<std::string> PromptNotes(const ChatFormat& format, std::span<const Problem> problems) {
  std::vector<std::vector<Remark>> remarks(problems.size());
  std::vector<std::exception_ptr> failures(problems.size());
  ParallelDynamic(std::ssize(problems), [&](int64_t i) {
    const Problem& problem = problems[static_cast<size_t>(i)];
    try {
      const RenderOptions options = format.OptionsFor(problem);
      remarks[static_cast<size_t>(i)] =
          CheckPrompt(format.chat_template, problem.messages, options,
                      format.chat_template.Render(problem.messages, options));
    } catch (...) {
      failures[static_cast<size_t>(i)] = std::current_exception();
    }
  });
  RemarkCounter counter;
  for (size_t i = 0; i < problems.size(); ++i) {
    try {
      if (failures[i]) std::rethrow_exception(failures[i]);
    } catch (const Error& error) {
      Fail(error.code(), "{}: {}", problems[i].id, error.what());
    }
    counter.Add(problems[i].id, remarks[i]);
  }
  return counter.Notes();
}

void SampleRollouts(Generator& generator, const ChatFormat& format, const RolloutConfig& config,
                    const RewardFunction& reward, std::span<Group> groups) {
  std::vector<GenerateRequest> requests;
  for (size_t g = 0; g < groups.size(); ++g) {
    for (int64_t i = 0; i < config.group_size; ++i) {
      GenerateRequest request;
      request.prompt = groups[g].prompt;
      request.params = config.sampling;
      request.adapter = config.adapter;
      request.on_token = StopperOf(format);
      request.key = static_cast<uint64_t>(g) * static_cast<uint64_t>(config.group_size) +
                    static_cast<uint64_t>(i);
      requests.push_back(std::move(request));
    }
  }
  std::vector<Generation> generations = generator.Run(std::move(requests));
  size_t next = 0;
  for (Group& group : groups) {
    group.rollouts.clear();
    for (int64_t i = 0; i < config.group_size; ++i) {
      Rollout rollout;
      rollout.generation = std::move(generations[next++]);
      rollout.text = TextOf(format, rollout.generation);
      group.rollouts.push_back(std::move(rollout));
    }
  }
  GradeAll(reward ? reward : GraderReward(), groups);
}

}  // namespace lorikeet
