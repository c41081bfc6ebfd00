// An `Answer` is the place where a handler's reply, on any thread, and the connection, on the event
// loop's, meet: what is written on one side is taken from the other.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "serve/http/http_server.h"
#include "serve/http/output_queue.h"
#include "serve/http/response_text.h"

namespace lorikeet {

// Properties of the request that decide the form of its answer.
struct AnswerKind {
  bool without_body = false;  // HEAD
  bool http_1_1 = true;       // may be chunked
  bool keep_alive = true;
  int64_t unsent_bytes = 0;  // largest number of bytes of a streamed answer that wait
};

class Answer {
 public:
  // `wake` is called, from any thread, when there is something to take. Not after Close.
  Answer(const AnswerKind& kind, std::function<void()> wake)
      : kind_(kind), wake_(std::move(wake)) {}

  // The connection's side.
  struct Progress {
    bool complete = false;  // nothing follows
    bool broken = false;    // the connection must be closed: the client can see no end
  };
  Progress Take(OutputQueue* out);
  void Sent(size_t bytes);
  // The head, if it is not written yet, says that the connection will be closed.
  void CloseAfter();
  bool keep_alive() const;
  // The connection is closed: later calls of the other side do nothing.
  void Close();

  // The handler's side: see HttpReply.
  void Send(HttpResponse response);
  void Begin(HttpResponse head);
  void Write(std::string piece);
  void End();
  void Abandon();  // the reply was destroyed
  size_t Unsent() const;
  bool closed() const;
  void OnClose(std::function<void()> callback);

 private:
  // All of these with mutex_ held.
  void PutHead(const HttpResponse& head, BodyFraming framing);
  void PutPiece(std::string piece);
  void Complete(std::function<void()>* forgotten);
  void Wake();

  mutable std::mutex mutex_;
  AnswerKind kind_;
  std::function<void()> wake_, on_close_;
  OutputQueue out_;
  BodyFraming framing_ = BodyFraming::kLength;
  size_t unsent_ = 0;
  bool begun_ = false, complete_ = false, broken_ = false, closed_ = false;
  bool silent_ = false;  // no body
  bool woken_ = false;   // since the last Take
};

// The bytes of bodies that are in memory, counted while they live.
class BodyBytes {
 public:
  explicit BodyBytes(std::shared_ptr<std::atomic<int64_t>> sum) : sum_(std::move(sum)) {}
  ~BodyBytes() { *sum_ -= bytes_; }
  BodyBytes(const BodyBytes&) = delete;
  BodyBytes& operator=(const BodyBytes&) = delete;
  // Counts `bytes` in all instead of those before. Returns the sum over all bodies.
  int64_t Set(int64_t bytes) {
    const int64_t more = bytes - std::exchange(bytes_, bytes);
    return sum_->fetch_add(more) + more;
  }

 private:
  std::shared_ptr<std::atomic<int64_t>> sum_;
  int64_t bytes_ = 0;
};

// The reply that a handler holds.
std::shared_ptr<HttpReply> MakeReply(std::shared_ptr<Answer> answer,
                                     std::unique_ptr<BodyBytes> body);

}  // namespace lorikeet
