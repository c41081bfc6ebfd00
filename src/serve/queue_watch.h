// A `QueueWatch` tells clients of streams that wait in the queue their place, which also keeps
// their connections from timing out.
#pragma once
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "serve/generation_call.h"
#include "serve/http/http_server.h"
#include "serve/sampling_service.h"

namespace lorikeet {

class QueueWatch {
 public:
  explicit QueueWatch(const SamplingService& service);  // which must outlive it
  ~QueueWatch();
  QueueWatch(const QueueWatch&) = delete;
  QueueWatch& operator=(const QueueWatch&) = delete;

  // Watches a streamed call until it runs or is over. Thread-safe.
  void Add(const std::shared_ptr<GenerationCall>& call, const std::shared_ptr<HttpReply>& reply);

 private:
  struct Watched {
    std::weak_ptr<GenerationCall> call;
    std::weak_ptr<HttpReply> reply;
  };

  void Loop();
  bool Tell(const Watched& watched) const;  // false when the call runs, or is over

  const SamplingService& service_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::list<Watched> watched_;
  std::thread thread_;
};

}  // namespace lorikeet
