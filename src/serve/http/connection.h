// A `Connection` is the protocol of one client's connection without its socket: bytes that came go
// in, requests go to the handler, bytes to send come out, and time passes by calls. It belongs to
// the event loop's thread.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "serve/http/answer.h"
#include "serve/http/http_server.h"
#include "serve/http/output_queue.h"
#include "serve/http/request_parser.h"

namespace lorikeet {

// What the connections of a server share.
struct ConnectionContext {
  HttpLimits limits;
  HttpHandler handler;
  // Sum of the bodies in memory. Replies may live longer than the server.
  std::shared_ptr<std::atomic<int64_t>> body_bytes = std::make_shared<std::atomic<int64_t>>(0);
};

class Connection {
 public:
  enum class Phase : uint8_t {
    kIdle,       // before the first byte of a request
    kHeader,     // in its headers
    kBody,       // in its body
    kAnswering,  // until the last byte of its answer is sent
    // The last answer of the connection is written. When output() is empty, the sending half is
    // closed; what still comes is discarded until the client closes, for a while: closing at once
    // would make its system discard the answer together with what it has not read yet.
    kLingering,
    kClosed,
  };

  // `context` outlives the connection. `wake` is called from any thread when Update is to be
  // called. Times are those of Now() (core/clock.h), in seconds.
  Connection(const ConnectionContext& context, std::string peer, std::function<void()> wake,
             double now);
  ~Connection() { Close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Bytes that came. Not after ReceiveEnd.
  void Receive(std::string_view bytes, double now);
  // The client has closed its sending half. With an answer pending that counts as a close: most
  // clients that do so are gone, and the others cannot be told from them.
  void ReceiveEnd(double now);
  // Takes what replies have written.
  void Update(double now);
  // The first n bytes of output() are sent.
  void Sent(size_t n, double now);
  // To be called now and then: gives up a client that is too slow.
  void CheckTime(double now);
  // No further request: closes at once, or after the answer that is pending.
  void Drain(double now);
  // The connection is lost, or the server ends.
  void Close();

  const OutputQueue& output() const { return output_; }
  Phase phase() const { return phase_; }
  // Whether more bytes should be read: not while many wait that follow a pending request.
  bool wants_input() const;
  // Whether a request is being received or answered, so that a draining server waits.
  bool busy() const { return phase_ != Phase::kLingering && phase_ != Phase::kClosed; }

 private:
  void ParseInput(double now);
  size_t Parse(std::string_view bytes, double now);
  size_t ParseSome(std::string_view bytes, double now);
  bool BodiesFit();
  void BeginBody(bool body_follows, double now);
  void Dispatch();
  void FinishAnswer(double now);
  void Refuse(int status, std::string_view message, double now);
  void Put(std::string text, double now);
  void Enter(Phase phase, double now);

  const ConnectionContext& context_;
  std::string peer_;
  std::function<void()> wake_;
  Phase phase_ = Phase::kIdle;
  bool first_ = true;  // no request was received yet
  bool draining_ = false;
  bool ended_ = false;       // by the client
  bool complete_ = false;    // all of the answer is in output_
  double phase_begin_;       // of kLingering: since output_ is empty
  double last_progress_;     // a byte came (kBody), or output_ was empty or became shorter
  size_t other_output_ = 0;  // bytes at the front of output_ that are not the answer's
  std::string input_;        // bytes that are not parsed yet
  OutputQueue output_;
  std::unique_ptr<RequestParser> parser_;  // kHeader and kBody
  std::unique_ptr<BodyBytes> body_bytes_;  // kBody
  std::shared_ptr<Answer> answer_;         // kAnswering
};

}  // namespace lorikeet
