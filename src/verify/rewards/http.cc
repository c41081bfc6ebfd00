// Rewards from a server: a batch is one POST.
#include <fmt/core.h>
#include <httplib.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "core/error.h"
#include "verify/rewards/function.h"
#include "verify/rewards/protocol.h"

namespace lorikeet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTries = 4;
constexpr std::chrono::milliseconds kFirstPause{250};  // doubled each time
constexpr size_t kMaxBody = size_t{256} << 20;         // bytes of a response
constexpr int kTooManyRequests = 429, kServerErrors = 500;

struct Url {
  std::string server;  // "http://host:port"
  std::string path;    // "/grade?x=1"
};

Url ParseUrl(const std::string& url) {
  const size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  const size_t slash = std::min(url.find_first_of("/?", scheme), url.size());
  const std::string host = url.substr(scheme, slash - scheme);
  const size_t colon = host.rfind(':');
  int port = 1;
  if (colon != std::string::npos && host.find(']', colon) == std::string::npos) {
    const auto [end, error] =
        std::from_chars(host.data() + colon + 1, host.data() + host.size(), port);
    if (error != std::errc() || end != host.data() + host.size()) port = 0;
  }
  constexpr int kLastPort = 65535;
  if (scheme == 0 || host.empty() || colon == 0 || port < 1 || port > kLastPort ||
      host.find_first_of("@ #") != std::string::npos) {
    Fail(ErrorCode::kInvalidArgument,
         "reward URL {}: give http://HOST:PORT/PATH or https://HOST:PORT/PATH", url);
  }
#ifndef CPPHTTPLIB_OPENSSL_SUPPORT
  if (scheme == 8) {
    Fail(ErrorCode::kUnsupported, "reward URL {}: built without OpenSSL; give http://", url);
  }
#endif
  std::string path = url.substr(slash, url.find('#') - slash);
  if (path.empty() || path[0] != '/') path.insert(0, "/");
  return {url.substr(0, slash), std::move(path)};
}

// Outcome of one POST.
struct Answer {
  std::string body;
  std::string failure;  // empty: the body is an answer
  bool again = false;   // whether a retry may succeed
};

Answer Post(const Url& url, const std::string& body, Clock::time_point deadline) {
  httplib::Client client(url.server);
  // Added to each timeout, so that the deadline has passed when one of them expires.
  constexpr std::chrono::milliseconds kSlack{20};
  const auto left = std::max<Clock::duration>(deadline - Clock::now(), Clock::duration(0)) + kSlack;
  client.set_connection_timeout(left);
  client.set_read_timeout(left);
  client.set_write_timeout(left);
  Answer answer;
  httplib::Request request;
  request.method = "POST";
  request.path = url.path;
  request.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
  request.body = body;
  // Each timeout above is for one read; the deadline is for all of them.
  request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    answer.body.append(data, size);
    return answer.body.size() <= kMaxBody && Clock::now() < deadline;
  };
  const httplib::Result result = client.send(request);
  if (!result) {
    answer.failure =
        fmt::format("no answer from {}: {}", url.server, httplib::to_string(result.error()));
    answer.again = result.error() != httplib::Error::Canceled;
  } else if (result->status / 100 != 2) {
    answer.failure = fmt::format("{} answers with status {}", url.server, result->status);
    answer.again = result->status >= kServerErrors || result->status == kTooManyRequests;
  }
  return answer;
}

std::string BodyOf(const RewardBatch& batch) {
  std::string body;
  for (const std::string& request : batch.Unanswered()) {
    body += body.empty() ? "[" : ",\n";
    body += request;
  }
  return body + "]";
}

std::vector<Grade> GradeAll(const Url& url, std::chrono::duration<double> timeout,
                            std::span<const RewardRequest> requests) {
  RewardBatch batch(requests, /*first_id=*/0);
  if (requests.empty()) return {};
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout);
  const std::string body = BodyOf(batch);
  auto pause = std::chrono::duration_cast<Clock::duration>(kFirstPause);
  Answer answer;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    answer = Post(url, body, deadline);
    if (answer.failure.empty()) {
      batch.TakeEach(answer.body);
      return batch.Finish("the server's answer has no reward for it");
    }
    if (Clock::now() >= deadline) {
      answer.failure = fmt::format("no answer within {} s", timeout.count());
      break;
    }
    if (!answer.again || Clock::now() + pause >= deadline) break;
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
  return batch.Finish(answer.failure);
}

}  // namespace

RewardFunction HttpReward(const std::string& url, double timeout) {
  return [parsed = ParseUrl(url), timeout](std::span<const RewardRequest> requests) {
    return GradeAll(parsed, std::chrono::duration<double>(timeout), requests);
  };
}

}  // namespace lorikeet
