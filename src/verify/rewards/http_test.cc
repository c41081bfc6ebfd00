#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <string>
#include <thread>

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
              Each(Invalid("no answer from http://127.0.0.1:1")));
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
