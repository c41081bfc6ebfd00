#include "model/loss_head.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/yield.h"
#include "kernels/cast.h"
#include "kernels/copy.h"
#include "kernels/cross_entropy.h"

namespace lorikeet {
namespace {

// The head's pieces for up to HeadChunkRows rows, reused from chunk to chunk.
struct Chunk {
  Tensor hidden, xhat, x, rstd, logits, logprob, lse;  // forward
  Tensor g, dlogits, dx, dhidden;                      // backward
  Tensor lora_x_t, lora_dy_t;                          // when lm_head is adapted

  Chunk(const Model& model, const LoraFactors* lora, int64_t rows, bool backward, Arena& arena) {
    const int64_t D = model.config().hidden_size, V = model.config().vocab_size;
    const DType compute = model.compute();
    const auto take = [&](DType dtype, std::initializer_list<int64_t> shape) {
      return arena.Take("loss head", dtype, shape);
    };
    hidden = take(DType::kF32, {rows, D});
    xhat = take(compute, {rows, D});
    x = take(compute, {rows, D});
    rstd = take(DType::kF32, {rows});
    logits = take(DType::kF32, {rows, V});
    logprob = take(DType::kF32, {rows});
    lse = take(DType::kF32, {rows});
    if (lora != nullptr) lora_x_t = take(compute, {lora->r, rows});
    if (!backward) return;
    g = take(DType::kF32, {rows});
    dlogits = take(compute, {rows, V});
    dx = take(DType::kF32, {rows, D});
    dhidden = take(DType::kF32, {rows, D});
    if (lora != nullptr) lora_dy_t = take(compute, {lora->r, rows});
  }
};

struct HeadPass {
  const Model& model;
  const LoraFactors* lora;
  const LoraGradients* gradients;  // gradients of lm_head; may be null
  const LossHeadInput& input;
  Arena& arena;
  std::vector<int64_t> rows;  // with a target, ascending
  Chunk whole;                // buffers of the largest chunk
  bool backward;
  LossHeadOutput& output;

