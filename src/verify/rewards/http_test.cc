#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "core/error.h"
#include "verify/rewards/function.h"
#include "verify/rewards/reward_for_test.h"

namespace lorikeet {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;

constexpr double kPatient = 60;

auto Invalid(const std::string& reason) {
  return AllOf(Field(&Grade::verdict, Verdict::kInvalid), Field(&Grade::reason, HasSubstr(reason)));
}
auto Rewarded(double reward) {
  return AllOf(Field(&Grade::verdict, Verdict::kCorrect), Field(&Grade::reward, reward));
}

// A server on the loopback interface, each request handled by `handler`.
class LocalServer {
 public:
  explicit LocalServer(const httplib::Server::Handler& handler) {
    server_.Post("/grade",
                 [this, handler](const httplib::Request& request, httplib::Response& response) {
                   ++requests_;
                   handler(request, response);
                 });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~LocalServer() {
    server_.stop();
    thread_.join();
  }
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/grade"; }
  int requests() const { return requests_; }

 private:
  httplib::Server server_;
  std::thread thread_;
  std::atomic<int> requests_{0};
  int port_ = 0;
};

// Replies in reverse order, the reward being the id plus one.
void GradeBackwards(const httplib::Request& request, httplib::Response& response) {
  const Json requests = Json::parse(request.body);
  Json replies = Json::array();
  for (auto at = requests.rbegin(); at != requests.rend(); ++at) {
    replies.push_back({{"id", (*at)["id"]}, {"reward", (*at)["id"].get<int>() + 1}});
  }
  response.set_content(replies.dump(), "application/json");
}

TEST(RewardHttpTest, OnePostForABatch) {
  const LocalServer server([](const httplib::Request& request, httplib::Response& response) {
    EXPECT_EQ(request.get_header_value("Content-Type"), "application/json");
    EXPECT_EQ(Json::parse(request.body)[0]["answer"], "4");
    GradeBackwards(request, response);
  });
  const RewardFunction reward = HttpReward(server.url(), kPatient);
  EXPECT_THAT(reward(RewardRequests(3).all()),
              ::testing::ElementsAre(Rewarded(1), Rewarded(2), Rewarded(3)));
  EXPECT_EQ(server.requests(), 1);
  EXPECT_TRUE(reward({}).empty());
}

TEST(RewardHttpTest, FaultsThatPassAreTriedAgain) {
  std::atomic<int> calls{0};
  const LocalServer server([&](const httplib::Request& request, httplib::Response& response) {
    if (calls++ == 0) {
      response.status = 503;
    } else {
      GradeBackwards(request, response);
    }
  });
  EXPECT_THAT(HttpReward(server.url(), kPatient)(RewardRequests(1).all()), Each(Rewarded(1)));
  EXPECT_EQ(server.requests(), 2);
}

TEST(RewardHttpTest, FaultsThatStayAreInvalid) {
  const LocalServer refusing(
      [](const httplib::Request&, httplib::Response& response) { response.status = 400; });
  EXPECT_THAT(HttpReward(refusing.url(), kPatient)(RewardRequests(2).all()),
              Each(Invalid("status 400")));
  EXPECT_EQ(refusing.requests(), 1);

  const LocalServer failing(
      [](const httplib::Request&, httplib::Response& response) { response.status = 500; });
  EXPECT_THAT(HttpReward(failing.url(), 0.4)(RewardRequests(2).all()), Each(Invalid("status 500")));
  EXPECT_GE(failing.requests(), 1);
  EXPECT_LE(failing.requests(), 2);  // the pauses end with the timeout

  EXPECT_THAT(HttpReward("http://127.0.0.1:1/grade", 0.1)(RewardRequests(2).all()),
              Each(Invalid("no answer from http://127.0.0.1:1: it cannot be connected to")));
}

TEST(RewardHttpTest, LateIsInvalid) {
  std::atomic<bool> over{false};
  const LocalServer server([&](const httplib::Request& request, httplib::Response& response) {
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    GradeBackwards(request, response);
  });
  EXPECT_THAT(HttpReward(server.url(), 0.1)(RewardRequests(2).all()),
              Each(Invalid("no answer within 0.1 s")));
  over = true;
}

// It sends a byte from time to time, so that no single read is late.
TEST(RewardHttpTest, DrippingIsLateToo) {
  std::atomic<bool> over{false};
  const LocalServer server([&](const httplib::Request&, httplib::Response& response) {
    response.set_chunked_content_provider("application/json", [&](size_t, httplib::DataSink& sink) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (over) sink.done();
      return sink.write(" ", 1);
    });
  });
  EXPECT_THAT(HttpReward(server.url(), 0.1)(RewardRequests(1).all()),
              Each(Invalid("no answer within 0.1 s")));
  over = true;
}

// A server that writes what it likes.
class RawServer {
 public:
  // write(send): send returns false once nobody reads.
  using Send = std::function<bool(std::string_view)>;
  explicit RawServer(std::function<void(const Send&)> write)
      : listener_(socket(AF_INET, SOCK_STREAM, 0)), write_(std::move(write)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~RawServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
  uint64_t sent() const { return sent_; }

 private:
  void Serve() {
    for (int peer = 0; (peer = accept(listener_, nullptr, nullptr)) >= 0; close(peer)) {
      const timeval patience{.tv_sec = 1, .tv_usec = 0};  // a client that is gone reads no more
      setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      write_([this, peer](std::string_view text) {
        while (!text.empty()) {
          const ssize_t n = ::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
          if (n <= 0) return false;
          sent_ += static_cast<uint64_t>(n);
          text.remove_prefix(static_cast<size_t>(n));
        }
        return true;
      });
    }
  }

  int listener_;
  std::function<void(const Send&)> write_;
  std::atomic<uint64_t> sent_{0};
  std::thread thread_;
  int port_ = 0;
};

// Sends `begin`, then `piece` from time to time.
std::function<void(const RawServer::Send&)> Trickle(const std::string& begin,
                                                    const std::string& piece) {
  return [=](const RawServer::Send& send) {
    for (bool more = send(begin); more; more = send(piece)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  };
}

TEST(RewardHttpTest, TricklingBeforeTheBodyIsLateToo) {
  const std::pair<std::string, std::string> trickles[] = {
      {"HTTP/1.1 200 O", "K"},                // status line
      {"HTTP/1.1 200 OK\r\nX-A: ", "b"},      // a header
      {"HTTP/1.1 200 OK\r\n", "X-A: b\r\n"},  // headers
      {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x"},  // a chunk's size
  };
  for (const auto& [begin, piece] : trickles) {
    const RawServer server(Trickle(begin, piece));
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(HttpReward(server.url(), 0.2)(RewardRequests(1).all()),
                Each(Invalid("no answer within 0.2 s")))
        << begin;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << begin;
  }
}

TEST(SlowRewardHttpTest, EndlessHeadersAreCutOff) {
  for (const std::string& piece : {std::string(1 << 20, 'x'), "X-A: b\r\n" + std::string(0, ' ')}) {
    const RawServer server([&](const RawServer::Send& send) {
      std::string block;
      while (block.size() < (1 << 20)) block += piece;
      for (bool more = send("HTTP/1.1 200 OK\r\nX-B: "); more;) more = send(block);
    });
    EXPECT_THAT(HttpReward(server.url(), kPatient)(RewardRequests(1).all()),
                Each(Invalid("sends too much beside the body")));
    EXPECT_LT(server.sent(), uint64_t{1} << 30);
  }
}

TEST(RewardHttpTest, AStopIsSeenSoon) {
  const RawServer server(Trickle("HTTP/1.1 200 O", "K"));
  std::atomic<int> asked{0};
  const RewardFunction reward = HttpReward(server.url(), 1000, [&asked] { return ++asked > 2; });
  EXPECT_THAT(reward(RewardRequests(1).all()), Each(Invalid("the run was stopped")));
}

TEST(RewardHttpTest, GarbageIsInvalid) {
  const LocalServer server([](const httplib::Request&, httplib::Response& response) {
    response.set_content("<html>It works!</html>", "text/html");
  });
  EXPECT_THAT(HttpReward(server.url(), kPatient)(RewardRequests(1).all()),
              Each(Invalid("It works!")));
}

TEST(RewardHttpTest, Huge) {
  const LocalServer server(GradeBackwards);
  const std::vector<Grade> grades =
      HttpReward(server.url(), kPatient)(RewardRequests(8, std::string(1 << 20, 'x')).all());
  for (size_t i = 0; i < grades.size(); ++i) EXPECT_EQ(grades[i].reward, i + 1.0);
}

TEST(RewardHttpTest, RefusesWhatIsNoUrl) {
  for (const char* url :
       {"", "localhost:8000", "ftp://host/", "http://", "http://:80/", "http://host:0/",
        "http://host:x/", "http://host:99999/", "http://user:word@host/", "http://a b/"}) {
    EXPECT_THROW(HttpReward(url, 1), Error) << url;
  }
  for (const char* url : {"http://host", "http://host:80?x=1", "http://[::1]:80/a", "http://[::1]/",
                          "https://host/a"}) {
    EXPECT_NO_THROW(HttpReward(url, 1)) << url;
  }
}

}  // namespace
}  // namespace lorikeet
