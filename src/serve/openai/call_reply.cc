#include "serve/openai/call_reply.h"

#include <ctime>
#include <random>
#include <utility>

#include "serve/api_error.h"
#include "serve/http/server_sent_events.h"
#include "serve/openai/logprobs_json.h"

namespace lorikeet {
namespace {

class CallReply : public std::enable_shared_from_this<CallReply> {
 public:
  CallReply(CallFormat format, std::shared_ptr<HttpReply> reply)
      : format_(std::move(format)), reply_(std::move(reply)), created_(std::time(nullptr)) {}

  void Start(ServeContext& context, CallRequest request) {
    streams_ = request.sampling.stream;
    include_usage_ = request.sampling.include_usage;
    model_ = request.model->name;
    const auto self = shared_from_this();
    CallEvents events;
    if (streams_) {
      events.on_piece = [self](size_t i, std::string piece) { self->Piece(i, std::move(piece)); };
      events.on_choice_done = [self](size_t i) { self->ChoiceDone(i); };
    }
    events.on_all_done = [self] { self->AllDone(); };
    events.on_error = [self](const Error& error) { self->Failed(error); };
    // The events may come before Start returns: they wait until the call is known.
    const std::lock_guard lock(mutex_);
    call_ = GenerationCall::Start(context.sampling, std::move(request), std::move(events));
    const std::weak_ptr<GenerationCall> weak = call_;
    reply_->OnClose([weak] {
      if (const auto call = weak.lock()) call->Cancel();
    });
    if (!streams_) return;
    reply_->Begin(EventStreamHead());
    if (format_.first_chunk) {
      for (size_t i = 0; i < call_->num_choices(); ++i) Send(format_.first_chunk(i));
    }
    if (context.watch) context.watch(call_, reply_);
  }

 private:
  OrderedJson Head(const std::string& object) const {
    return {{"id", format_.id}, {"object", object}, {"created", created_}, {"model", model_}};
  }

  void Send(OrderedJson choice) {
    OrderedJson chunk = Head(format_.chunk_object);
    chunk["choices"] = OrderedJson::array({std::move(choice)});
    if (include_usage_) chunk["usage"] = nullptr;
    reply_->Write(EventText(Dump(chunk)));
  }

  void Piece(size_t i, std::string piece) {
    const std::lock_guard lock(mutex_);
    OrderedJson chunk = format_.piece(*call_, i, std::move(piece));
    if (!chunk.is_null()) Send(std::move(chunk));
  }

  void ChoiceDone(size_t i) {
    const std::lock_guard lock(mutex_);
    for (OrderedJson& chunk : format_.last_chunks(*call_, i)) Send(std::move(chunk));
  }

  OrderedJson Usage() const {
    int64_t prompt = 0, completion = 0, cached = 0;
    const auto n = static_cast<size_t>(call_->request().sampling.n);
    for (size_t i = 0; i < call_->num_choices(); ++i) {
      const Generation& generation = call_->choice(i).generation;
      if (i % n == 0) {
        prompt += generation.prompt_tokens;
        cached += generation.cached_tokens;
      }
      completion += std::ssize(generation.tokens);
    }
    return UsageJson(prompt, completion, cached);
  }

  void AllDone() {
    const std::lock_guard lock(mutex_);
    if (streams_) {
      if (include_usage_) {
        OrderedJson chunk = Head(format_.chunk_object);
        chunk["choices"] = OrderedJson::array();
        chunk["usage"] = Usage();
        reply_->Write(EventText(Dump(chunk)));
      }
      reply_->Write(std::string(kEventsDone));
      reply_->End();
    } else {
      OrderedJson answer = Head(format_.object);
      OrderedJson& choices = answer["choices"] = OrderedJson::array();
      for (size_t i = 0; i < call_->num_choices(); ++i)
        choices.push_back(format_.choice(*call_, i));
      answer["usage"] = Usage();
      reply_->Send({.status = 200, .body = Dump(answer)});
    }
    call_.reset();  // each holds the other
  }

  void Failed(const Error& error) {
    const std::lock_guard lock(mutex_);
    const ApiError api_error = ToApiError(std::make_exception_ptr(error));
    if (streams_) {
      reply_->Write(EventText(Dump(api_error.ToJson())));
      reply_->End();
    } else {
      reply_->Send({.status = api_error.status(), .body = Dump(api_error.ToJson())});
    }
    call_.reset();
  }

  CallFormat format_;
  std::shared_ptr<HttpReply> reply_;
  int64_t created_;
  std::string model_;
  bool streams_ = false, include_usage_ = false;
  std::mutex mutex_;
  std::shared_ptr<GenerationCall> call_;
};

}  // namespace

void AnswerCall(ServeContext& context, CallRequest request, CallFormat format,
                const std::shared_ptr<HttpReply>& reply) {
  std::make_shared<CallReply>(std::move(format), reply)->Start(context, std::move(request));
}

std::string RandomId(const std::string& prefix) {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  static thread_local std::random_device device;
  std::uniform_int_distribution<size_t> letter(0, kLetters.size() - 1);
  std::string id = prefix + "-";
  for (int i = 0; i < 24; ++i) id += kLetters[letter(device)];
  return id;
}

}  // namespace lorikeet
