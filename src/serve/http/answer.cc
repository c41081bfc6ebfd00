#include "serve/http/answer.h"

#include <utility>

#include "core/check.h"
#include "serve/http/error_response.h"

namespace lorikeet {
namespace {

constexpr int kInternalError = 500;

class Reply final : public HttpReply {
 public:
  Reply(std::shared_ptr<Answer> answer, std::unique_ptr<BodyBytes> body)
      : answer_(std::move(answer)), body_(std::move(body)) {}
  ~Reply() override { answer_->Abandon(); }
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  void Send(HttpResponse response) override { answer_->Send(std::move(response)); }
  void Begin(HttpResponse head) override { answer_->Begin(std::move(head)); }
  void Write(std::string piece) override { answer_->Write(std::move(piece)); }
  void End() override { answer_->End(); }
  size_t Unsent() const override { return answer_->Unsent(); }
  bool closed() const override { return answer_->closed(); }
  void OnClose(std::function<void()> callback) override { answer_->OnClose(std::move(callback)); }

 private:
  std::shared_ptr<Answer> answer_;
  std::unique_ptr<BodyBytes> body_;
};

}  // namespace

Answer::Progress Answer::Take(OutputQueue* out) {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  out->Append(&out_);
  return {.complete = complete_, .broken = broken_};
}

void Answer::Sent(size_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_ -= bytes;
}

void Answer::CloseAfter() {
  const std::lock_guard lock(mutex_);
  kind_.keep_alive = false;
}

bool Answer::keep_alive() const {
  const std::lock_guard lock(mutex_);
  return kind_.keep_alive;
}

void Answer::Close() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    out_ = {};
    unsent_ = 0;
    callback = std::exchange(on_close_, nullptr);
  }
  if (callback) callback();
}

void Answer::Send(HttpResponse response) {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  CHECK(!begun_);
  PutHead(response, BodyFraming::kLength);
  if (!silent_) {
    unsent_ += response.body.size();
    out_.Append(std::move(response.body));
  }
  Complete(&forgotten);
}

void Answer::Begin(HttpResponse head) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  CHECK(!begun_);
  if (!kind_.http_1_1) kind_.keep_alive = false;
  PutHead(head, kind_.http_1_1 ? BodyFraming::kChunked : BodyFraming::kUntilClose);
  PutPiece(std::move(head.body));
  Wake();
}

void Answer::Write(std::string piece) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  CHECK(begun_ && !complete_);
  PutPiece(std::move(piece));
  Wake();
}

void Answer::End() {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  CHECK(begun_ && !complete_);
  if (framing_ == BodyFraming::kChunked && !silent_) {
    unsent_ += kLastChunk.size();
    out_.Append(std::string(kLastChunk));
  }
  Complete(&forgotten);
}

void Answer::Abandon() {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  if (closed_ || complete_) return;
  if (begun_) {
    broken_ = true;
    forgotten = std::exchange(on_close_, nullptr);
    return Wake();
  }
  HttpResponse response = ErrorResponse(kInternalError, "the server did not answer this request");
  PutHead(response, BodyFraming::kLength);
  if (!silent_) {
    unsent_ += response.body.size();
    out_.Append(std::move(response.body));
  }
  Complete(&forgotten);
}

size_t Answer::Unsent() const {
  const std::lock_guard lock(mutex_);
  return unsent_;
}

bool Answer::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void Answer::OnClose(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (complete_ || broken_) return;
    if (!closed_) {
      std::swap(on_close_, callback);  // an older one is destroyed without the lock
      return;
    }
  }
  callback();
}

void Answer::PutHead(const HttpResponse& head, BodyFraming framing) {
  begun_ = true;
  framing_ = framing;
  silent_ = kind_.without_body || !StatusHasBody(head.status);
  std::string text = HeadText(head, framing, kind_.keep_alive);
  unsent_ += text.size();
  out_.Append(std::move(text));
}

void Answer::PutPiece(std::string piece) {
  if (piece.empty() || silent_) return;
  if (framing_ == BodyFraming::kChunked) piece = ChunkText(piece);
  unsent_ += piece.size();
  out_.Append(std::move(piece));
  if (static_cast<int64_t>(unsent_) > kind_.unsent_bytes) broken_ = true;
}

// The callback's captures may own the reply: it is destroyed by the caller, after the lock.
void Answer::Complete(std::function<void()>* forgotten) {
  complete_ = true;
  *forgotten = std::exchange(on_close_, nullptr);
  Wake();
}

void Answer::Wake() {
  if (!std::exchange(woken_, true)) wake_();
}

std::shared_ptr<HttpReply> MakeReply(std::shared_ptr<Answer> answer,
                                     std::unique_ptr<BodyBytes> body) {
  return std::make_shared<Reply>(std::move(answer), std::move(body));
}

}  // namespace lorikeet
