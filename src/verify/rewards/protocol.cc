#include "verify/rewards/protocol.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"

namespace lorikeet {
namespace {

OrderedJson MessageJson(const Message& message) {
  OrderedJson json = {{"role", message.role}};
  if (message.has_content) json["content"] = message.content;
  if (message.fields.is_object()) json.update(message.fields);
  return json;
}

// The id in a line that is not JSON: Python writes {"id": 7, "reward": NaN}.
std::optional<int64_t> IdIn(std::string_view text) {
  constexpr std::string_view kKey = "\"id\"";
  const size_t key = text.find(kKey);
  if (key == std::string_view::npos) return std::nullopt;
  const size_t at = text.find_first_not_of(" \t:", key + kKey.size());
  if (at == std::string_view::npos) return std::nullopt;
  int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
  if (error != std::errc()) return std::nullopt;
  return id;
}

// One line, which cannot pass for another one of a transcript.
std::string ReasonOf(const Json& reply, std::string otherwise) {
  const auto reason = reply.find("reason");
  if (reason == reply.end() || !reason->is_string()) return otherwise;
  constexpr size_t kMaxReason = 2000;
  const auto& text = reason->get_ref<const std::string&>();
  return WithoutControls(std::string_view(text).substr(0, kMaxReason)) +
         (text.size() > kMaxReason ? "..." : "");
}

Grade Refused(std::string reason, std::string refusal) {
  Grade grade = Grade::Invalid(std::move(reason));
  grade.refusal = std::move(refusal);
  return grade;
}

// Why a reply's reward cannot be used; empty if it can.
std::string WhatIsWrong(const Json& reply) {
  const auto reward = reply.find("reward");
  if (reward == reply.end()) return "it has no reward";
  if (reward->is_boolean()) return "";
  if (reward->is_string()) return "its reward is text, not a number";
  if (!reward->is_number())
    return fmt::format("its reward is {}, not a number", reward->type_name());
  const auto value = reward->get<double>();
  if (!std::isfinite(value)) return "its reward is not finite";
  if (std::abs(value) > kMaxReward) {
    return fmt::format("its reward is beyond {:g} in size", kMaxReward);
  }
  return "";
}

Grade GradeOf(const Json& reply, std::string_view text) {
  const auto invalid = reply.find("invalid");
  if (invalid != reply.end() && invalid->is_boolean() && invalid->get<bool>()) {
    return Grade::Invalid(ReasonOf(reply, "the reward says that it is invalid"));
  }
  if (const std::string wrong = WhatIsWrong(reply); !wrong.empty()) {
    return Refused(fmt::format("a reply without a finite reward, {}: {}", wrong, Quoted(text)),
                   wrong);
  }
  const Json& reward = reply.at("reward");
  const auto value = reward.is_boolean() ? (reward.get<bool>() ? 1.0 : 0.0) : reward.get<double>();
  const auto correct = reply.find("correct");
  const bool right =
      correct != reply.end() && correct->is_boolean() ? correct->get<bool>() : value > 0;
  return {right ? Verdict::kCorrect : Verdict::kWrong, value, ReasonOf(reply, "")};
}

std::string Dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace

std::string RewardRequestJson(int64_t id, const RewardRequest& request) {
  const Problem& problem = *request.problem;
  OrderedJson messages = OrderedJson::array();
  for (const Message& message : problem.messages) messages.push_back(MessageJson(message));
  return Dump({{"id", id},
               {"task", problem.task},
               {"problem", problem.id},
               {"prompt", request.prompt},
               {"messages", std::move(messages)},
               {"completion", request.completion},
               {"answer", problem.answer},
               {"data", OrderedJson(problem.data)}});
}

RewardBatch::RewardBatch(std::span<const RewardRequest> requests, int64_t first_id)
    : requests_(requests),
      first_id_(first_id),
      grades_(requests.size()),
      unanswered_(requests.size()) {}

std::vector<std::string> RewardBatch::Unanswered() const {
  std::vector<std::string> texts;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (grades_[i]) continue;
    texts.push_back(RewardRequestJson(first_id_ + static_cast<int64_t>(i), requests_[i]));
  }
  return texts;
}

void RewardBatch::Take(std::string_view text) {
  text = Trimmed(text);
  if (text.empty()) return;
  try {
    TakeJson(ParseJson(text, "reply"), text);
  } catch (const Error&) {
    const std::optional<int64_t> id = IdIn(text);
    if (!id) return Reject(text);
    Put(*id, Refused(fmt::format("a reply that is not JSON: {}", Quoted(text)), "it is not JSON"),
        text);
  }
}

void RewardBatch::TakeEach(std::string_view array) {
  try {
    const Json replies = ParseJson(array, "reply");
    if (!replies.is_array()) return Reject(array);
    for (const Json& reply : replies) {
      TakeJson(reply, reply.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
  } catch (const Error&) {
    Reject(array);
  }
}

void RewardBatch::TakeJson(const Json& reply, std::string_view text) {
  const auto id = reply.is_object() ? reply.find("id") : reply.end();
  if (id == reply.end() || !id->is_number_integer()) return Reject(text);
  Put(id->get<int64_t>(), GradeOf(reply, text), text);
}

void RewardBatch::Put(int64_t id, Grade grade, std::string_view text) {
  if (id < first_id_ || id - first_id_ >= static_cast<int64_t>(grades_.size())) {
    return Reject(text);
  }
  std::optional<Grade>& place = grades_[static_cast<size_t>(id - first_id_)];
  if (place) return;
  place = std::move(grade);
  --unanswered_;
}

void RewardBatch::Reject(std::string_view text) {
  rejected_ = fmt::format("; the last reply that belongs to no request: {}", Quoted(text));
}

std::vector<Grade> RewardBatch::Finish(const std::string& why, const std::string& refusal) {
  std::vector<Grade> grades;
  for (std::optional<Grade>& grade : grades_) {
    grades.push_back(grade ? std::move(*grade) : Refused(why + rejected_, refusal));
  }
  return grades;
}

}  // namespace lorikeet
