// Thousands of connections at once.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "serve/http/client_for_test.h"
#include "serve/http/http_server.h"

namespace lorikeet {
namespace {

const std::string kPoll = "GET /poll HTTP/1.1\r\nHost: x\r\n\r\n";

// Sanitizers have an allocator of their own.
bool CountsMemory() { return mallinfo2().uordblks > 0; }

// Number of sockets that a test and its server may have together, of at most `wanted`.
int64_t SocketsFor(int64_t wanted) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return std::min(wanted, static_cast<int64_t>(limit.rlim_max) - 1000);
}

TEST(HttpServerLoad, ThousandsOfLongPollsWaitTogether) {
  const int64_t polls = SocketsFor(4000) / 2;
  std::mutex mutex;
  std::vector<std::shared_ptr<HttpReply>> replies;
  std::atomic<int64_t> waiting = 0;
  HttpServer server({.port = 0},
                    [&](const HttpRequest& /*request*/, std::shared_ptr<HttpReply> reply) {
                      const std::lock_guard lock(mutex);
                      replies.push_back(std::move(reply));
                      ++waiting;
                    });
  server.Start();
  std::vector<TestClient> clients;
  clients.reserve(polls);
  replies.reserve(polls);
  const size_t before = mallinfo2().uordblks;
  for (int64_t i = 0; i < polls; ++i) {
    clients.emplace_back(server.port());
    clients.back().Send(kPoll);
  }
  while (waiting < polls) std::this_thread::yield();
  EXPECT_EQ(server.connections(), polls);
  if (CountsMemory()) {
    const auto each = static_cast<int64_t>(mallinfo2().uordblks - before) / polls;
    RecordProperty("bytes_per_poll", std::to_string(each));
    std::printf("%lld bytes for a connection with its poll\n", static_cast<long long>(each));
    EXPECT_LT(each, 8192);
  }
  for (int64_t i = 0; i < polls; ++i) replies[i]->Send({.body = std::to_string(i)});
  std::vector<bool> seen(polls);
  for (TestClient& client : clients) seen[std::stoull(client.Read().body)] = true;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), polls);
  replies.clear();
  clients.clear();
  while (server.connections() > 0) std::this_thread::yield();
}

TEST(HttpServerLoad, TenThousandConnectionsDoNotStallAnother) {
  HttpLimits limits;
  limits.connections = SocketsFor(14000) / 7 * 2;
  HttpServer server({.port = 0, .limits = limits},
                    [](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
                      reply->Send({.body = request.target});
                    });
  server.Start();
  TestClient probe(server.port());
  EXPECT_EQ(probe.Ask(kPoll).status, 200);
  std::vector<TestClient> clients;
  const int64_t attempts = limits.connections / 2 * 5;
  for (int64_t i = 0; i < attempts; ++i) {
    clients.emplace_back(server.port());
    if (i % 500 == 0) {
      EXPECT_EQ(probe.Ask(kPoll).status, 200);
    }
  }
  int64_t answered = 0;
  for (TestClient& client : clients) answered += client.Ask(kPoll).status == 200 ? 1 : 0;
  EXPECT_EQ(answered, server.max_connections() - 1);
  EXPECT_EQ(server.refused_connections(), attempts - answered);
  EXPECT_EQ(probe.Ask(kPoll).status, 200);
  clients.clear();
  while (server.connections() > 1) std::this_thread::yield();
}

}  // namespace
}  // namespace lorikeet
