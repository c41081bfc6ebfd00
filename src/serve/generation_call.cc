#include "serve/generation_call.h"

#include <algorithm>
#include <utility>

namespace lorikeet {

GenerationCall::GenerationCall(CallRequest request, CallEvents events)
    : request_(std::move(request)), events_(std::move(events)) {
  const size_t count = request_.prompts.size() * static_cast<size_t>(request_.sampling.n);
  const bool skip = request_.sampling.skip_special_tokens;
  const ChoiceTextOptions options = {.stop = request_.sampling.stop,
                                     .skip_special_tokens = skip && !request_.keep_special_tokens,
                                     .hide_stop_token = skip,
                                     .include_stop = request_.sampling.include_stop,
                                     .details = request_.details};
  for (size_t i = 0; i < count; ++i) {
    choices_.push_back(
        std::make_unique<ChoiceState>(ChoiceText(request_.model->text->tokenizer(), options)));
    filters_.push_back(request_.make_filter ? request_.make_filter() : nullptr);
  }
  left_ = count;
}

std::shared_ptr<GenerationCall> GenerationCall::Start(SamplingService& service, CallRequest request,
                                                      CallEvents events) {
  std::shared_ptr<GenerationCall> call(new GenerationCall(std::move(request), std::move(events)));
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < call->num_choices(); ++i) requests.push_back(call->RequestOf(i));
  call->numbers_ = service.Submit(call->request_.client, std::move(requests));
  return call;
}

GenerateRequest GenerationCall::RequestOf(size_t i) {
  const auto n = static_cast<size_t>(request_.sampling.n);
  GenerateRequest request;
  request.prompt = request_.prompts[i / n];
  request.params = request_.sampling.params;
  request.params.max_tokens = request_.max_tokens;
  request.adapter = request_.model->adapter;
  request.key = i;
  request.top_logprobs = request_.top_logprobs;
  request.prompt_logprobs = request_.prompt_logprobs && i % n == 0;
  request.cancelled = cancelled_;
  const auto self = shared_from_this();
  if (request_.sampling.edits() || filters_[i] != nullptr) {
    request.edit_logits = [self, i, generated = int64_t{0}](std::span<float> logits) mutable {
      self->request_.sampling.Edit(logits, generated++);
      if (self->filters_[i] != nullptr) self->filters_[i]->Mask(logits);
    };
  }
  request.on_token = [self, i](const SampledToken& token) { return self->OnToken(i, token); };
  request.on_done = [self, i](Generation&& generation) { self->OnDone(i, std::move(generation)); };
  request.on_error = [self](const Error& error) { self->OnError(error); };
  return request;
}

bool GenerationCall::OnToken(size_t i, const SampledToken& token) {
  const auto& stops = request_.sampling.params.stop_tokens;
  const bool is_stop = std::find(stops.begin(), stops.end(), token.token) != stops.end();
  ChoiceText& answer = choices_[i]->answer;
  std::string piece = answer.Push(token, is_stop);
  if (filters_[i] != nullptr && !is_stop) filters_[i]->Accept(token.token);
  if (events_.on_piece && !failed_) events_.on_piece(i, std::move(piece));
  const bool complete = filters_[i] != nullptr && filters_[i]->complete();
  return !answer.stopped() && !complete;
}

std::string GenerationCall::ReasonOf(size_t i) const {
  const ChoiceState& state = *choices_[i];
  if (state.answer.stopped()) return "stop";
  if (filters_[i] != nullptr && filters_[i]->complete()) return "stop";
  return state.generation.reason == StopReason::kLength ? "length" : "stop";
}

void GenerationCall::OnDone(size_t i, Generation&& generation) {
  ChoiceState& state = *choices_[i];
  state.generation = std::move(generation);
  const std::string rest = state.answer.Finish();
  state.finish_reason = ReasonOf(i);
  state.done = true;
  --left_;
  if (failed_) return;
  if (events_.on_piece && !rest.empty()) events_.on_piece(i, rest);
  if (events_.on_choice_done) events_.on_choice_done(i);
  if (left_ == 0 && events_.on_all_done) events_.on_all_done();
}

void GenerationCall::OnError(const Error& error) {
  --left_;
  if (failed_) return;
  failed_ = true;
  cancelled_->store(true);
  if (events_.on_error) events_.on_error(error);
}

int64_t GenerationCall::Place(const SamplingService& service) const {
  return numbers_.empty() ? 0 : service.PlaceOf(numbers_.back());
}

}  // namespace lorikeet
