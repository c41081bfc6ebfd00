#include "serve/engine_turns.h"

#include <algorithm>

#include "core/check.h"

namespace lorikeet {

void EngineTurns::Settle() {
  const double now = Clock(), seconds = now - turn_began_;
  turn_began_ = now;
  if (holder_ == Holder::kSampling) {
    times_.sampling += seconds;
    sampling_used_ += seconds / (1 - limits_.training_share);
  } else if (holder_ == Holder::kTraining) {
    times_.training += seconds;
    training_used_ += seconds / limits_.training_share;
  }
}

void EngineTurns::Give(Holder next) {
  Settle();
  holder_ = next;
  if (next == Holder::kTraining && !pass_open_) {
    training_ticket_ = queue_.front();
    queue_.pop_front();
  }
  changed_.notify_all();
}

void EngineTurns::WaitForSampling(Lock& lock) {
  sampling_waits_ = true;
  sampling_waits_since_ = Clock();
  changed_.wait(lock, [this] { return holder_ == Holder::kSampling; });
  sampling_waits_ = false;
  turn_began_ = Clock();
  times_.longest_wait = std::max(times_.longest_wait, turn_began_ - sampling_waits_since_);
}

EngineTurns::Sampling::Sampling(EngineTurns& turns) : turns_(turns) {
  Lock lock(turns.mutex_);
  CHECK(!turns.sampling_waits_ && turns.holder_ != Holder::kSampling);
  // From here on the times of both count: what one did while the other had no work does not.
  turns.Settle();
  turns.sampling_used_ = std::max(turns.sampling_used_, turns.training_used_);
  if (turns.holder_ == Holder::kNone) {
    turns.holder_ = Holder::kSampling;
    turns.turn_began_ = turns.Clock();
    return;
  }
  turns.WaitForSampling(lock);
}

EngineTurns::Sampling::~Sampling() {
  const Lock lock(turns_.mutex_);
  turns_.Give(turns_.TrainingWaits() ? Holder::kTraining : Holder::kNone);
}

void EngineTurns::Sampling::BetweenPasses() {
  Lock lock(turns_.mutex_);
  turns_.Settle();
  if (!turns_.TrainingWaits() || turns_.sampling_used_ <= turns_.training_used_) return;
  turns_.Give(Holder::kTraining);
  turns_.WaitForSampling(lock);
}

EngineTurns::Training::Training(EngineTurns& turns)
    : turns_(turns), scope_([this](Yield kind) { turns_.AtYieldPoint(kind, ticket_); }) {
  Lock lock(turns.mutex_);
  ticket_ = turns.next_ticket_++;
  if (turns.holder_ != Holder::kTraining && !turns.TrainingWaits()) {
    // The first to train: what sampling used alone does not count.
    turns.Settle();
    turns.training_used_ = std::max(turns.training_used_, turns.sampling_used_);
  }
  if (turns.holder_ == Holder::kNone) {
    turns.holder_ = Holder::kTraining;
    turns.training_ticket_ = ticket_;
    turns.turn_began_ = turns.Clock();
    return;
  }
  turns.queue_.push_back(ticket_);
  turns.WaitForTraining(lock, ticket_);
}

EngineTurns::Training::~Training() {
  const Lock lock(turns_.mutex_);
  turns_.GiveAfterTraining();
}

void EngineTurns::GiveAfterTraining() {
  if (sampling_waits_ && (queue_.empty() || SamplingIsDue())) {
    Give(Holder::kSampling);
  } else {
    Give(queue_.empty() ? Holder::kNone : Holder::kTraining);
  }
}

bool EngineTurns::SamplingIsDue() {
  Settle();
  return training_used_ >= sampling_used_ ||
         Clock() - sampling_waits_since_ >= limits_.training_seconds;
}

void EngineTurns::WaitForTraining(Lock& lock, uint64_t ticket) {
  changed_.wait(
      lock, [this, ticket] { return holder_ == Holder::kTraining && training_ticket_ == ticket; });
  turn_began_ = Clock();
}

void EngineTurns::AtYieldPoint(Yield kind, uint64_t ticket) {
  Lock lock(mutex_);
  if (kind == Yield::kMicroBatch && !queue_.empty()) {
    queue_.push_back(ticket);
    GiveAfterTraining();
    WaitForTraining(lock, ticket);
  } else if (sampling_waits_ && SamplingIsDue()) {
    pass_open_ = true;
    ++times_.handovers;
    Give(Holder::kSampling);
    WaitForTraining(lock, ticket);
    pass_open_ = false;
  }
}

TurnTimes EngineTurns::Times() const {
  const Lock lock(mutex_);
  return times_;
}

}  // namespace lorikeet
