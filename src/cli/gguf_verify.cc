#include "cli/gguf_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/arena.h"
#include "core/format.h"
#include "core/machine.h"
#include "model/export.h"
#include "model/source_config.h"
#include "model/weights.h"
#include "train/scoring.h"

namespace lorikeet {
namespace {

constexpr double kMaxArithmetic = 1e-4;  // relative: the order of sums

// Nats per token that the rounding to a type may cost. Tensors in wrong places, or rows in a wrong
// order, cost far more than four bits per weight.
double MaxKl(GgufTypes types) {
  switch (types) {
    case GgufTypes::kF32:
      return 1e-6;
    case GgufTypes::kF16:
      return 0.002;
    case GgufTypes::kBF16:
      return 0.02;
    case GgufTypes::kQ8_0:
      return 0.1;
    default:
      return 1;
  }
}

// Whether every weight of the source has its value in the file.
bool HoldsValues(const ModelSource& source, GgufTypes types) {
  const DType stored = StoredDtype(source);
  if (types == GgufTypes::kF32) return true;
  if (types == GgufTypes::kF16) return stored == DType::kF16;
  if (types != GgufTypes::kBF16 || stored != DType::kBF16) return false;
  return std::ranges::none_of(source.entries(),
                              [](const auto& entry) { return IsQuantised(entry.dtype); });
}

// Mean over the tokens that follow another of their sequence.
double MeanNll(const Tensor& logits, const Batch& batch) {
  const int64_t V = logits.cols();
  double sum = 0;
  int64_t count = 0;
  for (int64_t t = 0; t + 1 < batch.num_tokens(); ++t) {
    if (batch.positions[static_cast<size_t>(t) + 1] == 0) continue;
    const float* row = logits.as<float>() + t * V;
    const double max = *std::max_element(row, row + V);
    double total = 0;
    for (int64_t i = 0; i < V; ++i) total += std::exp(row[i] - max);
    sum += max + std::log(total) - row[batch.tokens[static_cast<size_t>(t) + 1]];
    ++count;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

// Reason for which the models are not run; "" if there is memory for one of them and the logits.
std::string NoMemory(const ModelSource& source, const Batch& batch) {
  const ModelConfig config = ReadModelConfig(source);
  const int64_t logits = 2 * batch.num_tokens() * config.vocab_size;
  const int64_t needed = (CountParameters(config) + logits) * DTypeBytes(DType::kF32, 1);
  const int64_t available = ReadMemory().available;
  if (needed <= available) return "";
  return fmt::format("a model in f32 takes {} of memory, and {} are available", HumanBytes(needed),
                     HumanBytes(available));
}

// Written so that NaN is beyond every bound.
void Decide(GgufVerification* v) {
  const double bound = MaxKl(v->types), worse = v->nll_file - v->nll_source;
  v->ok = false;
  if (v->same_values && !(v->difference.relative <= kMaxArithmetic)) {
    v->verdict = fmt::format(
        "FAILED: the file holds the same weights and gives other logits (relative {:.1e}, at most "
        "{:.0e} is arithmetic)",
        v->difference.relative, kMaxArithmetic);
  } else if (!v->same_values && !(v->difference.mean_kl <= bound && worse <= bound)) {
    v->verdict = fmt::format(
        "FAILED: rounding to {} costs {:.1e} nats per token, and {:+.1e} on the text; more than "
        "{:g} is not rounding",
        GgufTypesName(v->types), v->difference.mean_kl, worse, bound);
  } else {
    v->ok = true;
    v->verdict = v->same_values ? "ok: the file says what the model says"
                                : "ok: the file differs from the model by rounding";
  }
}

}  // namespace

GgufVerification VerifyGguf(const ModelSource& source, const ModelSource& file, GgufTypes types,
                            const Batch& batch) {
  GgufVerification v = {.tokens = batch.num_tokens(),
                        .types = types,
                        .same_values = HoldsValues(source, types),
                        .ok = true,
                        .skipped = NoMemory(source, batch)};
  if (!v.skipped.empty()) return v;
  const auto logits = [&](const ModelSource& of) {
    return ComputeLogits(*Model::Load(of, DType::kF32), nullptr, batch);
  };
  const Buffer expected = logits(source), got = logits(file);
  v.difference = CompareLogits(expected.tensor(), got.tensor());
  v.nll_source = MeanNll(expected.tensor(), batch);
  v.nll_file = MeanNll(got.tensor(), batch);
  Decide(&v);
  return v;
}

std::string GgufVerificationText(const GgufVerification& v) {
  if (!v.skipped.empty()) return fmt::format("note: logits not compared: {}\n", v.skipped);
  return fmt::format(
      "against the source, {} tokens, computed in f32: largest logit difference {:.2e} (relative "
      "{:.1e}), mean KL {:.2e}, same greedy token {:.1f} %, NLL {:.4f} -> {:.4f}\n{}\n",
      v.tokens, v.difference.largest, v.difference.relative, v.difference.mean_kl,
      100 * v.difference.same_greedy, v.nll_source, v.nll_file, v.verdict);
}

OrderedJson GgufVerificationJson(const GgufVerification& v) {
  if (!v.skipped.empty()) return {{"skipped", v.skipped}};
  return {{"tokens", v.tokens},
          {"dtype", GgufTypesName(v.types)},
          {"largest_logit_difference", v.difference.largest},
          {"relative_difference", v.difference.relative},
          {"mean_kl", v.difference.mean_kl},
          {"largest_kl", v.difference.largest_kl},
          {"same_greedy_token", v.difference.same_greedy},
          {"nll_source", v.nll_source},
          {"nll_file", v.nll_file},
          {"ok", v.ok},
          {"verdict", v.verdict}};
}

}  // namespace lorikeet
