// A `Generator` continues many sequences at once. A request joins the running batch when there is
// room for one more sequence and its prompt fits the free pages of keys and values. One Step is one
// forward pass, in which every running sequence gets its next token and new prompts are computed,
// in chunks. When pages run out, the sequence that was admitted last is pre-empted: it gives back
// its pages, waits at the head of the queue and is computed again from its tokens.
//
// Bit rule: a sequence's tokens and log-probabilities depend on its request alone: neither on the
// batch, nor on the chunks, nor on pre-emption, nor on the number of threads.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/error.h"
#include "model/adapter_rows.h"
#include "model/batch.h"
#include "model/weights.h"
#include "sample/prefix_cache.h"
#include "sample/sampler.h"

namespace lorikeet {

enum class StopReason : uint8_t {
  kLength,    // max_tokens
  kStop,      // a stop token, which is the last of the tokens
  kCallback,  // on_token returned false, or the request was cancelled
  kNoToken,   // edit_logits excluded every token
};
const char* StopReasonName(StopReason reason);  // "length", "stop", "callback", "no token"

struct Generation {
  std::vector<int32_t> tokens;  // sampled, a stop token included
  // Log-probability of each token at temperature 1: the training forward's bits.
  std::vector<float> logprobs;
  // Log-probability of each token under the distribution it was drawn from.
  std::vector<float> sampled_logprobs;
  std::vector<std::vector<TokenLogprob>> top;  // at each token, if asked for
  // With GenerateRequest::prompt_logprobs: of the prompt's second token, third, ...
  std::vector<SampledToken> prompt_logprobs;
  StopReason reason = StopReason::kLength;
  int64_t prompt_tokens = 0;
  // Number of prompt tokens shared instead of computed at first admission.
  int64_t cached_tokens = 0;
};

struct GenerateRequest {
  std::vector<int32_t> prompt;  // at least one token
  SamplingParams params;
  // Adapter to sample with, for this request alone; null: the base. Keys and values are shared
  // between requests of the same weights only.
  std::shared_ptr<const LoraWeights> adapter = nullptr;
  // Names this sample: the random number of the token at position p is that of
  // (params.seed, "sample", key, p). Samples of one prompt need different keys.
  uint64_t key = 0;
  // Number of likeliest tokens to list beside each token.
  int64_t top_logprobs = 0;
  // Also the log-probabilities of the prompt's tokens. Then all of it is computed, and max_tokens
  // may be 0.
  bool prompt_logprobs = false;
  // Changes the logits that tokens are drawn from. Called once per token, before on_token; must not
  // throw. May be empty.
  EditLogits edit_logits = {};
  // Becomes true when the request is not wanted any more: it ends at the next step. May be null.
  std::shared_ptr<const std::atomic<bool>> cancelled = nullptr;
  // For every token, the stop token included; false ends the sequence. Must not throw, nor call the
  // generator. May be empty.
  std::function<bool(const SampledToken&)> on_token = {};
  // Called instead of on_done when the logits are not finite, which only this request's adapter can
  // cause if the base is sound. If empty, Step throws.
  std::function<void(const Error&)> on_error = {};
  // Once, at the end; the same holds.
  std::function<void(Generation&&)> on_done = {};
};

struct GeneratorLimits {
  int64_t slots = 8;              // max number of sequences that run at once
  int64_t capacity = 0;           // max number of tokens of a sequence, prompt and continuation
  int64_t tokens_per_step = 512;  // max rows of one forward pass; at least `slots`
  // Number of pages of keys and values, of kPagePositions tokens. 0: enough for `slots` sequences
  // of `capacity` tokens, so that none is pre-empted.
  int64_t pages = 0;
};

struct GeneratorStats {
  // Number of tokens that were there when their sequence was admitted, and computed since: prompts,
  // and again the tokens of pre-empted sequences.
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;     // number of such tokens that were shared instead
  int64_t generated_tokens = 0;  // number of tokens sampled
  int64_t preemptions = 0;
  int64_t max_pages_in_use = 0;  // max number of pages that sequences of one step held
  // Time of the steps, divided by rows between such tokens and continuations.
  double prompt_seconds = 0, generate_seconds = 0;
};

class Generator {
 public:
  // The model must outlive the generator; when its values change, cached keys and values of the old
  // ones are not used any more. Throws Error for a capacity beyond the model's positions and when
  // memory cannot be reserved. `workspace` is borrowed for each step, from a trainer for example,
  // and grows if a step needs more; without one the generator makes its own.
  Generator(const Model& model, const GeneratorLimits& limits,
            std::shared_ptr<Arena> workspace = nullptr);

