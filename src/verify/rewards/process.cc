// Rewards from a child process that speaks JSON lines.
#include <fmt/core.h>

#include <memory>
#include <utility>

#include "core/error.h"
#include "verify/rewards/child.h"
#include "verify/rewards/function.h"
#include "verify/rewards/protocol.h"

namespace lorikeet {
namespace {

class RewardProcess {
 public:
  using Clock = ChildProcess::Clock;
  using Event = ChildProcess::Event;

  RewardProcess(std::string command, double timeout, StopRequest stop)
      : command_(std::move(command)), timeout_(timeout), stop_(std::move(stop)) {
    child_.Start(command_);
  }

  std::vector<Grade> GradeAll(std::span<const RewardRequest> requests) {
    RewardBatch batch(requests, next_id_);
    next_id_ += static_cast<int64_t>(requests.size());
    const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout_);
    std::string why, refusal;
    constexpr int kStarts = 2;
    for (int starts = 0; !batch.complete() && starts < kStarts; ++starts) {
      try {
        if (!child_.running()) child_.Start(command_);
      } catch (const Error& error) {  // no more processes or memory, for now
        why = error.what();
        break;
      }
      const Event event = Attempt(batch, deadline);
      if (event == Event::kTimeout || event == Event::kStopped) {
        why = event == Event::kStopped ? "the run was stopped"
                                       : fmt::format("no reply within {} s", timeout_.count());
        refusal.clear();
        child_.Stop(kLatePatience);  // the next batch must not wait for the rest of this one
        break;
      }
      if (event == Event::kEnded) {
        why = fmt::format("the reward command ended ({})", child_.Stop(kLatePatience));
        refusal = why;
      }
    }
    return batch.Finish(why, refusal);
  }

 private:
  static constexpr std::chrono::milliseconds kLatePatience{100};

  Event Attempt(RewardBatch& batch, Clock::time_point deadline) {
    std::string text;
    for (const std::string& request : batch.Unanswered()) text += request + "\n";
    return child_.Exchange(
        text,
        [&](std::string_view line) {
          batch.Take(line);
          return !batch.complete();
        },
        deadline, stop_);
  }

  std::string command_;
  std::chrono::duration<double> timeout_;
  StopRequest stop_;
  ChildProcess child_;
  int64_t next_id_ = 1;
};

}  // namespace

RewardFunction ProcessReward(const std::string& command, double timeout, const StopRequest& stop) {
  auto process = std::make_shared<RewardProcess>(command, timeout, stop);
  return [process](std::span<const RewardRequest> requests) { return process->GradeAll(requests); };
}

}  // namespace lorikeet
