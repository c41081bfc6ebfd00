// A `SamplingService` samples for many clients at once, on a thread of its own: a queue per client,
// emptied in turns, in front of one `Generator`.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "sample/generator.h"
#include "serve/engine_turns.h"

namespace lorikeet {

struct SamplingStats {
  GeneratorStats generator;
  int64_t running = 0, waiting = 0;  // sequences
  int64_t pages = 0, pages_in_use = 0;
  int64_t finished = 0, cancelled = 0, failed = 0;
  int64_t passes = 0;
  double pass_seconds = 0;  // in passes
  double busy_seconds = 0;  // in passes and between them, while there was work
};

class SamplingService {
 public:
  // Both must outlive the service. Throws as Generator's constructor.
  SamplingService(const Model& model, const GeneratorLimits& limits, EngineTurns& turns);
  ~SamplingService();  // cancels what is left
  SamplingService(const SamplingService&) = delete;
  SamplingService& operator=(const SamplingService&) = delete;

  // Queues requests of a client. Callbacks are called on the service's thread; one of on_done and
  // on_error is called for each in any case. Returns their numbers. Throws Error as
  // Generator::Check, and then nothing is queued.
  std::vector<uint64_t> Submit(const std::string& client, std::vector<GenerateRequest> requests);
  // Number of requests that begin before this one; 0: it runs, or it is done.
  int64_t PlaceOf(uint64_t number) const;
  // Ends all requests as cancelled, and waits for it. Later ones end at once.
  void Stop();

  const GeneratorLimits& limits() const { return limits_; }
  SamplingStats Stats() const;

 private:
  struct Waiting {
    uint64_t number;
    GenerateRequest request;
  };
  struct Client {
    std::deque<Waiting> waiting;
    int64_t running = 0;
  };

  void Loop();
  bool TakeRequests();  // moves waiting requests into the generator; false: nothing is to do
  bool TakeNext();
  void Watch(const std::string& client, uint64_t number, GenerateRequest& request);
  void Ended(const std::string& client, int64_t SamplingStats::*counter);
  void DropCancelled();
  void StepOnce();
  void EndAll(const Error& error);

  GeneratorLimits limits_;
  EngineTurns& turns_;
  Generator generator_;  // used by the thread alone
  // How each request in the generator is ended, by number; used by the thread alone.
  std::map<uint64_t, std::function<void(const Error&)>> in_generator_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  bool stopping_ = false;
  uint64_t next_number_ = 1;
  std::map<std::string, Client> clients_;  // those with requests
  std::string last_client_;                // whose request was taken last
  SamplingStats stats_;
  std::thread thread_;
};

}  // namespace lorikeet
