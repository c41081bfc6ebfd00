#include "train/scoring.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>

#include "core/arena.h"
#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/json.h"
#include "core/machine.h"
#include "data/packer.h"
#include "model/loss_head.h"
#include "model/transformer.h"
#include "plan/memory_plan.h"

namespace lorikeet {
namespace {

int64_t Longest(const std::vector<Example>& examples) {
  int64_t longest = 1;
  for (const Example& example : examples) longest = std::max(longest, example.num_tokens());
  return longest;
}

Arena MakeArena(size_t bytes, int64_t tokens) {
  const int64_t available = ReadMemory().available;
  if (static_cast<int64_t>(bytes) > available) {
    Fail(ErrorCode::kOutOfMemory,
         "{} tokens at once need {} of memory, and {} are available; lower max_length or "
         "batch_tokens",
         tokens, HumanBytes(static_cast<int64_t>(bytes)), HumanBytes(available));
  }
  return Arena(bytes);
}

// The header of a safetensors file that holds one f32 matrix.
std::string LogitsHeader(int64_t rows, int64_t cols) {
  const int64_t bytes = rows * cols * static_cast<int64_t>(sizeof(float));
  const OrderedJson json = {
      {"__metadata__", {{"format", "pt"}}},
      {"logits", {{"dtype", "F32"}, {"shape", {rows, cols}}, {"data_offsets", {0, bytes}}}}};
  std::string text = json.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // the data begins aligned
  const uint64_t size = text.size();
  std::string header(sizeof size, '\0');
  std::memcpy(header.data(), &size, sizeof size);
  return header + text;
}

Batch OneSequence(const Example& example) {
  Batch batch;
  batch.tokens = example.tokens;
  batch.tokens.push_back(example.target_tokens.back());
  batch.positions.resize(batch.tokens.size());
  std::iota(batch.positions.begin(), batch.positions.end(), 0);
  batch.cu_seqlens = {0, static_cast<int32_t>(batch.tokens.size())};
  return batch;
}

}  // namespace

Score ScoreExamples(const Model& model, const LoraWeights* adapter,
                    const std::vector<Example>& examples, const ScoreOptions& options) {
  const int64_t budget = std::max(options.batch_tokens, Longest(examples));
  Arena arena = MakeArena(ForwardArenaBytes(model, adapter, budget), budget);
  std::vector<const Example*> pointers;
  for (const Example& example : examples) pointers.push_back(&example);
  Score score;
  score.sequences = static_cast<int64_t>(examples.size());
  if (options.logprobs) score.logprobs.resize(examples.size());
  double loss_sum = 0, weight_sum = 0;
  for (const PackedBatch& packed : Pack(pointers, budget)) {
    const ArenaScope scope(arena);
    const Tensor hidden = Forward(model, packed.batch, {.adapter = adapter}, arena);
    // The head leaves out rows of weight 0: to get all log-probabilities, pass weights of 1.
    const std::vector<float> ones(options.logprobs ? packed.weights.size() : 0, 1.0F);
    const TokenLoss loss = [&](int64_t row, float logprob) {
      return TokenGrad{-static_cast<double>(packed.weights[static_cast<size_t>(row)]) * logprob, 0};
    };
    const LossHeadOutput head = LossHead(
        model, adapter, {hidden, packed.targets, options.logprobs ? ones : packed.weights}, loss,
        /*backward=*/false, arena);
    loss_sum += head.loss_sum;
    score.tokens += packed.batch.num_tokens();
    for (const float weight : packed.weights) {
      weight_sum += weight;
      score.counted_tokens += weight != 0 ? 1 : 0;
    }
    if (options.logprobs) packed.Scatter(head.logprobs, score.logprobs);
  }
  score.nll = weight_sum > 0 ? loss_sum / weight_sum : 0;
  return score;
}

Buffer ComputeLogits(const Model& model, const LoraWeights* adapter, const Batch& batch) {
  const int64_t T = batch.num_tokens(), chunk = HeadChunkRows(model.config());
  Arena arena = MakeArena(ForwardArenaBytes(model, adapter, T), T);
  const Tensor hidden = Forward(model, batch, {.adapter = adapter}, arena);
  Buffer logits(DType::kF32, {T, model.config().vocab_size});
  for (int64_t begin = 0; begin < T; begin += chunk) {
    const int64_t end = std::min(T, begin + chunk);
    HeadLogits(model, AllRows(adapter, end - begin), hidden.Rows(begin, end),
               logits.tensor().Rows(begin, end), arena);
  }
  return logits;
}

void WriteLogits(const Model& model, const LoraWeights* adapter,
                 const std::vector<Example>& examples, const std::string& path) {
  const int64_t V = model.config().vocab_size, longest = Longest(examples) + 1;
  const int64_t chunk = std::min(longest, HeadChunkRows(model.config()));
  const auto chunk_bytes = static_cast<size_t>(chunk * V) * sizeof(float);
  Arena arena = MakeArena(ForwardArenaBytes(model, adapter, longest) + chunk_bytes + 64, longest);
  int64_t rows = 0;
  for (const Example& example : examples) rows += example.num_tokens() + 1;
  WriteFileAtomically(path, [&](int fd) {
    const std::string header = LogitsHeader(rows, V);
    WriteAll(fd, header.data(), header.size(), path);
    for (const Example& example : examples) {
      const ArenaScope scope(arena);
      const Tensor hidden = Forward(model, OneSequence(example), {.adapter = adapter}, arena);
      for (int64_t begin = 0; begin < hidden.rows(); begin += chunk) {
        const ArenaScope inner(arena);
        const int64_t end = std::min(begin + chunk, hidden.rows());
        const Tensor logits = arena.Take("logits", DType::kF32, {end - begin, V});
        HeadLogits(model, AllRows(adapter, end - begin), hidden.Rows(begin, end), logits, arena);
        WriteAll(fd, logits.data, static_cast<size_t>(logits.bytes()), path);
      }
    }
  });
}

}  // namespace lorikeet
