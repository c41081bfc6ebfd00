#include "serve/http/http_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "serve/http/client_for_test.h"

namespace lorikeet {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Property;
using ::testing::StartsWith;
using ::testing::Throws;

const std::string kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

void Echo(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  reply->Send({.body = request.method + ' ' + request.target + ' ' + request.body});
}

// A server that hands its requests to the test's own thread.
class Server {
 public:
  explicit Server(const HttpLimits& limits = {}, const HttpHandler& handler = {})
      : server_(
            {.port = 0, .limits = limits},
            handler ? handler : [this](HttpRequest request, std::shared_ptr<HttpReply> reply) {
              const std::lock_guard lock(mutex_);
              taken_.emplace_back(std::move(request), std::move(reply));
              came_.notify_all();
            }) {
    server_.Start();
  }
  HttpServer* operator->() { return &server_; }
  TestClient Connect() { return TestClient(server_.port()); }
  std::pair<HttpRequest, std::shared_ptr<HttpReply>> Take() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !taken_.empty(); });
    auto first = std::move(taken_.front());
    taken_.erase(taken_.begin());
    return first;
  }
  void WaitForConnections(int64_t count) {
    while (server_.connections() != count) std::this_thread::yield();
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::pair<HttpRequest, std::shared_ptr<HttpReply>>> taken_;
  HttpServer server_;
};

TEST(HttpServer, AnswersOnOneConnection) {
  Server server({}, Echo);
  TestClient client = server.Connect();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.Ask(kGet).body, "GET / ");
  EXPECT_EQ(client
                .Ask("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
                .body,
            "POST /a abcde");
  client.Send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + kGet);
  EXPECT_EQ(client.Read(/*head_only=*/true).status, 200);
  EXPECT_EQ(client.Read().body, "GET / ");
  EXPECT_EQ(server->connections(), 1);
  client.Close();
  server.WaitForConnections(0);
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  std::vector<std::thread> workers;
  Server server({}, [&](HttpRequest request, std::shared_ptr<HttpReply> reply) {
    workers.emplace_back([request = std::move(request), reply = std::move(reply)] {
      reply->Send({.body = request.target});
    });
  });
  TestClient client = server.Connect();
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  client.Send(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.Read().body, "/" + std::to_string(i));
  for (std::thread& worker : workers) worker.join();
}

TEST(HttpServer, StreamsFromAnyThread) {
  Server server;
  TestClient client = server.Connect();
  client.Send(kGet);
  const auto [request, reply] = server.Take();
  reply->Begin({.content_type = "text/plain"});
  client.ReadUntil("\r\n\r\n");
  reply->Write("first");
  EXPECT_EQ(client.ReadChunk(), "first");  // before the next is written
  std::vector<std::thread> writers;
  writers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&reply = *reply] {
      for (int k = 0; k < 1000; ++k) reply.Write("0123456789");
    });
  }
  for (std::thread& writer : writers) writer.join();
  reply->End();
  const std::string rest = client.ReadChunks();
  EXPECT_EQ(rest.size(), 40000);
  EXPECT_EQ(rest.find("90123456789"), 9);
  client.Send(kGet);  // the connection goes on
  server.Take().second->Send({.body = "more"});
  EXPECT_EQ(client.Read().body, "more");
}

TEST(HttpServer, AClientThatGoesAwayIsNoticed) {
  Server server;
  for (const auto leave : {&TestClient::Close, &TestClient::Reset, &TestClient::EndSending}) {
    TestClient client = server.Connect();
    client.Send(kGet);
    const auto [request, reply] = server.Take();
    std::promise<void> left;
    reply->OnClose([&] { left.set_value(); });
    EXPECT_FALSE(reply->closed());
    (client.*leave)();
    left.get_future().wait();
    EXPECT_TRUE(reply->closed());
    reply->Send({.body = "for no one"});
    server.WaitForConnections(0);
  }
}

TEST(HttpServer, AClientMayCloseItsHalfAfterAnImmediateAnswer) {
  Server server({}, Echo);
  TestClient client = server.Connect();
  client.Send(kGet);
  EXPECT_EQ(client.Read().status, 200);
  client.EndSending();
  EXPECT_EQ(client.ReadAll(), "");
}

