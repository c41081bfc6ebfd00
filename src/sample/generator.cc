#include "sample/generator.h"

#include <algorithm>
#include <cmath>

#include "core/clock.h"
#include "core/error.h"
#include "core/random.h"
#include "kernels/copy.h"
#include "model/loss_head.h"
#include "model/transformer.h"
#include "plan/memory_plan.h"

namespace lorikeet {
namespace {

// A shared prefix that is being read right now is waited for when it saves this many tokens more.
constexpr int64_t kWorthwhilePrefix = 16;

int64_t HeadRows(const Model& model, const GeneratorLimits& limits) {
  return std::min(limits.slots, HeadChunkRows(model.config()));
}

// The arena of the largest step of adapters of up to this extent.
size_t StepBytes(const Model& model, const LoraExtent& adapters, const GeneratorLimits& limits) {
  return DecodeArenaBytes(model, adapters, limits.tokens_per_step, HeadRows(model, limits));
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
  if (limits.pages < 0) {
    Fail(ErrorCode::kInvalidArgument, "pages of keys and values: {} is not positive", limits.pages);
  }
  if (limits.pages == 0) limits.pages = limits.slots * KvCache::PagesFor(limits.capacity);
  return limits;
}

// Number of positions that a request may write: its last token is sampled only.
int64_t PositionsOf(const GenerateRequest& request) {
  return static_cast<int64_t>(request.prompt.size()) + request.params.max_tokens - 1;
}

void CheckRequest(const GenerateRequest& request, int64_t vocab_size,
                  const GeneratorLimits& limits) {
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
  if (request.params.max_tokens > limits.capacity - length) {
    Fail(ErrorCode::kInvalidArgument,
         "a prompt of {} tokens and max_tokens {} do not fit the {} tokens of a sequence; shorten "
         "the prompt or lower max_tokens",
         length, request.params.max_tokens, limits.capacity);
  }
  if (KvCache::PagesFor(PositionsOf(request)) > limits.pages) {
    Fail(ErrorCode::kInvalidArgument,
         "a prompt of {} tokens and max_tokens {} need {} pages of keys and values, of {} in all; "
         "shorten the prompt or lower max_tokens",
         length, request.params.max_tokens, KvCache::PagesFor(PositionsOf(request)), limits.pages);
  }
}

// Adds the rows [begin, end), which follow those in *rows, to the ranges of adapters.
void AddRows(int64_t begin, int64_t end, const LoraWeights* weights,
             std::vector<AdapterRows>* rows) {
  if (weights == nullptr || begin == end) return;
  if (!rows->empty() && rows->back().weights == weights && rows->back().end == begin) {
    rows->back().end = end;
  } else {
    rows->push_back({begin, end, weights});
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

Generator::Generator(const Model& model, const GeneratorLimits& limits,
                     std::shared_ptr<Arena> workspace)
    : model_(model),
      limits_(Checked(model, limits)),
      cache_(model.config(), model.compute(), limits_.pages),
      workspace_(workspace == nullptr ? std::make_shared<Arena>(0) : std::move(workspace)) {
  workspace_->Reserve(StepBytes(model, {}, limits_));
}

Generator::Memory Generator::Plan(const Model& model, const GeneratorLimits& limits,
                                  const LoraExtent& adapters) {
  const GeneratorLimits checked = Checked(model, limits);
  return {KvCache::Bytes(model.config(), model.compute(), checked.pages),
          StepBytes(model, adapters, checked)};
}

uint64_t Generator::VersionOf(const GenerateRequest& request) const {
  return request.adapter == nullptr ? model_.version() : request.adapter->version();
}

void Generator::Submit(GenerateRequest request) {
  CheckRequest(request, model_.config().vocab_size, limits_);
  Enqueue(std::move(request));
}

void Generator::Enqueue(GenerateRequest request) {
  auto sequence = std::make_unique<Sequence>();
  sequence->tokens = request.prompt;
  sequence->result.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  sequence->request = std::move(request);
  waiting_.push_back(std::move(sequence));
}

// True while a running sequence is still computing a prefix that this one shares.
bool Generator::WorthWaiting(const Sequence& sequence) const {
  const uint64_t version = VersionOf(sequence.request);
  int64_t planned = 0;
  for (const auto& other : running_) {
    if (VersionOf(other->request) != version) continue;
    planned = std::max(planned, CommonPrefix(sequence.tokens, other->request.prompt));
  }
  return planned >= kWorthwhilePrefix &&
         planned >= cache_.LongestPrefix(version, sequence.tokens) + kWorthwhilePrefix;
}

// In order, but for sequences that wait for a prefix: one that lacks pages is not overtaken.
void Generator::Admit() {
  for (auto it = waiting_.begin(); it != waiting_.end() && num_running() < limits_.slots;) {
    if (WorthWaiting(**it)) {
      ++it;
      continue;
    }
    if (!Start(**it)) return;
    running_.push_back(std::move(*it));
    it = waiting_.erase(it);
  }
}

// Takes pages for a sequence's tokens and the next one, if there are as many.
bool Generator::Start(Sequence& sequence) {
  const GenerateRequest& request = sequence.request;
  const auto length = static_cast<int64_t>(sequence.tokens.size());
  sequence.cached = cache_.Acquire(VersionOf(request), sequence.tokens);
  if (!cache_.Extend(sequence.cached, std::min(length + 1, PositionsOf(request)))) {
    cache_.Release(sequence.cached);
    return false;
  }
  sequence.known = length;
  if (!sequence.preempted) sequence.result.cached_tokens = sequence.cached.length;
  stats_.cached_tokens += sequence.cached.length;
  return true;
}

// Pages for the tokens of every running sequence, the oldest first; the youngest give theirs back
// when there are too few. The oldest alone always fits (CheckRequest).
void Generator::ReservePages() {
  for (size_t i = 0; i < running_.size(); ++i) {
    const auto length = static_cast<int64_t>(running_[i]->tokens.size());
    while (i < running_.size() && !cache_.Extend(running_[i]->cached, length)) Preempt();
  }
  stats_.max_pages_in_use = std::max(stats_.max_pages_in_use, cache_.PagesInUse());
}

void Generator::Preempt() {
  CHECK(running_.size() > 1);
  Sequence& last = *running_.back();
  cache_.Release(last.cached);
  last.preempted = true;
  waiting_.push_front(std::move(running_.back()));
  running_.pop_back();
  ++stats_.preemptions;
}

// Rows of one adapter lie together, so that its factors are read once. A row's bits do not depend
// on its place.
void Generator::OrderByAdapter() {
  batch_.clear();
  LoraExtent extent;
  for (const auto& sequence : running_) {
    batch_.push_back(sequence.get());
    const LoraWeights* adapter = sequence->request.adapter.get();
    if (adapter != nullptr) extent = extent.With(adapter->Extent());
  }
  std::stable_sort(batch_.begin(), batch_.end(), [this](const Sequence* a, const Sequence* b) {
    return VersionOf(a->request) < VersionOf(b->request);
  });
  if (!reserved_.Covers(extent)) {
    reserved_ = reserved_.With(extent);
    workspace_->Reserve(StepBytes(model_, reserved_, limits_));
  }
}

std::vector<AdapterRows> Generator::RowsByAdapter() const {
  std::vector<AdapterRows> rows;
  int64_t end = 0;
  for (const Sequence* sequence : batch_) {
    const int64_t begin = end;
    end += sequence->taken;
    AddRows(begin, end, sequence->request.adapter.get(), &rows);
  }
  return rows;
}

// Every sequence that is past its prompt gets its row; prompts share the rest, first come first.
Batch Generator::PlanStep() {
  int64_t left = limits_.tokens_per_step;
  for (const auto& sequence : running_) {
    sequence->taken = sequence->pending() == 1 ? 1 : 0;
    left -= sequence->taken;
  }
  for (const auto& sequence : running_) {
    if (sequence->taken > 0) continue;
    sequence->taken = std::min(left, sequence->pending());
    left -= sequence->taken;
  }
  Batch batch{.cu_seqlens = {0}};
  for (const Sequence* sequence : batch_) {
    for (int64_t i = 0; i < sequence->taken; ++i) {
      const int64_t position = sequence->cached.length + i;
      batch.tokens.push_back(sequence->tokens[position]);
      batch.positions.push_back(static_cast<int32_t>(position));
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
  ReservePages();
  OrderByAdapter();
  const Batch batch = PlanStep();
  const std::vector<AdapterRows> adapters = RowsByAdapter();
  std::vector<const SequenceState*> states;
  for (const Sequence* sequence : batch_) {
    if (sequence->taken > 0) states.push_back(&sequence->cached.state);
  }
  const ArenaScope scope(*workspace_);
  const Tensor hidden =
      Forward(model_, batch, {.adapter_rows = adapters, .cache = &cache_.kv(), .states = states},
              *workspace_);
  int64_t prompt_rows = 0;
  for (Sequence* sequence : batch_) {
    const auto first = static_cast<size_t>(sequence->cached.length);
    if (sequence->cached.length < sequence->known) prompt_rows += sequence->taken;
    cache_.Append(sequence->cached,
                  std::span(sequence->tokens).subspan(first, static_cast<size_t>(sequence->taken)));
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
  for (Sequence* sequence : batch_) {
    row += sequence->taken;
    if (sequence->taken == 0 || sequence->pending() > 0) continue;
    ready.push_back(sequence);
    rows.push_back(row - 1);
  }
  const int64_t n = static_cast<int64_t>(ready.size()), D = hidden.cols();
  const int64_t chunk = std::min(n, HeadRows(model_, limits_));
  std::vector<RowToSample> drawn(ready.size());
  std::vector<SampledToken> picked(ready.size());
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const ArenaScope scope(*workspace_);
    const auto count = static_cast<size_t>(std::min(chunk, n - begin));
    const auto take = [&](int64_t cols) {
      return workspace_->Take("logits", DType::kF32, {static_cast<int64_t>(count), cols});
    };
    const Tensor last = take(D), logits = take(model_.config().vocab_size);
    std::vector<AdapterRows> adapters;
    for (size_t i = 0; i < count; ++i) {
      const Sequence& s = *ready[begin + i];
      const auto row_index = static_cast<int64_t>(i);
      AddRows(row_index, row_index + 1, s.request.adapter.get(), &adapters);
      const RandomStream random(s.request.params.seed, "sample", {}, s.request.key);
      drawn[begin + i] = {&s.request.params, random.Uniform(s.tokens.size())};
    }
    CopyRows(hidden, std::span(rows).subspan(static_cast<size_t>(begin), count), last);
    HeadLogits(model_, adapters, last, logits, *workspace_);
    SampleRows(logits, std::span(drawn).subspan(begin, count),
               std::span(picked).subspan(begin, count));
  }
  for (size_t i = 0; i < ready.size(); ++i) {
    if (std::isfinite(picked[i].logprob)) continue;
    const size_t position = ready[i]->tokens.size();
    Cancel();
    cache_.Forget();
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
    cache_.Release(sequence->cached);
    if (sequence->request.on_done) sequence->request.on_done(std::move(sequence->result));
  }
  std::erase_if(running_, [](const auto& sequence) { return sequence->done; });
}

std::vector<Generation> Generator::Run(std::vector<GenerateRequest> requests) {
  std::vector<Generation> results(requests.size());
  // All before the first is queued: a bad one must not leave others behind.
  for (const GenerateRequest& request : requests) {
    CheckRequest(request, model_.config().vocab_size, limits_);
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].on_done = [&results, i](Generation&& done) { results[i] = std::move(done); };
    Enqueue(std::move(requests[i]));
  }
  while (Step()) {
  }
  return results;
}

void Generator::Cancel() {
  for (const auto& sequence : running_) cache_.Release(sequence->cached);
  batch_.clear();
  running_.clear();
  waiting_.clear();
}

void Generator::ForgetPrefixes() {
  CHECK(running_.empty());
  cache_.Forget();
}

}  // namespace lorikeet