  // Max memory of a generator of these limits. Reserved at construction, touched as it fills.
  // adapters: those that requests name.
  struct Memory {
    size_t cache = 0;      // keys and values
    size_t workspace = 0;  // the arena of a step
    size_t total() const { return cache + workspace; }
    // The same with a workspace that is there already and holds `bytes`.
    size_t Beside(size_t bytes) const {
      return cache + (workspace > bytes ? workspace - bytes : 0);
    }
  };
  static Memory Plan(const Model& model, const GeneratorLimits& limits,
                     const LoraExtent& adapters = {});

  // Throws Error(kInvalidArgument) for parameters out of range, ids outside the vocabulary, and a
  // prompt that together with max_tokens fits neither the capacity nor all pages. May be called
  // from any thread.
  void Check(const GenerateRequest& request) const;
  // Queues a request. Throws Error as Check.
  void Submit(GenerateRequest request);
  // One forward pass. False, and nothing done, when there is neither a running nor a waiting
  // sequence. Throws Error(kDiverged) when logits are not finite: all sequences are then dropped.
  bool Step();
  // Submits all, steps until done; results in order of the requests, whose on_done is not called.
  std::vector<Generation> Run(std::vector<GenerateRequest> requests);
  // Ends all running and waiting sequences without their on_done.
  void Cancel();
  // Drops all cached keys and values. No sequence may be running.
  void ForgetPrefixes();

  int64_t num_running() const { return static_cast<int64_t>(running_.size()); }
  int64_t num_waiting() const { return static_cast<int64_t>(waiting_.size()); }
  const GeneratorLimits& limits() const { return limits_; }
  const GeneratorStats& stats() const { return stats_; }
  // Number of pages that running sequences hold.
  int64_t PagesInUse() const { return cache_.PagesInUse(); }

 private:
  struct Sequence {
    GenerateRequest request;
    std::vector<int32_t> tokens;  // prompt, then the sampled tokens
    CachedSequence cached;
    Generation result;
    bool done = false;
    bool failed = false;  // on_error was called
    bool preempted = false;
    int64_t known = 0;  // number of tokens when it was admitted
    int64_t taken = 0;  // number of tokens in this step's batch
    int64_t pending() const { return static_cast<int64_t>(tokens.size()) - cached.length; }
  };
  void Enqueue(GenerateRequest request);
  void Admit();
  bool WorthWaiting(const Sequence& sequence) const;
  bool Start(Sequence& sequence);
  void ReservePages();
  void Preempt();
  uint64_t VersionOf(const GenerateRequest& request) const;
  void OrderByAdapter();
  Batch PlanStep();
  std::vector<AdapterRows> RowsByAdapter() const;
  struct HeadRow;
  std::vector<HeadRow> RowsForHead(std::span<const int64_t> first) const;
  void RunHead(const Tensor& hidden, std::span<const HeadRow> rows, std::span<SampledToken> picked);
  void CheckFinite(std::span<const HeadRow> rows, std::span<const SampledToken> picked);
  void Sample(const Tensor& hidden, std::span<const int64_t> first);
  void DropCancelled();
  static void Finish(Sequence& sequence);
  void Deliver(Sequence& sequence, const SampledToken& token);
  void Retire();

  const Model& model_;
  GeneratorLimits limits_;
  PrefixCache cache_;
  std::shared_ptr<Arena> workspace_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;  // in order of admission
  LoraExtent reserved_;                             // adapters that workspace_ has room for
  std::vector<Sequence*> batch_;  // running_ as rows of the step's batch: by adapter
  GeneratorStats stats_;
};

}  // namespace lorikeet