TEST(HttpServer, ABodyThatIsTooLargeIsRefusedAndTheAnswerArrives) {
  HttpLimits limits;
  limits.body_bytes = 1000;
  Server server(limits, Echo);
  TestClient client = server.Connect();
  // Sends all of it before it reads: without a lingering close it would meet a reset.
  const std::string body(16 << 20, 'a');
  client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n");
  EXPECT_TRUE(client.Send(body));
  const TestAnswer answer = client.Read();
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.head, HasSubstr("Connection: close"));
  client.Close();
  server.WaitForConnections(0);
}

TEST(HttpServer, SlowClientsAreClosed) {
  HttpLimits limits;
  limits.header_seconds = limits.body_idle_seconds = limits.keep_alive_seconds = 0.1;
  Server server(limits, Echo);
  TestClient silent = server.Connect(), header = server.Connect(), body = server.Connect(),
             idle = server.Connect();
  header.Send("GET /");
  body.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_EQ(idle.Ask(kGet).status, 200);
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_THAT(header.ReadAll(), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(body.ReadAll(), StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(idle.ReadAll(), "");
}

TEST(HttpServer, ClientsThatDoNotReadAreClosed) {
  HttpLimits limits;
  limits.write_seconds = 0.2;
  Server server(limits);
  TestClient client = server.Connect(), stream = server.Connect();
  client.Send(kGet);
  server.Take().second->Send({.body = std::string(50 << 20, 'a')});
  stream.Send(kGet);
  const auto [request, reply] = server.Take();
  std::promise<void> left;
  reply->OnClose([&] { left.set_value(); });
  reply->Begin({.body = std::string(50 << 20, 'a')});
  EXPECT_GT(reply->Unsent(), 1 << 20);
  left.get_future().wait();
  server.WaitForConnections(0);
}

TEST(HttpServer, FurtherConnectionsAreClosedAtOnce) {
  HttpLimits limits;
  limits.connections = 2;
  Server server(limits, Echo);
  TestClient first = server.Connect(), second = server.Connect();
  EXPECT_EQ(first.Ask(kGet).status, 200);
  EXPECT_EQ(second.Ask(kGet).status, 200);
  TestClient third = server.Connect();
  EXPECT_EQ(third.ReadAll(), "");
  EXPECT_EQ(server->refused_connections(), 1);
  EXPECT_EQ(first.Ask(kGet).status, 200);
  second.Close();
  server.WaitForConnections(1);
  EXPECT_EQ(server.Connect().Ask(kGet).status, 200);
}

TEST(HttpServer, DrainsAnswersUnderWay) {
  Server server;
  TestClient idle = server.Connect(), pending = server.Connect(), stream = server.Connect();
  idle.Send(kGet);
  server.Take().second->Send({});
  EXPECT_EQ(idle.Read().status, 200);
  pending.Send(kGet);
  const auto whole = server.Take().second;
  stream.Send(kGet);
  const auto pieces = server.Take().second;
  pieces->Begin({.body = "a"});
  EXPECT_FALSE(server->Drain(0.05));
  EXPECT_EQ(idle.ReadAll(), "");
  EXPECT_FALSE(server.Connect().connected());
  std::future<bool> drained = std::async(std::launch::async, [&] { return server->Drain(60); });
  whole->Send({.body = "whole"});
  const TestAnswer answer = pending.Read();
  EXPECT_EQ(answer.body, "whole");
  EXPECT_THAT(answer.head, HasSubstr("Connection: close"));
  pieces->Write("b");
  pieces->End();
  EXPECT_TRUE(drained.get());
  EXPECT_THAT(stream.ReadAll(), EndsWith("1\r\na\r\n1\r\nb\r\n0\r\n\r\n"));
  EXPECT_TRUE(server->Drain(60));  // again: nothing to wait for
}

TEST(HttpServer, RepliesMayOutliveTheServer) {
  auto server = std::make_unique<Server>();
  TestClient client = server->Connect(), streaming = server->Connect();
  client.Send(kGet);
  auto reply = server->Take().second;
  streaming.Send(kGet);
  auto stream = server->Take().second;
  stream->Begin({.body = "a"});
  int closes = 0;
  // It owns what it belongs to, as an API's own objects may.
  reply->OnClose([&closes, reply] { ++closes; });
  stream->OnClose([&] { ++closes; });
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    while (!stop) stream->Write("piece");
  });
  server.reset();
  EXPECT_EQ(closes, 2);
  stop = true;
  writer.join();
  EXPECT_TRUE(reply->closed());
  reply->Send({});
  stream->End();
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_THAT(streaming.ReadAll(), Not(EndsWith("0\r\n\r\n")));
  const std::weak_ptr<HttpReply> weak = reply;
  reply.reset();
  EXPECT_TRUE(weak.expired());
}

