#include "sample/generator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/random.h"
#include "model/loss_head.h"
#include "model/transformer.h"

namespace lorikeet {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A shared prefix that is being read right now is waited for when it saves this many tokens more.
constexpr int64_t kWorthwhilePrefix = 16;

int64_t HeadRows(const Model& model, const GeneratorLimits& limits) {
  return std::min(limits.slots, HeadChunkRows(model.config()));
}

// A token's share of a layer of experts (model/moe.h), which has none of a dense MLP's.
int64_t ExpertRow(const ModelConfig& c, int64_t ranks) {
  if (c.num_experts == 0) return 0;
  const int64_t kept = 2 * c.moe_intermediate_size + ranks + 4;
  return c.num_experts_per_tok * kept + 3 * c.num_experts + c.moe_intermediate_size + 1;
}

// An upper bound of a step's arena, every number taken as f32: the residual, one layer at a time,
// and a chunk of the head. Beyond what is used it costs address space only.
size_t StepBytes(const Model& model, const LoraWeights* adapter, const GeneratorLimits& limits) {
  const ModelConfig& c = model.config();
  int64_t ranks = 0, head_rank = 0;
  if (adapter != nullptr) {
    for (const LoraFactors& factors : adapter->slots()) ranks = std::max(ranks, factors.r);
    const LoraFactors* head = adapter->Find(model.weights().lm_head);
    if (head != nullptr) head_rank = head->r;
    constexpr int64_t kLinears = 9;  // of a layer that are adapted, at most
    ranks *= kLinears;
  }
  const int64_t norms = 4 + c.num_attention_heads * 2 + c.num_key_value_heads;
  const int64_t row = c.hidden_size * 6 + c.q_size() * 4 + c.kv_size() * 4 +
                      c.intermediate_size * 6 + c.head_dim + norms + ranks + ExpertRow(c, ranks);
  const int64_t head_row = c.vocab_size + c.hidden_size * 3 + 1 + 2 * head_rank;
  const int64_t floats = limits.tokens_per_step * row + HeadRows(model, limits) * head_row;
  constexpr int64_t kAlignment = 64 * 64;  // of about as many blocks
  return static_cast<size_t>(floats * 4 + kAlignment);
}

GeneratorLimits Checked(const Model& model, GeneratorLimits limits) {
  if (limits.slots < 1 || limits.slots > (1 << 20)) {
    Fail(ErrorCode::kInvalidArgument, "sequences at once: {} is not from 1 to {}", limits.slots,
         1 << 20);
  }
  const int64_t most = model.config().max_position_embeddings;
  if (limits.capacity < 2 || limits.capacity > most) {
    Fail(ErrorCode::kInvalidArgument,
         "prompt and answer may take {} tokens, but this model's context holds 2 to {}; shorten "
         "the prompt or lower max_tokens",
         limits.capacity, most);
  }
  limits.tokens_per_step = std::max(limits.tokens_per_step, limits.slots);
  return limits;
}

void CheckRequest(const GenerateRequest& request, int64_t vocab_size, int64_t capacity) {
  CheckSamplingParams(request.params, vocab_size);
  if (request.prompt.empty()) {
    Fail(ErrorCode::kInvalidArgument, "the prompt is empty; give at least one token");
  }
  for (const int32_t token : request.prompt) {
    if (token < 0 || token >= vocab_size) {
      Fail(ErrorCode::kInvalidArgument,
           "prompt: token id {} is beyond the model's vocabulary of {}", token, vocab_size);
    }
  }
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (request.params.max_tokens > capacity - length) {
    Fail(ErrorCode::kInvalidArgument,
         "a prompt of {} tokens and max_tokens {} do not fit the {} tokens of a sequence; shorten "
         "the prompt or lower max_tokens",
         length, request.params.max_tokens, capacity);
  }
}

bool IsStop(const SamplingParams& params, int32_t token) {
  const auto& stops = params.stop_tokens;
  return std::find(stops.begin(), stops.end(), token) != stops.end();
}

}  // namespace

const char* StopReasonName(StopReason reason) {
  switch (reason) {
    case StopReason::kLength:
      return "length";
    case StopReason::kStop:
      return "stop";
    case StopReason::kCallback:
      return "callback";
  }
  return "";
}