  size_t NumRows() const { return rows.size(); }
  size_t ChunkRows() const { return static_cast<size_t>(whole.hidden.rows()); }
};

void ScaleAndCap(const Model& model, const Tensor& logits) {
  const float multiplier = model.config().logit_multiplier;
  if (multiplier != 1) ScaleLogits(logits, multiplier);
  const float cap = model.config().final_logit_softcapping;
  if (cap > 0) CapLogits(logits, cap);
}

void NormAndProject(const HeadPass& pass, const Chunk& c) {
  const Model& model = pass.model;
  const Norm& norm = model.weights().norm;
  NormForward(norm, c.hidden, model.config().rms_norm_eps, c.xhat, c.x, c.rstd);
  LinearForward(model.weights().lm_head, pass.lora, c.x, c.logits, false, c.lora_x_t, pass.arena);
  ScaleAndCap(model, c.logits);
  const double temperature = pass.input.temperature;
  if (temperature != 1) ScaleLogits(c.logits, static_cast<float>(1 / temperature));
}

// The first rows of every piece of a chunk.
Chunk Shortened(const Chunk& c, int64_t rows) {
  Chunk s = c;
  for (Tensor* t : {&s.hidden, &s.xhat, &s.x, &s.rstd, &s.logits, &s.logprob, &s.lse, &s.g,
                    &s.dlogits, &s.dx, &s.dhidden}) {
    if (*t) *t = t->Rows(0, rows);
  }
  for (Tensor* t : {&s.lora_x_t, &s.lora_dy_t}) {
    if (*t) t->shape[1] = rows;  // the memory is the chunk's own: a narrower matrix fits
  }
  return s;
}

// Rows [begin, end) of a pass's rows, in buffers of their number.
struct ChunkOfRows {
  Chunk c;
  std::span<const int64_t> rows;
  std::vector<int32_t> targets;
};

// fn(chunk) for every chunk, after its forward: logits and log-probabilities are there. `kept`: the
// buffers still hold the only chunk, so that there is no forward.
template <class Fn>
void ForEachChunk(const HeadPass& pass, bool kept, const Fn& fn) {
  for (size_t begin = 0; begin < pass.NumRows(); begin += pass.ChunkRows()) {
    YieldPoint(Yield::kLayer);
    const size_t n = std::min(pass.NumRows() - begin, pass.ChunkRows());
    ChunkOfRows chunk{
        Shortened(pass.whole, static_cast<int64_t>(n)), std::span(pass.rows).subspan(begin, n), {}};
    for (const int64_t row : chunk.rows) chunk.targets.push_back(pass.input.targets[row]);
    if (!kept) {
      CopyRows(pass.input.hidden, chunk.rows, chunk.c.hidden);
      NormAndProject(pass, chunk.c);
      TargetLogprobs(chunk.c.logits, chunk.targets, chunk.c.logprob, chunk.c.lse);
    }
    fn(chunk);
  }
}

// g: d loss / d logprob of the chunk's rows.
void ChunkBackward(const HeadPass& pass, const ChunkOfRows& chunk, std::vector<float> g) {
  const Chunk& c = chunk.c;
  const Weights& w = pass.model.weights();
  const auto temperature = static_cast<float>(pass.input.temperature);
  const float cap = pass.model.config().final_logit_softcapping;
  // Now the gradient with respect to the head's product, but for the cap.
  const float multiplier = pass.model.config().logit_multiplier;
  for (float& each : g) each = each / temperature * multiplier;
  CopyFromHost(g, c.g);
  LogprobBackward(c.logits, chunk.targets, c.lse, c.g, c.dlogits, cap > 0 ? temperature / cap : 0);
  LinearBackwardInput(w.lm_head, pass.lora, c.dlogits, c.dx, false, c.lora_dy_t, pass.arena);
  LinearBackwardWeights(w.lm_head, pass.lora, pass.gradients, c.dlogits, c.x, c.lora_x_t,
                        c.lora_dy_t, pass.arena);
  Zero(c.dhidden);
  NormBackward(w.norm, c.dx, c.xhat, c.rstd, c.dhidden);
  PutRows(c.dhidden, chunk.rows, pass.output.dhidden);
}

// The log-probabilities of a chunk's rows, put into the output too.
std::vector<float> ReadLogprobs(const HeadPass& pass, const ChunkOfRows& chunk) {
  std::vector<float> logprobs(chunk.rows.size());
  CopyToHost(chunk.c.logprob, logprobs);
  for (size_t i = 0; i < logprobs.size(); ++i) pass.output.logprobs[chunk.rows[i]] = logprobs[i];
  return logprobs;
}

void RunTokenLoss(const HeadPass& pass, const TokenLoss& loss) {
  ForEachChunk(pass, /*kept=*/false, [&](const ChunkOfRows& chunk) {
    std::vector<float> g = ReadLogprobs(pass, chunk);
    for (size_t i = 0; i < g.size(); ++i) {
      const TokenGrad grad = loss(chunk.rows[i], g[i]);
      pass.output.loss_sum += grad.loss;
      g[i] = grad.dlogprob;
    }
    if (pass.backward) ChunkBackward(pass, chunk, std::move(g));
  });
}

void RunLossFunction(const HeadPass& pass, const LossFunction& loss) {
  ForEachChunk(pass, /*kept=*/false, [&](const ChunkOfRows& chunk) { ReadLogprobs(pass, chunk); });
  const BatchLoss batch = loss(pass.output.logprobs);
  pass.output.loss_sum = batch.loss;
  if (!pass.backward) return;
  CHECK(batch.dlogprob.size() == pass.output.logprobs.size());
  const bool single = pass.NumRows() <= pass.ChunkRows();
  ForEachChunk(pass, /*kept=*/single, [&](const ChunkOfRows& chunk) {
    std::vector<float> g;
    for (const int64_t row : chunk.rows) g.push_back(batch.dlogprob[row]);
    ChunkBackward(pass, chunk, std::move(g));
  });
}

}  // namespace

int64_t HeadChunkRows(const ModelConfig& config) {
  constexpr int64_t kMaxLogits = int64_t{1} << 24;  // 64 MiB of f32
  const int64_t rows = kMaxLogits / config.vocab_size / 16 * 16;
  return std::clamp<int64_t>(rows, 16, 512);
}

LossHeadOutput LossHead(const Model& model, const LoraWeights* adapter, const LossHeadInput& input,
                        const Loss& loss, bool backward, Arena& arena) {
  const int64_t T = input.hidden.rows();
  LossHeadOutput output;
  output.logprobs.assign(static_cast<size_t>(T), 0.0F);
  std::vector<int64_t> rows;
  for (int64_t t = 0; t < T; ++t) {
    if (input.weights[t] != 0) rows.push_back(t);
  }
  if (backward) {
    output.dhidden = arena.Take("gradient of the residual", DType::kF32, {T, input.hidden.cols()});
    Zero(output.dhidden);
  }
  if (rows.empty()) return output;
  const ArenaScope scope(arena);
  const LoraFactors* lora = adapter == nullptr ? nullptr : adapter->Find(model.weights().lm_head);
  const LoraGradients* gradients =
      input.training == nullptr ? nullptr : input.training->Gradients(model.weights().lm_head);
  const int64_t most =
      std::min<int64_t>(HeadChunkRows(model.config()), static_cast<int64_t>(rows.size()));
  const Chunk whole(model, lora, most, backward, arena);
  const HeadPass pass{model,           lora,  gradients, input, arena,
                      std::move(rows), whole, backward,  output};
  if (const auto* token_loss = std::get_if<TokenLoss>(&loss)) {
    RunTokenLoss(pass, *token_loss);
  } else {
    RunLossFunction(pass, std::get<LossFunction>(loss));
  }
  return output;
}

void HeadLogits(const Model& model, std::span<const AdapterRows> adapters, const Tensor& hidden,
                const Tensor& logits, Arena& arena) {
  const ArenaScope scope(arena);
  const int64_t n = hidden.rows(), D = hidden.cols();
  const Tensor xhat = arena.Take("loss head", model.compute(), {n, D});
  const Tensor x = arena.Take("loss head", model.compute(), {n, D});
  const Tensor rstd = arena.Take("loss head", DType::kF32, {n});
  const Norm& norm = model.weights().norm;
  NormForward(norm, hidden, model.config().rms_norm_eps, xhat, x, rstd);
  ProjectRows(model.weights().lm_head, adapters, x, logits, false, Tensor(), arena);
  ScaleAndCap(model, logits);
}

}  // namespace lorikeet
