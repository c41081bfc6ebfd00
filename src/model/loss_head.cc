#include "model/loss_head.h"

#include <algorithm>
#include <cstring>

#include "kernels/cross_entropy.h"
#include "kernels/rms_norm.h"

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
  const LoraGradients* gradients;  // of lm_head; may be null
  const LossHeadInput& input;
  Arena& arena;
  Tensor dhidden;
};

void CopyRow(const Tensor& from, int64_t i, const Tensor& to, int64_t j) {
  const auto bytes = static_cast<size_t>(from.cols()) * sizeof(float);
  std::memcpy(to.as<float>() + j * to.cols(), from.as<float>() + i * from.cols(), bytes);
}

void NormAndProject(const HeadPass& pass, const Chunk& c) {
  const Model& model = pass.model;
  RmsNormForward(c.hidden, model.weights().norm.weight, model.config().rms_norm_eps, c.xhat, c.x,
                 c.rstd);
  LinearForward(model.weights().lm_head, pass.lora, c.x, c.logits, false, c.lora_x_t, pass.arena);
  const double temperature = pass.input.temperature;
  if (temperature != 1) ScaleLogits(c.logits, static_cast<float>(1 / temperature));
}

void ChunkBackward(const HeadPass& pass, const Chunk& c, std::span<const int32_t> targets,
                   std::span<const int64_t> rows) {
  const Weights& w = pass.model.weights();
  LogprobBackward(c.logits, targets, c.lse, c.g, c.dlogits);
  LinearBackwardInput(w.lm_head, pass.lora, c.dlogits, c.dx, false, c.lora_dy_t, pass.arena);
  LinearBackwardWeights(w.lm_head, pass.gradients, c.dlogits, c.x, c.lora_x_t, c.lora_dy_t);
  std::memset(c.dhidden.data, 0, static_cast<size_t>(c.dhidden.bytes()));
  RmsNormBackward(c.dx, c.xhat, w.norm.weight, c.rstd, c.dhidden, w.norm.dweight);
  for (size_t i = 0; i < rows.size(); ++i) {
    CopyRow(c.dhidden, static_cast<int64_t>(i), pass.dhidden, rows[i]);
  }
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

}  // namespace

int64_t HeadChunkRows(const ModelConfig& config) {
  constexpr int64_t kMostLogits = int64_t{1} << 24;  // 64 MiB of f32
  const int64_t rows = kMostLogits / config.vocab_size / 16 * 16;
  return std::clamp<int64_t>(rows, 16, 512);
}

LossHeadOutput LossHead(const Model& model, const LoraWeights* adapter, const LossHeadInput& input,
                        const TokenLoss& loss, bool backward, Arena& arena) {
  const int64_t T = input.hidden.rows();
  LossHeadOutput output;
  output.logprobs.assign(static_cast<size_t>(T), 0.0F);
  std::vector<int64_t> rows;
  for (int64_t t = 0; t < T; ++t) {
    if (input.weights[t] != 0) rows.push_back(t);
  }
  if (backward) {
    output.dhidden = arena.Take("gradient of the residual", DType::kF32, {T, input.hidden.cols()});
    std::memset(output.dhidden.data, 0, static_cast<size_t>(output.dhidden.bytes()));
  }
  if (rows.empty()) return output;
  const ArenaScope scope(arena);
  const LoraFactors* lora = adapter == nullptr ? nullptr : adapter->Find(model.weights().lm_head);
  const LoraGradients* gradients =
      input.training == nullptr ? nullptr : input.training->Gradients(model.weights().lm_head);
  const HeadPass pass{model, lora, gradients, input, arena, output.dhidden};
  const int64_t most =
      std::min<int64_t>(HeadChunkRows(model.config()), static_cast<int64_t>(rows.size()));
  const Chunk whole(model, lora, most, backward, arena);
  std::vector<int32_t> targets;
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(most)) {
    const size_t n = std::min(rows.size() - begin, static_cast<size_t>(most));
    const std::span<const int64_t> here(rows.data() + begin, n);
    const Chunk chunk = Shortened(whole, static_cast<int64_t>(n));
    targets.clear();
    for (size_t i = 0; i < n; ++i) {
      CopyRow(input.hidden, here[i], chunk.hidden, static_cast<int64_t>(i));
      targets.push_back(input.targets[here[i]]);
    }
    NormAndProject(pass, chunk);
    TargetLogprobs(chunk.logits, targets, chunk.logprob, chunk.lse);
    for (size_t i = 0; i < n; ++i) {
      const float logprob = chunk.logprob.as<float>()[i];
      const TokenGrad grad = loss(here[i], logprob);
      output.loss_sum += grad.loss;
      output.logprobs[here[i]] = logprob;
      // Of the logits before they were divided by the temperature.
      if (backward) chunk.g.as<float>()[i] = grad.dlogprob / static_cast<float>(input.temperature);
    }
    if (backward) ChunkBackward(pass, chunk, targets, here);
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
  RmsNormForward(hidden, model.weights().norm.weight, model.config().rms_norm_eps, xhat, x, rstd);
  ProjectRows(model.weights().lm_head, adapters, x, logits, false, Tensor(), arena);
}

}  // namespace lorikeet
