#include "serve/http/connection.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "serve/http/error_response.h"
#include "serve/http/response_text.h"

namespace lorikeet {
namespace {

constexpr int kBadRequest = 400, kTimeout = 408, kUnavailable = 503;
// Input beyond a pending request is not read further than this; a close behind it is seen later.
constexpr size_t kMaxPipelined = 64 << 10;
constexpr double kLingerSeconds = 5;

constexpr std::string_view kBodiesTooLarge =
    "the server is receiving and answering too many large requests; try again later";

}  // namespace

Connection::Connection(const ConnectionContext& context, std::string peer,
                       std::function<void()> wake, double now)
    : context_(context),
      peer_(std::move(peer)),
      wake_(std::move(wake)),
      phase_begin_(now),
      last_progress_(now) {}

bool Connection::wants_input() const {
  return phase_ != Phase::kClosed && !ended_ && input_.size() < kMaxPipelined;
}

void Connection::Enter(Phase phase, double now) {
  phase_ = phase;
  if (phase == Phase::kLingering) {
    parser_.reset();
    body_bytes_.reset();
    input_ = {};
  }
  phase_begin_ = last_progress_ = now;
}

void Connection::Receive(std::string_view bytes, double now) {
  if (phase_ == Phase::kLingering || phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kBody) last_progress_ = now;
  if (!input_.empty() || phase_ == Phase::kAnswering) {
    input_ += bytes;
    return ParseInput(now);
  }
  const size_t used = Parse(bytes, now);
  if (busy()) input_ = bytes.substr(used);
}

void Connection::ParseInput(double now) {
  const size_t used = Parse(input_, now);
  if (!busy() || used == input_.size()) {
    input_ = {};  // also its memory
  } else {
    input_.erase(0, used);
  }
}

// Up to the end of a request, or as far as `bytes` go. Returns the number of bytes that are read.
size_t Connection::Parse(std::string_view bytes, double now) {
  size_t used = 0;
  while (used < bytes.size() && busy() && phase_ != Phase::kAnswering) {
    const size_t more = ParseSome(bytes.substr(used), now);
    if (more == 0) break;
    used += more;
  }
  return used;
}

size_t Connection::ParseSome(std::string_view bytes, double now) {
  if (phase_ == Phase::kIdle) {
    parser_ = std::make_unique<RequestParser>(context_.limits);
    Enter(Phase::kHeader, now);
  }
  const size_t used = parser_->Put(bytes);
  if (parser_->refused()) {
    const Refusal refusal = parser_->refusal();
    Refuse(refusal.status, refusal.message, now);
    return 0;
  }
  if (phase_ == Phase::kHeader && parser_->header_done()) {
    BeginBody(used < bytes.size(), now);
  } else if (phase_ == Phase::kBody && !BodiesFit()) {
    Refuse(kUnavailable, kBodiesTooLarge, now);
  }
  if (phase_ == Phase::kBody && parser_->done()) Dispatch();
  return used;
}

bool Connection::BodiesFit() {
  return body_bytes_->Set(static_cast<int64_t>(parser_->body_size())) <=
         context_.limits.bodies_bytes;
}

// A body that is announced and cannot be taken is refused before it is sent.
void Connection::BeginBody(bool body_follows, double now) {
  Enter(Phase::kBody, now);
  body_bytes_ = std::make_unique<BodyBytes>(context_.body_bytes);
  if (parser_->done()) return;
  const int64_t announced = std::max<int64_t>(parser_->content_length(), 0);
  if (body_bytes_->Set(0) + announced > context_.limits.bodies_bytes) {
    return Refuse(kUnavailable, kBodiesTooLarge, now);
  }
  if (parser_->expects_continue() && !body_follows) Put(std::string(kContinueText), now);
}

void Connection::Dispatch() {
  HttpRequest request = parser_->Take();
  request.peer = peer_;
  const AnswerKind kind{.without_body = request.method == "HEAD",
                        .http_1_1 = parser_->is_http_1_1(),
                        .keep_alive = parser_->keep_alive() && !draining_,
                        .unsent_bytes = context_.limits.unsent_bytes};
  parser_.reset();
  answer_ = std::make_shared<Answer>(kind, wake_);
  complete_ = first_ = false;
  phase_ = Phase::kAnswering;
  std::shared_ptr<HttpReply> reply = MakeReply(answer_, std::move(body_bytes_));
  const std::string fault = DecodeTarget(&request);
  if (!fault.empty()) return reply->Send(ErrorResponse(kBadRequest, fault));
  try {
    context_.handler(std::move(request), std::move(reply));
  } catch (const std::exception&) {
    // The reply is destroyed with the handler's arguments, so the client gets 500.
  }
}

void Connection::Update(double now) {
  if (phase_ != Phase::kAnswering) return;
  if (output_.empty()) last_progress_ = now;
  const Answer::Progress progress = answer_->Take(&output_);
  complete_ = progress.complete;
  if (progress.broken) return Close();
  if (complete_ && output_.empty()) FinishAnswer(now);
}

void Connection::Sent(size_t n, double now) {
  const size_t others = std::min(n, other_output_);
  output_.Remove(n);
  other_output_ -= others;
  last_progress_ = now;
  if (answer_) answer_->Sent(n - others);
  if (!output_.empty()) return;
  if (phase_ == Phase::kAnswering && complete_) FinishAnswer(now);
  if (phase_ == Phase::kLingering) {
    phase_begin_ = now;
    if (ended_) Close();
  }
}

void Connection::FinishAnswer(double now) {
  const bool keep_alive = answer_->keep_alive() && !draining_ && !ended_;
  answer_.reset();
  if (!keep_alive) {
    Enter(Phase::kLingering, now);
    if (ended_) Close();
    return;
  }
  Enter(Phase::kIdle, now);
  ParseInput(now);
}

void Connection::ReceiveEnd(double now) {
  ended_ = true;
  Update(now);  // the answer may have been written just now
  const bool sending = !output_.empty() && (complete_ || phase_ == Phase::kLingering);
  if (!sending) Close();
}

void Connection::CheckTime(double now) {
  const HttpLimits& limits = context_.limits;
  const double since = now - phase_begin_, still = now - last_progress_;
  if (!output_.empty()) {
    if (still > limits.write_seconds) Close();
    return;
  }
  switch (phase_) {
    case Phase::kIdle:
      if (since > (first_ ? limits.header_seconds : limits.keep_alive_seconds)) Close();
      return;
    case Phase::kHeader:
      if (since > limits.header_seconds) Refuse(kTimeout, "headers: not complete in time", now);
      return;
    case Phase::kBody:
      if (since > limits.body_seconds || still > limits.body_idle_seconds) {
        Refuse(kTimeout, "body: not complete in time", now);
      }
      return;
    case Phase::kLingering:
      if (since > kLingerSeconds) Close();
      return;
    case Phase::kAnswering:
    case Phase::kClosed:
      return;
  }
}

void Connection::Drain(double now) {
  draining_ = true;
  if (phase_ == Phase::kIdle) return Close();
  if (phase_ == Phase::kHeader || phase_ == Phase::kBody) {
    return Refuse(kUnavailable, "the server is shutting down", now);
  }
  if (answer_) answer_->CloseAfter();
}

// The rest of the request is not read, so no other can follow on this connection.
void Connection::Refuse(int status, std::string_view message, double now) {
  const HttpResponse response = ErrorResponse(status, message);
  Put(HeadText(response, BodyFraming::kLength, /*keep_alive=*/false) + response.body, now);
  Enter(Phase::kLingering, now);
}

void Connection::Put(std::string text, double now) {
  if (output_.empty()) last_progress_ = now;
  other_output_ += text.size();
  output_.Append(std::move(text));
}

void Connection::Close() {
  phase_ = Phase::kClosed;
  parser_.reset();
  body_bytes_.reset();
  input_ = {};
  output_ = {};
  const std::shared_ptr<Answer> answer = std::exchange(answer_, nullptr);
  if (answer) answer->Close();
}

}  // namespace lorikeet
