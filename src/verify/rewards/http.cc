// Rewards from a server: a batch is one POST.
#include <fmt/core.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
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
// Bytes before a body. More than a socket's buffer, which may hold much of the body when this is
// checked.
constexpr uint64_t kMaxHead = uint64_t{16} << 20;
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
  std::string failure;   // empty: the body is an answer
  bool again = false;    // whether a retry may succeed
  bool refused = false;  // it failed, and not because time was up
};

// Bytes that a TCP socket has received; 0 if it cannot tell. glibc's tcp_info ends before that
// field of the kernel's, and <linux/tcp.h> cannot be included beside <netinet/tcp.h>.
uint64_t ReceivedBytes(int socket) {
  constexpr int kTcpInfo = 11;            // TCP_INFO
  constexpr size_t kBytesReceived = 128;  // offset of tcpi_bytes_received
  std::array<std::byte, 256> info{};
  auto size = static_cast<socklen_t>(info.size());
  uint64_t received = 0;
  if (socket < 0 || getsockopt(socket, IPPROTO_TCP, kTcpInfo, info.data(), &size) != 0) return 0;
  if (size < kBytesReceived + sizeof received) return 0;
  std::memcpy(&received, info.data() + kBytesReceived, sizeof received);
  return received;
}

// Ends an exchange that runs past its deadline, is too large before its body begins, or is not
// wanted any more. The client has timeouts for single reads only, and no bound for what comes
// before a body: status line, headers, "100 Continue".
class ExchangeWatch {
 public:
  enum class Cut : uint8_t { kNone, kLate, kSize, kStopped };

  ExchangeWatch(httplib::Client& client, Clock::time_point deadline, const StopRequest& stop)
      : client_(client), deadline_(deadline), stop_(stop) {
    client.set_socket_options([this](int socket) { socket_ = socket; });
    thread_ = std::thread([this] { Watch(); });
  }
  ~ExchangeWatch() { End(); }
  ExchangeWatch(const ExchangeWatch&) = delete;
  ExchangeWatch& operator=(const ExchangeWatch&) = delete;

  void BodyBegins() { in_body_ = true; }
  // After the exchange. Returns why it was cut off.
  Cut End() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    return cut_;
  }

 private:
  void Watch() {
    constexpr std::chrono::milliseconds kTick{10};
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kTick, [this] { return over_; })) {
      const Cut cut = Wanted();
      if (cut == Cut::kNone) continue;
      if (cut_ == Cut::kNone) cut_ = cut;
      client_.stop();  // until it is over: the connection may only have begun now
    }
  }

  Cut Wanted() const {
    if (Clock::now() >= deadline_) return Cut::kLate;
    if (stop_ && stop_()) return Cut::kStopped;
    const uint64_t limit = in_body_ ? kMaxBody + kMaxHead : kMaxHead;
    return ReceivedBytes(socket_) > limit ? Cut::kSize : Cut::kNone;
  }

  httplib::Client& client_;
  Clock::time_point deadline_;
  const StopRequest& stop_;
  std::atomic<int> socket_{-1};
  std::atomic<bool> in_body_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  Cut cut_ = Cut::kNone;
  std::thread thread_;
};

// What the answer says in place of the client's error, which only knows that the connection ended.
void NameCut(const Url& url, ExchangeWatch::Cut cut, Answer* answer) {
  if (cut == ExchangeWatch::Cut::kNone) return;
  answer->again = false;
  if (cut == ExchangeWatch::Cut::kSize) {
    answer->failure = fmt::format("{} sends too much beside the body of its answer", url.server);
  } else {
    answer->failure = cut == ExchangeWatch::Cut::kLate ? "late" : "the run was stopped";
    answer->refused = false;
  }
}

// An error of the HTTP client in words.
std::string Meaning(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
    case httplib::Error::ConnectionTimeout:
      return "it cannot be connected to; is it running?";
    case httplib::Error::Read:
      return "the connection ended before its answer did, or it is not HTTP";
    case httplib::Error::Write:
      return "the connection ended before it had taken the batch";
    case httplib::Error::SSLConnection:
    case httplib::Error::SSLServerVerification:
      return "its certificate is not accepted, or it does not speak TLS";
    default:
      return httplib::to_string(error);
  }
}

Answer Post(const Url& url, const std::string& body, Clock::time_point deadline,
            const StopRequest& stop) {
  httplib::Client client(url.server);
  ExchangeWatch watch(client, deadline, stop);
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
    watch.BodyBegins();
    answer.body.append(data, size);
    return answer.body.size() <= kMaxBody && Clock::now() < deadline;
  };
  const httplib::Result result = client.send(request);
  if (!result) {
    answer.failure = fmt::format("no answer from {}: {}", url.server, Meaning(result.error()));
    answer.again = result.error() != httplib::Error::Canceled;
  } else if (result->status / 100 != 2) {
    answer.failure = fmt::format("{} answers with status {}", url.server, result->status);
    answer.again = result->status >= kServerErrors || result->status == kTooManyRequests;
  }
  answer.refused = !answer.failure.empty();
  NameCut(url, watch.End(), &answer);
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

// Sleeps; less if the run is to stop.
void Pause(Clock::duration duration, const StopRequest& stop) {
  constexpr std::chrono::milliseconds kTick{50};
  const auto end = Clock::now() + duration;
  while (Clock::now() < end && !(stop && stop())) {
    std::this_thread::sleep_for(std::min<Clock::duration>(kTick, end - Clock::now()));
  }
}

std::vector<Grade> GradeAll(const Url& url, std::chrono::duration<double> timeout,
                            const StopRequest& stop, std::span<const RewardRequest> requests) {
  RewardBatch batch(requests, /*first_id=*/0);
  if (requests.empty()) return {};
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout);
  const std::string body = BodyOf(batch);
  auto pause = std::chrono::duration_cast<Clock::duration>(kFirstPause);
  Answer answer;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    answer = Post(url, body, deadline, stop);
    if (answer.failure.empty()) {
      batch.TakeEach(answer.body);
      const char* why = "the server's answer has no reward for it";
      return batch.Finish(why, why);
    }
    if (Clock::now() >= deadline) {
      answer.failure = fmt::format("no answer within {} s", timeout.count());
      answer.refused = false;
      break;
    }
    if (!answer.again || Clock::now() + pause >= deadline) break;
    Pause(pause, stop);
    pause *= 2;
  }
  return batch.Finish(answer.failure, answer.refused ? answer.failure : "");
}

}  // namespace

RewardFunction HttpReward(const std::string& url, double timeout, const StopRequest& stop) {
  return [parsed = ParseUrl(url), timeout, stop](std::span<const RewardRequest> requests) {
    return GradeAll(parsed, std::chrono::duration<double>(timeout), stop, requests);
  };
}

}  // namespace lorikeet
