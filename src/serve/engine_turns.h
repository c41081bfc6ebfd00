// `EngineTurns` decides who computes: the thread that samples, or one of the threads that train.
// One thread has the turn at a time. Training gives it up at yield points (core/yield.h), between
// two layers if need be, so that sampling waits for a fraction of a second and not for a step.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

#include "core/clock.h"
#include "core/yield.h"

namespace lorikeet {

struct TurnLimits {
  double training_share = 0.5;     // while both sampling and training have work
  double training_seconds = 0.25;  // max time of a turn of training while sampling waits
};

struct TurnTimes {
  double sampling = 0, training = 0;  // seconds of finished turns
  int64_t handovers = 0;              // times that training gave its turn to sampling
  double longest_wait = 0;            // seconds that sampling waited for a turn of training
};

class EngineTurns {
 public:
  explicit EngineTurns(const TurnLimits& limits, double (*clock)() = Now)
      : limits_(limits), clock_(clock) {}

  // The work of the sampling thread: has the turn for the scope's lifetime, but for what it gives
  // up between two passes.
  class Sampling {
   public:
    explicit Sampling(EngineTurns& turns);  // waits for the turn
    ~Sampling();
    Sampling(const Sampling&) = delete;
    Sampling& operator=(const Sampling&) = delete;
    void
    BetweenPasses();  // lets training go first if it is due, and waits until it has had its turn

   private:
    EngineTurns& turns_;
  };

  // The work of a training thread: has the turn for the scope's lifetime, but for what it gives up
  // at the thread's yield points. Several such threads take turns, in order of arrival, between two
  // passes only: they may share a workspace.
  class Training {
   public:
    explicit Training(EngineTurns& turns);
    ~Training();
    Training(const Training&) = delete;
    Training& operator=(const Training&) = delete;

   private:
    EngineTurns& turns_;
    uint64_t ticket_;
    YieldScope scope_;
  };

  TurnTimes Times() const;

 private:
  enum class Holder : uint8_t { kNone, kSampling, kTraining };
  using Lock = std::unique_lock<std::mutex>;

  // All with the mutex held.
  double Clock() const { return clock_(); }
  void Settle();           // adds the time of the current turn to its holder's
  void Give(Holder next);  // ends the holder's turn; kTraining: to the thread that is next
  void GiveAfterTraining();
  bool TrainingWaits() const { return pass_open_ || !queue_.empty(); }
  bool SamplingIsDue();
  void WaitForSampling(Lock& lock);
  void WaitForTraining(Lock& lock, uint64_t ticket);
  void AtYieldPoint(Yield kind, uint64_t ticket);

  const TurnLimits limits_;
  double (*const clock_)();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Holder holder_ = Holder::kNone;
  bool sampling_waits_ = false;
  bool pass_open_ = false;        // the thread of training_ticket_ goes on after sampling's turn
  uint64_t training_ticket_ = 0;  // the thread that trains, if holder_ is kTraining
  std::deque<uint64_t> queue_;    // tickets of training threads that wait between passes
  uint64_t next_ticket_ = 1;
  double turn_began_ = 0;  // or was added to its holder's time
  double sampling_waits_since_ = 0;
  // Seconds divided by the share of each: the one with less of it goes first.
  double sampling_used_ = 0, training_used_ = 0;
  TurnTimes times_;
};

}  // namespace lorikeet
