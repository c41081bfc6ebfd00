#include "sample/generator.h"

#include <fmt/format.h>

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
  return static_cast<int64_t>(request.prompt.size()) +
         std::max<int64_t>(request.params.max_tokens, 1) - 1;
}

void CheckParams(const GenerateRequest& request, int64_t vocab_size) {
  SamplingParams params = request.params;
  if (request.prompt_logprobs && params.max_tokens == 0) params.max_tokens = 1;
  CheckSamplingParams(params, vocab_size);
}

void CheckRequest(const GenerateRequest& request, int64_t vocab_size,
                  const GeneratorLimits& limits) {
  CheckParams(request, vocab_size);
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
    case StopReason::kNoToken:
      return "no token";
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

void Generator::Check(const GenerateRequest& request) const {
  CheckRequest(request, model_.config().vocab_size, limits_);
}

void Generator::Submit(GenerateRequest request) {
  Check(request);
  Enqueue(std::move(request));
}

void Generator::Enqueue(GenerateRequest request) {
  auto sequence = std::make_unique<Sequence>();
  sequence->tokens = request.prompt;
  if (request.prompt_logprobs) sequence->result.prompt_logprobs.resize(request.prompt.size() - 1);
  sequence->result.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  sequence->request = std::move(request);
  waiting_.push_back(std::move(sequence));
}

// True while a running sequence is still computing a prefix that this one shares.
bool Generator::WorthWaiting(const Sequence& sequence) const {
  if (sequence.request.prompt_logprobs) return false;
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
  // Log-probabilities need the hidden states of the whole prompt, which are not cached.
  const std::span<const int32_t> tokens = sequence.tokens;
  sequence.cached =
      cache_.Acquire(VersionOf(request), request.prompt_logprobs ? tokens.first(1) : tokens);
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
  DropCancelled();
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
  std::vector<int64_t> firsts;  // positions of the sequences' first rows
  for (Sequence* sequence : batch_) {
    const auto first = static_cast<size_t>(sequence->cached.length);
    firsts.push_back(sequence->cached.length);
    if (sequence->cached.length < sequence->known) prompt_rows += sequence->taken;
    cache_.Append(sequence->cached,
                  std::span(sequence->tokens).subspan(first, static_cast<size_t>(sequence->taken)));
  }
  Sample(hidden, firsts);
  Retire();
  const double seconds = Now() - start;
  const double prompt_share = static_cast<double>(prompt_rows) / batch.num_tokens();
  stats_.prompt_tokens += prompt_rows;
  stats_.prompt_seconds += seconds * prompt_share;
  stats_.generate_seconds += seconds * (1 - prompt_share);
  return true;
}

// A row of the step's batch whose logits are computed: to draw a token, or to score the next token
// in the prompt.
struct Generator::HeadRow {
  Sequence* sequence;
  int64_t row;       // in the batch
  int64_t position;  // in the sequence
  bool draws;
};

// first: position of each sequence's first row.
std::vector<Generator::HeadRow> Generator::RowsForHead(std::span<const int64_t> first) const {
  std::vector<HeadRow> rows;
  int64_t row = 0;
  for (size_t k = 0; k < batch_.size(); ++k) {
    Sequence& sequence = *batch_[k];
    const GenerateRequest& request = sequence.request;
    for (int64_t i = 0; i < sequence.taken; ++i, ++row) {
      const int64_t position = first[k] + i;
      const bool scores = request.prompt_logprobs && position + 1 < std::ssize(request.prompt);
      const bool draws =
          position + 1 == std::ssize(sequence.tokens) && request.params.max_tokens > 0;
      if (scores || draws) rows.push_back({&sequence, row, position, draws});
    }
  }
  return rows;
}

// hidden (T, D) f32.
void Generator::RunHead(const Tensor& hidden, std::span<const HeadRow> rows,
                        std::span<SampledToken> picked) {
  const ArenaScope scope(*workspace_);
  const int64_t n = std::ssize(rows);
  const auto take = [&](int64_t cols) {
    return workspace_->Take("logits", DType::kF32, {n, cols});
  };
  const Tensor last = take(hidden.cols()), logits = take(model_.config().vocab_size);
  std::vector<AdapterRows> adapters;
  std::vector<RowToSample> drawn;
  std::vector<int64_t> in_batch;
  for (int64_t i = 0; i < n; ++i) {
    const HeadRow& row = rows[static_cast<size_t>(i)];
    const GenerateRequest& request = row.sequence->request;
    in_batch.push_back(row.row);
    AddRows(i, i + 1, request.adapter.get(), &adapters);
    RowToSample& draw = drawn.emplace_back();
    draw.params = &request.params;
    draw.top = request.top_logprobs;
    if (!row.draws) {
      draw.given = request.prompt[static_cast<size_t>(row.position) + 1];
      continue;
    }
    const RandomStream random(request.params.seed, "sample", {}, request.key);
    draw.u = random.Uniform(row.sequence->tokens.size());
    if (request.edit_logits) draw.edit = &request.edit_logits;
  }
  CopyRows(hidden, in_batch, last);
  HeadLogits(model_, adapters, last, logits, *workspace_);
  SampleRows(logits, drawn, picked);
}

void Generator::CheckFinite(std::span<const HeadRow> rows, std::span<const SampledToken> picked) {
  for (size_t i = 0; i < rows.size(); ++i) {
    Sequence& sequence = *rows[i].sequence;
    if (std::isfinite(picked[i].logprob) || sequence.failed) continue;
    const Error error(
        ErrorCode::kDiverged,
        fmt::format("the model's logits at position {} are not finite; its weights or its adapter "
                    "are broken",
                    rows[i].position + 1));
    if (!sequence.request.on_error) {
      Cancel();
      cache_.Forget();
      throw error;
    }
    sequence.request.on_error(error);
    sequence.failed = sequence.done = true;
  }
}

// Draws the next token of every sequence whose tokens are all computed. hidden (T, D) f32.
void Generator::Sample(const Tensor& hidden, std::span<const int64_t> first) {
  const std::vector<HeadRow> rows = RowsForHead(first);
  const auto chunk = static_cast<size_t>(HeadRows(model_, limits_));
  std::vector<SampledToken> picked(rows.size());
  for (size_t begin = 0; begin < rows.size(); begin += chunk) {
    const size_t count = std::min(chunk, rows.size() - begin);
    RunHead(hidden, std::span(rows).subspan(begin, count), std::span(picked).subspan(begin, count));
  }
  CheckFinite(rows, picked);
  for (size_t i = 0; i < rows.size(); ++i) {
    Sequence& sequence = *rows[i].sequence;
    if (sequence.failed) continue;
    if (rows[i].draws) {
      ++stats_.generated_tokens;
      Deliver(sequence, picked[i]);
    } else {
      sequence.result.prompt_logprobs[static_cast<size_t>(rows[i].position)] = std::move(picked[i]);
    }
  }
  for (Sequence* sequence : batch_) {
    if (sequence->request.params.max_tokens == 0 && sequence->pending() == 0) sequence->done = true;
  }
}

void Generator::DropCancelled() {
  const auto drop = [](Sequence& sequence) {
    const auto& cancelled = sequence.request.cancelled;
    if (cancelled == nullptr || !cancelled->load()) return false;
    sequence.done = true;
    sequence.result.reason = StopReason::kCallback;
    return true;
  };
  for (const auto& sequence : waiting_) {
    if (drop(*sequence)) Finish(*sequence);
  }
  std::erase_if(waiting_, [](const auto& sequence) { return sequence->done; });
  for (const auto& sequence : running_) drop(*sequence);
  Retire();
}

void Generator::Finish(Sequence& sequence) {
  if (sequence.request.on_done && !sequence.failed) {
    sequence.request.on_done(std::move(sequence.result));
  }
}

void Generator::Deliver(Sequence& sequence, const SampledToken& token) {
  Generation& result = sequence.result;
  if (token.token < 0) {
    sequence.done = true;
    result.reason = StopReason::kNoToken;
    return;
  }
  sequence.tokens.push_back(token.token);
  result.tokens.push_back(token.token);
  result.logprobs.push_back(token.logprob);
  result.sampled_logprobs.push_back(token.sampled_logprob);
  if (sequence.request.top_logprobs > 0) result.top.push_back(token.top);
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
    Finish(*sequence);
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