Generator::Generator(const Model& model, const LoraWeights* adapter, const GeneratorLimits& limits)
    : model_(model),
      adapter_(adapter),
      limits_(Checked(model, limits)),
      cache_(model.config(), model.compute(), limits_.slots, limits_.capacity),
      arena_(StepBytes(model, adapter, limits_)) {}

size_t Generator::Bytes(const Model& model, const LoraWeights* adapter,
                        const GeneratorLimits& limits) {
  const GeneratorLimits checked = Checked(model, limits);
  return KvCache::Bytes(model.config(), model.compute(), checked.slots, checked.capacity) +
         StepBytes(model, adapter, checked);
}

void Generator::Submit(GenerateRequest request) {
  CheckRequest(request, model_.config().vocab_size, limits_.capacity);
  waiting_.push_back(std::move(request));
}

// True while a running sequence is still reading a prefix that this prompt shares.
bool Generator::WorthWaiting(const std::vector<int32_t>& prompt) const {
  int64_t planned = 0;
  for (const auto& sequence : running_) {
    planned = std::max(planned, CommonPrefix(prompt, sequence->request.prompt));
  }
  return planned >= kWorthwhilePrefix &&
         planned >= cache_.LongestPrefix(prompt) + kWorthwhilePrefix;
}

void Generator::Admit() {
  for (auto it = waiting_.begin(); it != waiting_.end() && cache_.HasFree();) {
    if (WorthWaiting(it->prompt)) {
      ++it;
      continue;
    }
    Start(std::move(*it));
    it = waiting_.erase(it);
  }
}

void Generator::Start(GenerateRequest request) {
  auto sequence = std::make_unique<Sequence>();
  sequence->tokens = request.prompt;
  sequence->slot = cache_.Acquire(request.prompt);
  sequence->computed = static_cast<int64_t>(cache_.Tokens(sequence->slot).size());
  sequence->result.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  sequence->result.cached_tokens = sequence->computed;
  stats_.cached_tokens += sequence->computed;
  sequence->request = std::move(request);
  running_.push_back(std::move(sequence));
}

// Every sequence that is past its prompt gets its row; prompts share the rest, first come first.
Batch Generator::PlanStep() {
  int64_t left = limits_.tokens_per_step;
  for (const auto& sequence : running_) {
    sequence->taken = sequence->pending() == 1 ? 1 : 0;
    left -= sequence->taken;
  }
  Batch batch{.cu_seqlens = {0}};
  for (const auto& sequence : running_) {
    if (sequence->taken == 0) {
      sequence->taken = std::min(left, sequence->pending());
      left -= sequence->taken;
    }
    for (int64_t i = 0; i < sequence->taken; ++i) {
      batch.tokens.push_back(sequence->tokens[sequence->computed + i]);
      batch.positions.push_back(static_cast<int32_t>(sequence->computed + i));
    }
    if (sequence->taken > 0) {
      batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
    }
  }
  return batch;
}

bool Generator::Step() {
  const double start = Now();
  Admit();
  if (running_.empty()) return false;
  const Batch batch = PlanStep();
  std::vector<int> slots;
  for (const auto& sequence : running_) {
    if (sequence->taken > 0) slots.push_back(sequence->slot);
  }
  const ArenaScope scope(arena_);
  const Tensor hidden =
      Forward(model_, batch, {.adapter = adapter_, .cache = &cache_.kv(), .slots = slots}, arena_);
  int64_t prompt_rows = 0;
  for (const auto& sequence : running_) {
    const auto first = static_cast<size_t>(sequence->computed);
    cache_.Append(sequence->slot,
                  std::span(sequence->tokens).subspan(first, static_cast<size_t>(sequence->taken)));
    if (sequence->computed < sequence->result.prompt_tokens) prompt_rows += sequence->taken;
    sequence->computed += sequence->taken;
  }
  Sample(hidden);
  Retire();
  const double seconds = Now() - start;
  const double prompt_share = static_cast<double>(prompt_rows) / batch.num_tokens();
  stats_.prompt_tokens += prompt_rows;
  stats_.prompt_seconds += seconds * prompt_share;
  stats_.generate_seconds += seconds * (1 - prompt_share);
  return true;
}

