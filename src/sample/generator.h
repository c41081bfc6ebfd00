// Sequences that the model continues, many at once: a request joins the running batch when a cache
// slot is free and leaves when it is done. One Step is one forward pass, in which every running
// sequence gets its next token and waiting prompts are read, in chunks. What a sequence becomes
// depends on its request alone: neither on the batch, nor on the chunks, nor on the threads, bit
// for bit.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "model/batch.h"
#include "model/lora.h"
#include "model/weights.h"
#include "sample/prefix_cache.h"
#include "sample/sampler.h"

namespace lorikeet {

enum class StopReason : uint8_t {
  kLength,    // max_tokens
  kStop,      // a stop token, which is the last of the tokens
  kCallback,  // on_token returned false
};
const char* StopReasonName(StopReason reason);  // "length", "stop", "callback"

struct Generation {
  std::vector<int32_t> tokens;          // sampled, a stop token included
  std::vector<float> logprobs;          // of each, at temperature 1: the training forward's bits
  std::vector<float> sampled_logprobs;  // of each, under the distribution it was drawn from
  StopReason reason = StopReason::kLength;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, taken over from a slot instead of computed
};

struct GenerateRequest {
  std::vector<int32_t> prompt;  // at least one token
  SamplingParams params;
  // Names this sample: the random number of the token at position p is that of
  // (params.seed, "sample", key, p). Samples of one prompt need different keys.
  uint64_t key = 0;
  // For every token, the stop token included; false ends the sequence. Must not throw, nor call the
  // generator. May be empty.
  std::function<bool(const SampledToken&)> on_token = {};
  // Once, at the end; the same holds.
  std::function<void(Generation&&)> on_done = {};
};

struct GeneratorLimits {
  int64_t slots = 8;              // sequences that run at once
  int64_t capacity = 0;           // most tokens of a sequence, prompt and continuation
  int64_t tokens_per_step = 512;  // rows of one forward pass; at least `slots`
};

struct GeneratorStats {
  int64_t prompt_tokens = 0;     // computed
  int64_t cached_tokens = 0;     // of prompts, taken over
  int64_t generated_tokens = 0;  // sampled
  // Time of the steps, shared out by rows between prompts and continuations.
  double prompt_seconds = 0, generate_seconds = 0;
};

class Generator {
 public:
  // adapter may be null. Both must outlive the generator. Throws Error for a capacity beyond the
  // model's positions and when memory cannot be reserved.
  Generator(const Model& model, const LoraWeights* adapter, const GeneratorLimits& limits);

  // What a generator of these limits holds at most: the cache and the arena of a step. Reserved at
  // construction, touched as it fills.
  static size_t Bytes(const Model& model, const LoraWeights* adapter,
                      const GeneratorLimits& limits);

  // Queues a request. Throws Error(kInvalidArgument) for parameters out of range, ids outside the
  // vocabulary, and a prompt that does not fit the capacity together with max_tokens.
  void Submit(GenerateRequest request);
  // One forward pass. False, and nothing done, when there is neither a running nor a waiting
  // sequence. Throws Error(kDiverged) when logits are not finite: all sequences are then dropped.
  bool Step();
  // Submits all, steps until done; results in order of the requests, whose on_done is not called.
  std::vector<Generation> Run(std::vector<GenerateRequest> requests);
  // Ends all running and waiting sequences without their on_done.
  void Cancel();
  // After the weights have moved. No sequence may be running.
  void ForgetPrefixes();

  int64_t num_running() const { return static_cast<int64_t>(running_.size()); }
  int64_t num_waiting() const { return static_cast<int64_t>(waiting_.size()); }
  const GeneratorLimits& limits() const { return limits_; }
  const GeneratorStats& stats() const { return stats_; }

 private:
  struct Sequence {
    GenerateRequest request;
    std::vector<int32_t> tokens;  // prompt, then what was sampled
    int slot = -1;
    Generation result;
    bool done = false;
    int64_t computed = 0;  // tokens whose keys and values are in the slot
    int64_t taken = 0;     // tokens of this step's batch
    int64_t pending() const { return static_cast<int64_t>(tokens.size()) - computed; }
  };
  void Admit();
  bool WorthWaiting(const std::vector<int32_t>& prompt) const;
  void Start(GenerateRequest request);
  Batch PlanStep();
  void Sample(const Tensor& hidden);
  void Deliver(Sequence& sequence, const SampledToken& token);
  void Retire();

  const Model& model_;
  const LoraWeights* adapter_;
  GeneratorLimits limits_;
  PrefixCache cache_;
  Arena arena_;
  std::deque<GenerateRequest> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;  // in order of admission
  GeneratorStats stats_;
};

}  // namespace lorikeet
