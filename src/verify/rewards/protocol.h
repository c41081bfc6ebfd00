// The JSON of requests for external rewards and of replies, for pipes and HTTP alike.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/rewards/function.h"

namespace lorikeet {

// {"id", "task", "problem", "prompt", "messages", "completion", "answer", "data"}, one line.
std::string RewardRequestJson(int64_t id, const RewardRequest& request);

// The largest size of a reward: far above any that is meant, and far below those whose gradients
// are not finite.
inline constexpr double kMaxReward = 1e12;

// The requests of a batch and the grades received for them.
class RewardBatch {
 public:
  // Ids are first_id, first_id + 1, ...
  RewardBatch(std::span<const RewardRequest> requests, int64_t first_id);

  bool complete() const { return unanswered_ == 0; }
  // The JSON of every request without a grade.
  std::vector<std::string> Unanswered() const;

  // {"id", "reward", "correct"?, "reason"?} or {"id", "invalid": true, "reason"?}. true and false
  // are rewards of 1 and 0. A reply with the id of a request but without a valid reward (NaN, text,
  // none, beyond kMaxReward) makes that request invalid, with a Grade::refusal; any other
  // text is kept as the reason why requests have no reply. The first reply to a request counts.
  void Take(std::string_view text);
  void TakeEach(std::string_view array);  // a JSON array of them

  // All grades. Missing ones are invalid, with `why` and the last invalid reply as the reason.
  // refusal: theirs.
  std::vector<Grade> Finish(const std::string& why, const std::string& refusal = {});

 private:
  void TakeJson(const Json& reply, std::string_view text);
  void Put(int64_t id, Grade grade, std::string_view text);
  void Reject(std::string_view text);

  std::span<const RewardRequest> requests_;
  int64_t first_id_;
  std::vector<std::optional<Grade>> grades_;
  size_t unanswered_;
  std::string rejected_;
};

}  // namespace lorikeet
