#include "serve/sampling_service.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"
#include "core/parallel.h"

namespace lorikeet {
namespace {

// A client may have this share of the places, so that another's single request finds one.
int64_t MostOfOneClient(int64_t slots) { return std::max<int64_t>(slots - slots / 4, 1); }

bool Cancelled(const GenerateRequest& request) {
  return request.cancelled != nullptr && request.cancelled->load();
}

void EndCancelled(GenerateRequest& request) {
  Generation ended;
  ended.reason = StopReason::kCallback;
  ended.prompt_tokens = std::ssize(request.prompt);
  if (request.on_done) request.on_done(std::move(ended));
}

}  // namespace

SamplingService::SamplingService(const Model& model, const GeneratorLimits& limits,
                                 EngineTurns& turns)
    : turns_(turns), generator_(model, limits) {
  limits_ = generator_.limits();
  stats_.pages = limits_.pages;
  // The number of threads to compute with is a setting of each thread.
  thread_ = std::thread([this, threads = NumThreads()] {
    SetNumThreads(threads);
    Loop();
  });
}

SamplingService::~SamplingService() { Stop(); }

void SamplingService::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::vector<uint64_t> SamplingService::Submit(const std::string& client,
                                              std::vector<GenerateRequest> requests) {
  for (const GenerateRequest& request : requests) generator_.Check(request);
  const std::lock_guard lock(mutex_);
  if (stopping_) Fail(ErrorCode::kIo, "the server is stopping");
  std::vector<uint64_t> numbers;
  for (GenerateRequest& request : requests) {
    numbers.push_back(next_number_++);
    clients_[client].waiting.push_back({numbers.back(), std::move(request)});
  }
  stats_.waiting += std::ssize(numbers);
  work_.notify_all();
  return numbers;
}

int64_t SamplingService::PlaceOf(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, client] : clients_) {
    for (size_t i = 0; i < client.waiting.size(); ++i) {
      if (client.waiting[i].number != number) continue;
      int64_t before = 0;
      for (const auto& [other_name, other] : clients_) {
        before += &other == &client ? static_cast<int64_t>(i)
                                    : static_cast<int64_t>(std::min(other.waiting.size(), i + 1));
      }
      return before + 1;
    }
  }
  return 0;
}

SamplingStats SamplingService::Stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void SamplingService::Loop() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return stopping_ || stats_.waiting > 0; });
      if (stopping_) break;
    }
    const double begin = Now();
    EngineTurns::Sampling turn(turns_);
    while (TakeRequests()) {
      StepOnce();
      turn.BetweenPasses();
    }
    const std::lock_guard lock(mutex_);
    stats_.busy_seconds += Now() - begin;
  }
  EndAll(Error(ErrorCode::kIo, "the server is stopping"));
}

bool SamplingService::TakeRequests() {
  DropCancelled();
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  // One more than may run: the generator's own queue holds who waits for pages or for a prefix.
  while (generator_.num_running() + generator_.num_waiting() < limits_.slots && TakeNext()) {
  }
  stats_.running = generator_.num_running() + generator_.num_waiting();
  return stats_.running > 0;
}

// The next client after the last one, in order of their names, that has a request and a place.
bool SamplingService::TakeNext() {
  auto it = clients_.upper_bound(last_client_);
  for (size_t i = 0; i < clients_.size(); ++i, ++it) {
    if (it == clients_.end()) it = clients_.begin();
    Client& client = it->second;
    if (client.waiting.empty() || client.running >= MostOfOneClient(limits_.slots)) continue;
    last_client_ = it->first;
    Waiting next = std::move(client.waiting.front());
    client.waiting.pop_front();
    --stats_.waiting;
    ++client.running;
    Watch(it->first, next.number, next.request);
    generator_.Submit(std::move(next.request));
    return true;
  }
  return false;
}

// Counts the request's end, and lets every request end in one of two ways.
void SamplingService::Watch(const std::string& client, uint64_t number, GenerateRequest& request) {
  const auto fail = [this, client, number,
                     on_error = std::move(request.on_error)](const Error& error) {
    Ended(client, &SamplingStats::failed);
    if (on_error) on_error(error);
    in_generator_.erase(number);
  };
  in_generator_[number] = fail;
  request.on_error = fail;
  request.on_done = [this, client, number, on_done = std::move(request.on_done)](Generation&& g) {
    Ended(client,
          g.reason == StopReason::kCallback ? &SamplingStats::cancelled : &SamplingStats::finished);
    if (on_done) on_done(std::move(g));
    in_generator_.erase(number);
  };
}

void SamplingService::Ended(const std::string& client, int64_t SamplingStats::*counter) {
  const std::lock_guard lock(mutex_);
  ++(stats_.*counter);
  const auto found = clients_.find(client);
  --found->second.running;
  if (found->second.running == 0 && found->second.waiting.empty()) clients_.erase(found);
}

void SamplingService::DropCancelled() {
  std::deque<Waiting> dropped;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = clients_.begin(); it != clients_.end();) {
      std::deque<Waiting> kept;
      for (Waiting& each : it->second.waiting) {
        (Cancelled(each.request) ? dropped : kept).push_back(std::move(each));
      }
      it->second.waiting = std::move(kept);
      it = it->second.waiting.empty() && it->second.running == 0 ? clients_.erase(it) : ++it;
    }
    stats_.waiting -= std::ssize(dropped);
    stats_.cancelled += std::ssize(dropped);
  }
  for (Waiting& each : dropped) EndCancelled(each.request);
}

void SamplingService::StepOnce() {
  const double begin = Now();
  try {
    generator_.Step();
  } catch (const Error& error) {
    generator_.Cancel();
    EndAll(error);
  }
  const std::lock_guard lock(mutex_);
  ++stats_.passes;
  stats_.pass_seconds += Now() - begin;
  stats_.generator = generator_.stats();
  stats_.pages_in_use = generator_.PagesInUse();
}

void SamplingService::EndAll(const Error& error) {
  generator_.Cancel();
  while (!in_generator_.empty()) {
    const auto end = in_generator_.begin()->second;
    end(error);
  }
  std::map<std::string, Client> left;
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) return;
    left.swap(clients_);
    stats_.waiting = stats_.running = 0;
  }
  for (auto& [name, client] : left) {
    for (Waiting& each : client.waiting) {
      if (each.request.on_error) each.request.on_error(error);
    }
  }
}

}  // namespace lorikeet