// Draws the next token of every sequence whose tokens are all computed. hidden (T, D) f32.
void Generator::Sample(const Tensor& hidden) {
  std::vector<Sequence*> ready;
  std::vector<int64_t> rows;
  int64_t row = 0;
  for (const auto& sequence : running_) {
    row += sequence->taken;
    if (sequence->taken == 0 || sequence->pending() > 0) continue;
    ready.push_back(sequence.get());
    rows.push_back(row - 1);
  }
  const int64_t n = static_cast<int64_t>(ready.size()), D = hidden.cols();
  const int64_t chunk = std::min(n, HeadRows(model_, limits_));
  std::vector<RowToSample> drawn(ready.size());
  std::vector<SampledToken> picked(ready.size());
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const ArenaScope scope(arena_);
    const auto count = static_cast<size_t>(std::min(chunk, n - begin));
    const auto take = [&](int64_t cols) {
      return arena_.Take("logits", DType::kF32, {static_cast<int64_t>(count), cols});
    };
    const Tensor last = take(D), logits = take(model_.config().vocab_size);
    for (size_t i = 0; i < count; ++i) {
      const Sequence& s = *ready[begin + i];
      std::memcpy(last.as<float>() + i * D, hidden.as<float>() + rows[begin + i] * D,
                  static_cast<size_t>(D) * sizeof(float));
      const RandomStream random(s.request.params.seed, "sample", {}, s.request.key);
      drawn[begin + i] = {&s.request.params, random.Uniform(s.tokens.size())};
    }
    HeadLogits(model_, AllRows(adapter_, last.rows()), last, logits, arena_);
    SampleRows(logits, std::span(drawn).subspan(begin, count),
               std::span(picked).subspan(begin, count));
  }
  for (size_t i = 0; i < ready.size(); ++i) {
    if (std::isfinite(picked[i].logprob)) continue;
    const size_t position = ready[i]->tokens.size();
    Cancel();
    cache_.Clear();
    Fail(ErrorCode::kDiverged,
         "the model's logits at position {} are not finite; its weights or its adapter are broken",
         position);
  }
  stats_.generated_tokens += n;
  for (size_t i = 0; i < ready.size(); ++i) Deliver(*ready[i], picked[i]);
}

void Generator::Deliver(Sequence& sequence, const SampledToken& token) {
  Generation& result = sequence.result;
  sequence.tokens.push_back(token.token);
  result.tokens.push_back(token.token);
  result.logprobs.push_back(token.logprob);
  result.sampled_logprobs.push_back(token.sampled_logprob);
  const bool more = !sequence.request.on_token || sequence.request.on_token(token);
  const SamplingParams& params = sequence.request.params;
  const bool full = static_cast<int64_t>(result.tokens.size()) == params.max_tokens;
  const bool stop = IsStop(params, token.token);
  sequence.done = !more || full || stop;
  result.reason = stop ? StopReason::kStop : !more ? StopReason::kCallback : StopReason::kLength;
}

void Generator::Retire() {
  for (const auto& sequence : running_) {
    if (!sequence->done) continue;
    cache_.Release(sequence->slot);
    if (sequence->request.on_done) sequence->request.on_done(std::move(sequence->result));
  }
  std::erase_if(running_, [](const auto& sequence) { return sequence->done; });
}

std::vector<Generation> Generator::Run(std::vector<GenerateRequest> requests) {
  std::vector<Generation> results(requests.size());
  // All before the first is queued: a bad one must not leave others behind.
  for (const GenerateRequest& request : requests) {
    CheckRequest(request, model_.config().vocab_size, limits_.capacity);
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].on_done = [&results, i](Generation&& done) { results[i] = std::move(done); };
    waiting_.push_back(std::move(requests[i]));
  }
  while (Step()) {
  }
  return results;
}

void Generator::Cancel() {
  for (const auto& sequence : running_) cache_.Release(sequence->slot);
  running_.clear();
  waiting_.clear();
}

void Generator::ForgetPrefixes() {
  CHECK(running_.empty());
  cache_.Forget();
}

}  // namespace lorikeet
