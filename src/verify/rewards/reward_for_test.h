// Requests for the tests of external rewards.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "verify/rewards/function.h"

namespace lorikeet {

class RewardRequests {
 public:
  explicit RewardRequests(int count, std::string completion = "four")
      : completion_(std::move(completion)) {
    problem_.task = "sums";
    problem_.id = "sums.jsonl:1";
    problem_.messages = {{.role = "user", .content = "2+2?"}};
    problem_.answer = "4";
    problem_.data = {{"level", 3}};
    for (int i = 0; i < count; ++i) {
      requests_.push_back({.problem = &problem_, .prompt = "2+2?", .completion = completion_});
    }
  }
  RewardRequests(const RewardRequests&) = delete;
  RewardRequests& operator=(const RewardRequests&) = delete;
  std::span<const RewardRequest> all() const { return requests_; }

 private:
  Problem problem_;
  std::string completion_;
  std::vector<RewardRequest> requests_;
};

}  // namespace lorikeet
