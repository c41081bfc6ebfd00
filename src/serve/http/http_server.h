// An `HttpServer` answers HTTP/1.1 requests, over TCP or TLS, from one event loop: thousands of
// connections may wait for their answers, without a thread each.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serve/http/http_request.h"

namespace lorikeet {

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";  // "": no such header
  std::string body;
  // Others than Content-Type and those of the transport: Content-Length, Transfer-Encoding,
  // Connection, Date. Control characters become blanks.
  HttpFields headers{};
};

// The answer to one request: sent whole, or begun and then written piece by piece. All calls are
// safe from any thread; after the client has closed its connection they do nothing.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  // The whole answer. Once, unless Begin was called.
  virtual void Send(HttpResponse response) = 0;
  // A streamed answer (chunked): status and headers now, `head.body` is the first piece.
  virtual void Begin(HttpResponse head) = 0;
  virtual void Write(std::string piece) = 0;
  virtual void End() = 0;
  // Number of bytes that are written and not sent yet: a slow client's.
  virtual size_t Unsent() const = 0;
  virtual bool closed() const = 0;
  // Called once when the client closes its connection (or only its sending half) before the answer
  // is complete, on the event loop's thread; if it has closed already, at once on this one. Must
  // not block. Forgotten when the answer is complete.
  virtual void OnClose(std::function<void()> callback) = 0;
};

struct HttpLimits {
  int64_t header_bytes = 64 << 10;
  int64_t header_fields = 256;
  int64_t body_bytes = int64_t{512} << 20;
  // Largest sum of the bodies that are being received or answered; more are answered with 503. A
  // body counts as far as it has been received, until its reply is destroyed.
  int64_t bodies_bytes = int64_t{2} << 30;
  int64_t connections = 4096;     // further ones are closed at once
  double header_seconds = 30;     // to receive a request's headers
  double body_seconds = 300;      // to receive its body, while bytes keep coming
  double body_idle_seconds = 30;  // between bytes of a body
  double keep_alive_seconds = 75;
  double write_seconds = 60;  // without the client taking a byte of an answer
  // Largest number of bytes of a streamed answer that wait; beyond it the connection is closed.
  int64_t unsent_bytes = 64 << 20;
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;                          // 0: any free one
  std::string tls_cert_file, tls_key_file;  // PEM; empty: plain HTTP
  HttpLimits limits{};
};

// Called on the event loop's thread, so it must not block: it hands the request to a worker and
// returns. A reply that is destroyed without an answer is answered with 500; so is a request whose
// handler throws. A streamed answer that is destroyed before End closes the connection.
using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpReply> reply)>;

class HttpServer {
 public:
  // Binds and listens. Throws Error(kIo) naming host and port, and Error for TLS files that cannot
  // be used. Raises the process's limit of open files to what limits.connections needs; where that
  // is not allowed, fewer connections are accepted.
  HttpServer(const HttpServerOptions& options, HttpHandler handler);
  ~HttpServer();  // closes everything; not from the event loop's thread
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Runs the event loop on a thread of its own. Once.
  void Start();
  int port() const;
  // Stops accepting connections and requests; answers under way go on ("Connection: close"). True
  // when all have ended within so many seconds.
  bool Drain(double seconds);

  // Numbers, from any thread: connections now; those closed at once because there were too many;
  // failed attempts to accept one (no file descriptor left, for example).
  int64_t connections() const;
  int64_t refused_connections() const;
  int64_t failed_accepts() const;
  int64_t max_connections() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lorikeet
