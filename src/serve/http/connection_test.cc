#include "serve/http/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/http/error_response.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Phase = Connection::Phase;

const std::string kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

std::string Post(const std::string& headers) {
  return "POST / HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

// A connection whose handler keeps the requests, and whose clock is `now`.
struct Harness {
  explicit Harness(const HttpLimits& limits = {}) {
    context.limits = limits;
    context.handler = [this](HttpRequest request, std::shared_ptr<HttpReply> reply) {
      requests.push_back(std::move(request));
      replies.push_back(std::move(reply));
    };
    connection = std::make_unique<Connection>(
        context, "1.2.3.4", [this] { woken = true; }, now);
  }
  void Receive(std::string_view bytes) const { connection->Receive(bytes, now); }
  // What is sent when the client takes all of it.
  std::string Take() {
    std::string out;
    for (;;) {
      if (std::exchange(woken, false)) connection->Update(now);
      const std::string_view front = connection->output().Front<1>()[0];
      if (front.empty() && !woken) return out;
      out += front;
      connection->Sent(front.size(), now);
    }
  }
  void PassTime(double seconds) {
    now += seconds;
    connection->CheckTime(now);
  }

  double now = 100;
  bool woken = false;
  ConnectionContext context;
  std::vector<HttpRequest> requests;
  std::vector<std::shared_ptr<HttpReply>> replies;
  std::unique_ptr<Connection> connection;
};

TEST(Connection, AnswersOneRequestAfterTheOther) {
  Harness h;
  h.Receive(kGet + "GET /b/ HTTP/1.1\r\nHost: x\r\n\r\nGET /c");
  ASSERT_EQ(h.requests.size(), 1);
  EXPECT_EQ(h.requests[0].peer, "1.2.3.4");
  EXPECT_THAT(h.requests[0].path, ElementsAre("a"));
  h.replies[0]->Send({.body = "first"});
  EXPECT_EQ(h.requests.size(), 1);  // not before the answer is on its way
  EXPECT_THAT(h.Take(), EndsWith("Content-Length: 5\r\nConnection: keep-alive\r\n\r\nfirst"));
  ASSERT_EQ(h.requests.size(), 2);
  EXPECT_THAT(h.requests[1].path, ElementsAre("b"));
  h.replies[1]->Send({.status = 404});
  EXPECT_THAT(h.Take(), StartsWith("HTTP/1.1 404 Not Found\r\nDate: "));
  h.Receive(" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  ASSERT_EQ(h.requests.size(), 3);
  h.replies[2]->Send({.body = "last"});
  EXPECT_THAT(h.Take(), EndsWith("Connection: close\r\n\r\nlast"));
  EXPECT_EQ(h.connection->phase(), Phase::kLingering);
  h.connection->ReceiveEnd(h.now);
  EXPECT_EQ(h.connection->phase(), Phase::kClosed);
}

TEST(Connection, StreamsInChunks) {
  Harness h;
  h.Receive(kGet);
  HttpReply& reply = *h.replies[0];
  reply.Begin({.content_type = "text/plain", .body = "ab"});
  EXPECT_THAT(h.Take(), EndsWith("Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
                                 "2\r\nab\r\n"));
  reply.Write("");  // would be the last chunk
  EXPECT_EQ(h.Take(), "");
  reply.Write(std::string(26, 'c'));
  EXPECT_EQ(reply.Unsent(), 4 + 26 + 2);
  EXPECT_EQ(h.Take(), "1a\r\n" + std::string(26, 'c') + "\r\n");
  EXPECT_EQ(reply.Unsent(), 0);
  reply.End();
  EXPECT_EQ(h.Take(), "0\r\n\r\n");
  EXPECT_EQ(h.connection->phase(), Phase::kIdle);
}

TEST(Connection, OlderClientsReadUntilTheEnd) {
  Harness h;
  h.Receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  h.replies[0]->Send({.body = "a"});
  EXPECT_THAT(h.Take(), HasSubstr("Connection: keep-alive"));
  h.Receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  h.replies[1]->Begin({.body = "a"});
  h.replies[1]->Write("bc");
  h.replies[1]->End();
  const std::string answer = h.Take();
  EXPECT_THAT(answer, EndsWith("Connection: close\r\n\r\nabc"));
  EXPECT_EQ(answer.find("Transfer-Encoding"), std::string::npos);
  EXPECT_EQ(h.connection->phase(), Phase::kLingering);
}

TEST(Connection, HeadAndNoContentHaveNoBody) {
  Harness h;
  h.Receive("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  h.replies[0]->Send({.body = "abc"});
  EXPECT_THAT(h.Take(), EndsWith("Content-Length: 3\r\nConnection: keep-alive\r\n\r\n"));
  h.Receive("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  h.replies[1]->Begin({.body = "abc"});
  h.replies[1]->Write("def");
  h.replies[1]->End();
  EXPECT_THAT(h.Take(), EndsWith("keep-alive\r\n\r\n"));
  h.Receive(kGet);
  h.replies[2]->Send({.status = 204, .body = "ignored"});
  const std::string answer = h.Take();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(answer, EndsWith("keep-alive\r\n\r\n"));
  EXPECT_EQ(answer.find("Content-"), std::string::npos);
}

TEST(Connection, HeadersOfAnAnswerStayOnTheirLines) {
  Harness h;
  h.Receive(kGet);
  h.replies[0]->Send({.headers = {{"X-Id", "a\r\nSet-Cookie: b"}}});
  EXPECT_THAT(h.Take(), HasSubstr("\r\nX-Id: a  Set-Cookie: b\r\n"));
}

TEST(Connection, ClientsThatAskMaySendTheirBody) {
  Harness h;
  const std::string post = Post("Content-Length: 3\r\nExpect: 100-Continue\r\n");
  h.Receive(post);
  EXPECT_EQ(h.Take(), "HTTP/1.1 100 Continue\r\n\r\n");
  h.Receive("abc");
  ASSERT_EQ(h.requests.size(), 1);
  EXPECT_EQ(h.requests[0].body, "abc");
  h.replies[0]->Send({});
  h.Take();
  h.Receive(post + "abc");  // did not wait
  h.replies[1]->Send({});
  EXPECT_THAT(h.Take(), StartsWith("HTTP/1.1 200 OK"));
  Harness unread;  // "100 Continue" is not part of the answer
  unread.Receive(post);
  unread.Receive("abc");
  unread.replies[0]->Begin({.body = "a"});
  EXPECT_THAT(unread.Take(), StartsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(unread.replies[0]->Unsent(), 0);
  HttpLimits limits;
  limits.body_bytes = 2;
  Harness small(limits);
  small.Receive(post);
  EXPECT_THAT(small.Take(), StartsWith("HTTP/1.1 413 "));
}

TEST(Connection, RefusalsAreJsonAndClose) {
  Harness h;
  h.Receive("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(h.Take(), HasSubstr("{\"error\":{\"message\":\"target '/%zz': its %-escapes"));
  EXPECT_EQ(h.connection->phase(), Phase::kIdle);  // the request itself was whole
  h.Receive("BAD\r\n\r\n" + kGet);
  const std::string answer = h.Take();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n\r\n{\"error\":{\"message\":\"not an HTTP"));
  EXPECT_THAT(answer,
              EndsWith("\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}"));
  EXPECT_THAT(h.requests, IsEmpty());
  EXPECT_EQ(h.connection->phase(), Phase::kLingering);
  h.Receive(kGet);
  EXPECT_THAT(h.requests, IsEmpty());
  EXPECT_THAT(ErrorResponse(503, "\xff\n").body,
              HasSubstr("{\"message\":\"\xEF\xBF\xBD\\n\",\"type\":\"server_error\""));
}

TEST(Connection, ACloseWhileTheAnswerIsPendingIsReported) {
  for (const bool half : {false, true}) {
    Harness h;
    h.Receive(kGet + kGet);
    int closes = 0;
    h.replies[0]->Begin({.body = "a"});
    h.Take();
    h.replies[0]->OnClose([&] { ++closes; });
    // A half-closed connection looks the same as one that is closed.
    if (half) {
      h.connection->ReceiveEnd(h.now);
    } else {
      h.connection->Close();
    }
    EXPECT_EQ(closes, 1);
    EXPECT_EQ(h.connection->phase(), Phase::kClosed);
    EXPECT_TRUE(h.replies[0]->closed());
    h.replies[0]->OnClose([&] { ++closes; });  // at once
    EXPECT_EQ(closes, 2);
    h.replies[0]->Write("b");
    h.replies[0]->End();
    h.replies.clear();
    h.connection.reset();
    EXPECT_EQ(closes, 2);
    EXPECT_FALSE(h.woken);
    EXPECT_EQ(h.requests.size(), 1);
  }
}

TEST(Connection, AHalfCloseDoesNotCutAnAnswerThatIsWritten) {
  Harness h;
  h.Receive(kGet);
  h.replies[0]->Send({.body = "whole"});
  h.connection->ReceiveEnd(h.now);
  EXPECT_THAT(h.Take(), EndsWith("whole"));
  EXPECT_EQ(h.connection->phase(), Phase::kClosed);
}

TEST(Connection, ClosesAreForgottenWhenTheAnswerIsComplete) {
  Harness h;
  h.Receive(kGet);
  // The callback owns the reply, and the reply the callback.
  std::weak_ptr<HttpReply> weak = h.replies[0];
  bool called = false;
  h.replies[0]->OnClose([&called, reply = h.replies[0]] { called = true; });
  h.replies[0]->Send({});
  h.replies.clear();
  EXPECT_TRUE(weak.expired());
  h.connection->Close();
  EXPECT_FALSE(called);
}

TEST(Connection, AReplyThatIsDropped) {
  Harness h;
  h.Receive(kGet);
  h.replies.clear();
  EXPECT_THAT(h.Take(), StartsWith("HTTP/1.1 500 Internal Server Error\r\n"));
  EXPECT_EQ(h.connection->phase(), Phase::kIdle);
  h.Receive(kGet);
  h.replies[0]->Begin({.body = "half"});
  EXPECT_THAT(h.Take(), HasSubstr("half"));
  h.replies.clear();
  EXPECT_EQ(h.Take(), "");  // no last chunk
  EXPECT_EQ(h.connection->phase(), Phase::kClosed);

  Harness throws;
  throws.context.handler = [](const HttpRequest&, const std::shared_ptr<HttpReply>&) {
    throw std::runtime_error("a secret");
  };
  throws.Receive(kGet);
  const std::string answer = throws.Take();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
  EXPECT_EQ(answer.find("secret"), std::string::npos);
}

TEST(Connection, ASlowStreamIsCut) {
  HttpLimits limits;
  limits.unsent_bytes = 1000;
  Harness h(limits);
  h.Receive(kGet);
  bool closed = false;
  h.replies[0]->OnClose([&] { closed = true; });
  h.replies[0]->Begin({});
  h.Take();
  h.replies[0]->Write(std::string(990, 'a'));
  h.connection->Update(h.now);
  EXPECT_FALSE(closed);
  h.replies[0]->Write("a");
  h.replies[0]->Write(std::string(10, 'a'));
  h.woken = false;
  h.connection->Update(h.now);
  EXPECT_TRUE(closed);
  EXPECT_EQ(h.connection->phase(), Phase::kClosed);
  Harness whole(limits);  // an answer that is sent whole may be longer
  whole.Receive(kGet);
  whole.replies[0]->Send({.body = std::string(5000, 'a')});
  EXPECT_GT(whole.Take().size(), 5000);
}

TEST(Connection, BodiesHaveACommonLimit) {
  HttpLimits limits;
  limits.bodies_bytes = 100;
  Harness h(limits);
  h.Receive(Post("Content-Length: 60\r\n") + std::string(60, 'a'));
  EXPECT_EQ(*h.context.body_bytes, 60);
  const auto status = [&](const std::string& request) {
    Connection other(
        h.context, "", [] {}, h.now);
    other.Receive(request, h.now);
    return std::string(other.output().Front<1>()[0].substr(0, 12));
  };
  EXPECT_EQ(status(Post("Content-Length: 41\r\n")), "HTTP/1.1 503");  // before its body
  EXPECT_EQ(status(Post("Content-Length: 40\r\n") + std::string(39, 'a')), "");
  EXPECT_EQ(status(Post("Transfer-Encoding: chunked\r\n") + "29\r\n" + std::string(41, 'a')),
            "HTTP/1.1 503");
  EXPECT_EQ(*h.context.body_bytes, 60);  // theirs are gone
  h.replies[0]->Send({});
  h.Take();
  EXPECT_EQ(*h.context.body_bytes, 60);  // the handler may still use it
  h.replies.clear();
  EXPECT_EQ(*h.context.body_bytes, 0);
}

TEST(Connection, SlowClientsAreGivenUp) {
  HttpLimits limits;
  limits.header_seconds = 10;
  limits.body_seconds = 40;
  limits.body_idle_seconds = 5;
  limits.keep_alive_seconds = 20;
  limits.write_seconds = 7;
  const auto after_get = [&](Harness* h) {
    h->Receive(kGet);
    h->replies[0]->Send({});
    h->Take();
  };
  Harness silent(limits);
  silent.PassTime(9.9);
  EXPECT_EQ(silent.connection->phase(), Phase::kIdle);
  silent.PassTime(0.2);
  EXPECT_EQ(silent.connection->phase(), Phase::kClosed);

  Harness byte_by_byte(limits);
  for (int i = 0; i < 9; ++i) {
    byte_by_byte.Receive(kGet.substr(i, 1));
    byte_by_byte.PassTime(1.2);
  }
  EXPECT_THAT(byte_by_byte.Take(), StartsWith("HTTP/1.1 408 Request Timeout"));
  byte_by_byte.PassTime(6);
  EXPECT_EQ(byte_by_byte.connection->phase(), Phase::kClosed);

  Harness idle(limits);
  after_get(&idle);
  idle.PassTime(19);
  EXPECT_EQ(idle.connection->phase(), Phase::kIdle);
  idle.PassTime(2);
  EXPECT_EQ(idle.connection->phase(), Phase::kClosed);

  Harness stopped(limits);
  stopped.Receive(Post("Content-Length: 100\r\n"));
  stopped.PassTime(4.9);
  stopped.Receive("a");
  stopped.PassTime(4.9);
  EXPECT_EQ(stopped.connection->phase(), Phase::kBody);
  stopped.PassTime(0.2);
  EXPECT_THAT(stopped.Take(), StartsWith("HTTP/1.1 408"));

  Harness endless(limits);
  endless.Receive(Post("Transfer-Encoding: chunked\r\n"));
  for (int i = 0; i < 11; ++i) {
    endless.Receive("1\r\na\r\n");
    endless.PassTime(4);
  }
  EXPECT_THAT(endless.Take(), StartsWith("HTTP/1.1 408"));

  Harness computing(limits);
  computing.Receive(kGet);
  computing.PassTime(100000);  // an answer may take as long as it takes
  EXPECT_EQ(computing.connection->phase(), Phase::kAnswering);
  computing.replies[0]->Send({.body = "abc"});
  computing.connection->Update(computing.now);
  computing.PassTime(6);
  computing.connection->Sent(1, computing.now);
  computing.PassTime(6);
  EXPECT_EQ(computing.connection->phase(), Phase::kAnswering);
  computing.PassTime(2);
  EXPECT_EQ(computing.connection->phase(), Phase::kClosed);
}

TEST(Connection, Drains) {
  Harness idle, partial, pending;
  idle.connection->Drain(idle.now);
  EXPECT_EQ(idle.connection->phase(), Phase::kClosed);
  partial.Receive("GET ");
  partial.connection->Drain(partial.now);
  EXPECT_THAT(partial.Take(), HasSubstr("HTTP/1.1 503 Service Unavailable\r\n"));
  pending.Receive(kGet + kGet);
  pending.connection->Drain(pending.now);
  EXPECT_TRUE(pending.connection->busy());
  pending.replies[0]->Send({.body = "a"});
  EXPECT_THAT(pending.Take(), EndsWith("Connection: close\r\n\r\na"));
  EXPECT_FALSE(pending.connection->busy());
  EXPECT_EQ(pending.requests.size(), 1);
}

TEST(Connection, ReadsAheadOnlySoFar) {
  Harness h;
  h.Receive(kGet);
  EXPECT_TRUE(h.connection->wants_input());
  h.Receive(std::string(70000, 'G'));
  EXPECT_FALSE(h.connection->wants_input());
  h.replies[0]->Send({});
  EXPECT_THAT(h.Take(), HasSubstr("HTTP/1.1 431"));  // endless method
  EXPECT_TRUE(h.connection->wants_input());
  Harness last;
  last.Receive("GET / HTTP/1.0\r\n\r\n" + std::string(70000, 'G'));
  EXPECT_FALSE(last.connection->wants_input());
  last.replies[0]->Send({});
  last.Take();
  EXPECT_EQ(last.connection->phase(), Phase::kLingering);
  EXPECT_TRUE(last.connection->wants_input());  // to discard it
}

}  // namespace
}  // namespace lorikeet
