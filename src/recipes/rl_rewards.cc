#include "recipes/rl_rewards.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "core/error.h"
#include "core/signals.h"
#include "core/suggest.h"
#include "verify/rewards/mix.h"

namespace lorikeet {
namespace {

// A name that --rewards may have.
struct RewardSource {
  std::string name;
  std::string option;  // that gave it; empty: it is always there
  std::function<RewardFunction()> make;
};

std::vector<RewardSource> SourcesOf(const RlOptions& options) {
  std::vector<RewardSource> sources;
  const double timeout = options.reward_timeout;
  const auto add = [&](const char* name, const char* option, const std::vector<std::string>& given,
                       RewardFunction (*make)(const std::string&, double, const StopRequest&)) {
    for (size_t i = 0; i < given.size(); ++i) {
      sources.push_back(
          {i == 0 ? name : fmt::format("{}{}", name, i + 1), option,
           [make, text = given[i], timeout] { return make(text, timeout, StopRequested); }});
    }
  };
  add("command", "--reward-command", options.reward_command, ProcessReward);
  add("url", "--reward-url", options.reward_url, HttpReward);
  sources.push_back({kGraderPart, "", GraderReward});
  sources.push_back({"think_format", "", ThinkFormatReward});
  return sources;
}

// "command3" where two commands were given.
void RefuseNumber(const std::vector<RewardSource>& sources, const std::string& name,
                  std::string_view kind, std::string_view option) {
  if (!name.starts_with(kind)) return;
  const auto given = std::count_if(sources.begin(), sources.end(),
                                   [option](const RewardSource& s) { return s.option == option; });
  Fail(ErrorCode::kInvalidArgument,
       "rewards: '{}' stands for nothing: {} was given {} times; the first is {}, the second {}2",
       name, option, given, kind, kind);
}

const RewardSource& GetSource(const std::vector<RewardSource>& sources, const std::string& name) {
  std::vector<std::string> names;
  for (const RewardSource& source : sources) {
    if (source.name == name) return source;
    names.push_back(source.name);
  }
  RefuseNumber(sources, name, "command", "--reward-command");
  RefuseNumber(sources, name, "url", "--reward-url");
  Fail(ErrorCode::kInvalidArgument, "rewards: no reward '{}'{}; there are {}", name,
       DidYouMean(name, names), fmt::join(names, ", "));
}

bool Names(const std::vector<RewardWeight>& parts, const std::string& name) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const RewardWeight& part) { return part.name == name; });
}

}  // namespace

void ResolveRewards(RlOptions& options) {
  const std::vector<RewardSource> sources = SourcesOf(options);
  const std::vector<RewardWeight> parts = ParseRewardWeights(options.rl().rewards);
  for (const RewardWeight& part : parts) GetSource(sources, part.name);
  for (const RewardSource& source : sources) {
    if (source.option.empty()) continue;
    if (parts.empty()) {
      options.rl().rewards.push_back(source.name);
    } else if (!Names(parts, source.name)) {
      Fail(ErrorCode::kInvalidArgument,
           "rewards: '{}' is not among them, but {} gives it; add it, or leave {} out", source.name,
           source.option, source.option);
    }
  }
  if (options.rl().rewards.empty()) options.rl().rewards = {kGraderPart};
}

bool GraderCounts(const RlOptions& options) {
  const std::vector<RewardWeight> parts = ParseRewardWeights(options.rl().rewards);
  return std::any_of(parts.begin(), parts.end(), [](const RewardWeight& part) {
    return part.name == kGraderPart && part.weight != 0;
  });
}

RewardFunction MakeReward(const RlOptions& options) {
  const std::vector<RewardSource> sources = SourcesOf(options);
  std::vector<WeightedReward> parts;
  for (RewardWeight& part : ParseRewardWeights(options.rl().rewards)) {
    const RewardSource& source = GetSource(sources, part.name);
    parts.push_back({std::move(part), source.make(), !source.option.empty()});
  }
  // A single one is the reward itself and has no parts to tell apart.
  if (parts.size() == 1 && parts[0].part.weight == 1) return parts[0].reward;
  return MixRewards(std::move(parts));
}

}  // namespace lorikeet
