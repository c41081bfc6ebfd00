// A `RequestParser` makes one request from the bytes of a connection, in pieces of any size, and
// refuses what is not strictly HTTP/1.x: whatever two programs on the way could read differently.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "serve/http/http_request.h"
#include "serve/http/http_server.h"

namespace lorikeet {

// A request that the transport answers by itself, with an error.
struct Refusal {
  int status = 0;  // 0: none
  std::string message;
};

class RequestParser {
 public:
  explicit RequestParser(const HttpLimits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Reads from the front of `bytes` and returns how many it needs no longer; the caller gives the
  // others again, with those that follow. 0: it needs more of them, is done or has refused.
  size_t Put(std::string_view bytes);

  bool refused() const;
  const Refusal& refusal() const;
  bool header_done() const;
  bool done() const;
  // The rest: once header_done().
  int64_t content_length() const;  // -1: chunked
  bool expects_continue() const;   // waits for "100 Continue" before it sends its body
  bool is_http_1_1() const;
  bool keep_alive() const;
  size_t body_size() const;  // what has been received of it
  // Once done(). Without the peer; the target is not decoded yet.
  HttpRequest Take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lorikeet
