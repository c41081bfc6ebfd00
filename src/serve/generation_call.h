// A `GenerationCall` runs all sequences of one request, its choices, and keeps their answers.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/choice_text.h"
#include "serve/sampling_fields.h"
#include "serve/sampling_service.h"
#include "serve/served_models.h"

namespace lorikeet {

struct ChoiceState {
  explicit ChoiceState(ChoiceText a) : answer(std::move(a)) {}
  ChoiceText answer;
  Generation generation;  // at its end
  std::string finish_reason;
  bool done = false;
};

// Callbacks of a call, all on the sampling thread, one at a time.
struct CallEvents {
  // More text of a choice is final; may be "" where a token completes none.
  std::function<void(size_t choice, std::string piece)> on_piece;
  std::function<void(size_t choice)> on_choice_done;  // its state is complete
  std::function<void()> on_all_done;
  std::function<void(const Error& error)> on_error;  // once, in place of on_all_done
};

// Restricts the tokens of a sequence (constrained decoding). One object per sequence.
class TokenFilter {
 public:
  virtual ~TokenFilter() = default;
  virtual void Mask(std::span<float> logits) = 0;  // -infinity for tokens that may not follow
  virtual void Accept(int32_t token) = 0;
  virtual bool complete() const = 0;  // nothing may follow
};

struct CallRequest {
  std::string client;  // whose queue it waits in
  ServedModelPtr model;
  std::vector<std::vector<int32_t>> prompts;  // each has n choices, in order
  SamplingFields sampling;
  int64_t max_tokens = 0;
  int64_t top_logprobs = 0;
  bool details = false;              // keep tokens with their places in the text
  bool keep_special_tokens = false;  // in texts, for parsing them; but not the one that ends them
  bool prompt_logprobs = false;      // with every prompt's first choice
  std::function<std::unique_ptr<TokenFilter>()> make_filter;  // may be empty
};

class GenerationCall : public std::enable_shared_from_this<GenerationCall> {
 public:
  // Queues the sequences of a request. Throws Error as SamplingService::Submit; then nothing runs
  // and no event is called.
  static std::shared_ptr<GenerationCall> Start(SamplingService& service, CallRequest request,
                                               CallEvents events);
  // Ends all sequences soon. Safe from any thread.
  void Cancel() { cancelled_->store(true); }
  bool cancelled() const { return cancelled_->load(); }

  const CallRequest& request() const { return request_; }
  // After on_all_done, or in events of that choice.
  ChoiceState& choice(size_t i) { return *choices_[i]; }
  size_t num_choices() const { return choices_.size(); }
  // The place in the queue of the sequence that begins last; 0: all have begun.
  int64_t Place(const SamplingService& service) const;

 private:
  GenerationCall(CallRequest request, CallEvents events);
  GenerateRequest RequestOf(size_t i);
  bool OnToken(size_t i, const SampledToken& token);
  void OnDone(size_t i, Generation&& generation);
  void OnError(const Error& error);
  std::string ReasonOf(size_t i) const;

  CallRequest request_;
  CallEvents events_;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::unique_ptr<ChoiceState>> choices_;
  std::vector<std::unique_ptr<TokenFilter>> filters_;
  std::vector<uint64_t> numbers_;
  size_t left_ = 0;
  bool failed_ = false;
};

}  // namespace lorikeet
