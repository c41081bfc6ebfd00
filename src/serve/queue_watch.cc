#include "serve/queue_watch.h"

#include <chrono>
#include <string>

#include "serve/http/server_sent_events.h"

namespace lorikeet {

QueueWatch::QueueWatch(const SamplingService& service)
    : service_(service), thread_([this] { Loop(); }) {}

QueueWatch::~QueueWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void QueueWatch::Add(const std::shared_ptr<GenerationCall>& call,
                     const std::shared_ptr<HttpReply>& reply) {
  const std::lock_guard lock(mutex_);
  watched_.push_back({call, reply});
}

void QueueWatch::Loop() {
  constexpr auto kPeriod = std::chrono::seconds(5);
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kPeriod, [this] { return stopping_; })) {
    watched_.remove_if([this](const Watched& each) { return !Tell(each); });
  }
}

bool QueueWatch::Tell(const Watched& watched) const {
  const auto call = watched.call.lock();
  const auto reply = watched.reply.lock();
  if (call == nullptr || reply == nullptr || reply->closed()) return false;
  const int64_t place = call->Place(service_);
  if (place == 0) return false;
  reply->Write(EventComment("place " + std::to_string(place) + " in the queue"));
  return true;
}

}  // namespace lorikeet