TEST(HttpServer, ErrorsOfListeningNameThePlace) {
  Server server({}, Echo);
  const auto create = [](const HttpServerOptions& options) { HttpServer(options, Echo); };
  EXPECT_THAT([&] { create({.port = server->port()}); },
              Throws<Error>(Property(&Error::what, HasSubstr("cannot listen on 127.0.0.1:" +
                                                             std::to_string(server->port()) +
                                                             ": Address already in use"))));
  EXPECT_THAT([&] { create({.host = "no such host", .port = 0}); },
              Throws<Error>(Property(&Error::what, HasSubstr("cannot listen on no such host:0"))));
  EXPECT_THAT([&] { create({.port = 70000}); },
              Throws<Error>(Property(&Error::what, HasSubstr("no such port"))));
  HttpServer local({.host = "localhost", .port = 0}, Echo);
  local.Start();
  EXPECT_EQ(TestClient(local.port()).Ask(kGet).status, 200);
}

// Restores the soft limit of open files.
class FileLimit {
 public:
  FileLimit() { getrlimit(RLIMIT_NOFILE, &limit_); }
  ~FileLimit() { setrlimit(RLIMIT_NOFILE, &limit_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;
  static void Set(rlim_t soft) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = soft;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  static rlim_t Soft() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
  }
  rlim_t hard() const { return limit_.rlim_max; }

 private:
  rlimit limit_{};
};

TEST(HttpServer, RaisesTheLimitOfOpenFiles) {
  const FileLimit limit;
  FileLimit::Set(300);
  HttpLimits limits;
  limits.connections = 500;
  HttpServer server({.port = 0, .limits = limits}, Echo);
  EXPECT_GE(FileLimit::Soft(), 756);
  EXPECT_EQ(server.max_connections(), 500);
  limits.connections = static_cast<int64_t>(limit.hard()) + 1000;
  const HttpServer too_many({.port = 0, .limits = limits}, Echo);
  EXPECT_LT(too_many.max_connections(), limits.connections);
}

TEST(HttpServer, SocketsAreNotInheritedAndNoticeClientsThatAreGone) {
  Server server({}, Echo);
  TestClient client = server.Connect();
  EXPECT_EQ(client.Ask(kGet).status, 200);
  int sockets = 0;
  for (int fd = 0; fd < client.fd() + 100; ++fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (address.sin_family != AF_INET || ntohs(address.sin_port) != server->port()) continue;
    EXPECT_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    int keep_alive = 0, listens = 0;
    size = sizeof keep_alive;
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep_alive, &size);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
    EXPECT_NE(keep_alive, listens);
    ++sockets;
  }
  EXPECT_EQ(sockets, 2);
}

TEST(HttpServer, WaitsForFileDescriptors) {
  const FileLimit limit;
  Server server({}, Echo);
  TestClient before = server.Connect();
  EXPECT_EQ(before.Ask(kGet).status, 200);
  TestClient waiting = server.Connect();
  server.WaitForConnections(2);
  // The next descriptor of a client is the last: the server has none for its side.
  const int next = dup(waiting.fd());
  close(next);
  FileLimit::Set(static_cast<rlim_t>(next) + 1);
  const double begin = Now();
  TestClient last = server.Connect();
  ASSERT_TRUE(last.connected());
  while (server->failed_accepts() < 3) std::this_thread::yield();
  EXPECT_EQ(before.Ask(kGet).status, 200);                          // the others go on
  EXPECT_LT(server->failed_accepts(), (Now() - begin) / 0.05 + 2);  // it does not spin
  FileLimit::Set(limit.hard());
  EXPECT_EQ(last.Ask(kGet).status, 200);
}

}  // namespace
}  // namespace lorikeet
