// libFuzzer target: any bytes as the input of a connection give whole requests, refusals or a wait
// for more, and the same ones whether they come in one piece or byte by byte. The first byte
// chooses the size of the pieces. Seeds: tests/fuzz/http_request/.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/utf8.h"
#include "serve/http/connection.h"

namespace {

using lorikeet::Connection;

struct Outcome {
  std::string requests;  // all that the handler got
  std::string answers;   // status lines
  Connection::Phase phase = Connection::Phase::kIdle;
};

void Describe(const lorikeet::HttpRequest& request, std::string* out) {
  *out += request.method + ' ' + request.target + '\n';
  for (const std::string& segment : request.path) {
    CHECK(lorikeet::IsValidUtf8(segment) && segment.find('\0') == std::string::npos);
    out->append("/").append(segment);
  }
  for (const auto* fields : {&request.query, &request.headers}) {
    for (const auto& [name, value] : *fields) {
      CHECK(value.find('\0') == std::string::npos);
      out->append(name).append(":").append(value).append("\n");
    }
  }
  *out += request.body + '\n';
}

Outcome Feed(std::string_view input, size_t piece) {
  Outcome outcome;
  lorikeet::ConnectionContext context;
  context.limits.header_bytes = 2048;
  context.limits.body_bytes = 512;
  context.limits.bodies_bytes = 400;
  context.handler = [&](const lorikeet::HttpRequest& request,
                        const std::shared_ptr<lorikeet::HttpReply>& reply) {
    Describe(request, &outcome.requests);
    if (request.body.size() % 3 == 0) return reply->Send({.body = request.body});
    reply->Begin({});
    reply->Write(request.body);
    if (request.body.size() % 3 == 1) reply->End();  // else it is broken
  };
  bool woken = false;
  Connection connection(
      context, "fuzz", [&] { woken = true; }, 0);
  const auto take = [&] {
    while (std::exchange(woken, false) || !connection.output().empty()) {
      connection.Update(0);
      const std::string_view front = connection.output().Front<1>()[0];
      outcome.answers += front.starts_with("HTTP/1.1 ") ? front.substr(0, 12) : "";
      connection.Sent(front.size(), 0);
    }
  };
  for (size_t i = 0; i < input.size() && connection.wants_input(); i += piece) {
    connection.Receive(input.substr(i, piece), 0);
    take();
  }
  outcome.phase = connection.phase();
  connection.ReceiveEnd(0);
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = Feed(input, std::max<size_t>(input.size(), 1));
  const Outcome pieces = Feed(input, 1 + data[0] % 32);
  CHECK(whole.requests == pieces.requests);
  CHECK(whole.phase == pieces.phase);
  return 0;
}
