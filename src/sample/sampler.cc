#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/parallel.h"
#include "kernels/cross_entropy.h"

namespace lorikeet {
namespace {

constexpr int64_t kPiece = 1024;  // tokens whose weights are summed before a walk looks into them

// exp((x - max) / temperature): a token's probability, up to a factor.
class Weigher {
 public:
  Weigher(float max, double temperature) : max_(max), scale_(static_cast<float>(1 / temperature)) {}
  float operator()(float x) const { return std::exp((x - max_) * scale_); }

 private:
  float max_, scale_;
};

struct Candidate {
  float logit;
  int32_t token;
};
// The likelier first; of equals the lower index.
bool Before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

// The k first candidates of a row with a logit of at least `floor`, sorted. One pass over the row:
// what cannot be among the k is thrown out whenever the buffer is full. NaN is no candidate.
std::vector<Candidate> TopCandidates(std::span<const float> logits, int64_t k, float floor) {
  const auto V = static_cast<int64_t>(logits.size());
  const auto most = static_cast<size_t>(std::min(V, 2 * k + 256));
  const auto kept = static_cast<std::ptrdiff_t>(k);
  std::vector<Candidate> top;
  top.reserve(most);
  for (int64_t i = 0; i < V; ++i) {
    if (!(logits[i] >= floor)) continue;
    top.push_back({logits[i], static_cast<int32_t>(i)});
    if (top.size() < most || i + 1 == V) continue;
    std::nth_element(top.begin(), top.begin() + kept - 1, top.end(), Before);
    top.resize(static_cast<size_t>(k));
    floor = top.back().logit;
  }
  if (static_cast<int64_t>(top.size()) > k) {
    std::nth_element(top.begin(), top.begin() + kept - 1, top.end(), Before);
    top.resize(static_cast<size_t>(k));
  }
  std::sort(top.begin(), top.end(), Before);
  return top;
}

double SumWeights(std::span<const float> logits, const Weigher& weight) {
  double sum = 0;
  for (const float x : logits) sum += weight(x);
  return sum;
}

// Temperature alone: walks the row in order of index, first by pieces.
SampledToken PickUnfiltered(std::span<const float> logits, int32_t likeliest, const Weigher& weight,
                            double u) {
  const auto V = static_cast<int64_t>(logits.size());
  std::vector<double> pieces;
  double total = 0;
  for (int64_t begin = 0; begin < V; begin += kPiece) {
    pieces.push_back(SumWeights(logits.subspan(begin, std::min(kPiece, V - begin)), weight));
    total += pieces.back();
  }
  double left = u * total;
  size_t piece = 0;
  while (piece + 1 < pieces.size() && left >= pieces[piece]) left -= pieces[piece++];
  SampledToken picked{.token = likeliest};  // stays only where rounding walks past the end
  const int64_t begin = static_cast<int64_t>(piece) * kPiece, end = std::min(V, begin + kPiece);
  for (int64_t i = begin; i < end; ++i) {
    const double w = weight(logits[i]);
    if (w > 0) picked.token = static_cast<int32_t>(i);
    if (left < w) break;
    left -= w;
  }
  picked.sampled_logprob = static_cast<float>(
      std::log(static_cast<double>(weight(logits[picked.token]))) - std::log(total));
  return picked;
}

// The length of the shortest prefix that holds `mass`, or 0 when all of it holds less.
size_t PrefixWithMass(std::span<const Candidate> sorted, const Weigher& weight, double mass) {
  double sum = 0;
  for (size_t n = 0; n < sorted.size(); ++n) {
    sum += weight(sorted[n].logit);
    if (sum >= mass) return n + 1;
  }
  return 0;
}

// The likeliest tokens of a row that hold the share top_p of its mass, the last of them in order. A
// histogram of the mass over the logits finds where it is reached, so that only the tokens of one
// bin are ever sorted: one pass over the row for the weights, one to collect.
std::vector<Candidate> TopMass(std::span<const float> logits, float max,
                               const SamplingParams& params, const Weigher& weight) {
  constexpr int kBins = 2048;
  const auto scale = static_cast<float>(64 / params.temperature);  // bins per e-fold: 32 e-folds
  const auto bin_of = [&](float x) {
    return static_cast<int>(std::min((max - x) * scale, static_cast<float>(kBins - 1)));
  };
  std::vector<double> mass(kBins, 0.0);
  double total = 0;
  for (const float x : logits) {
    if (!(x <= max)) continue;  // NaN
    const double w = weight(x);
    mass[bin_of(x)] += w;
    total += w;
  }
  double left = params.top_p * total;
  int cut = 0;
  while (cut + 1 < kBins && left > mass[cut]) left -= mass[cut++];
  std::vector<Candidate> top, at_cut;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] <= max)) continue;
    const int bin = bin_of(logits[i]);
    if (bin <= cut) (bin < cut ? top : at_cut).push_back({logits[i], static_cast<int32_t>(i)});
  }
  std::sort(at_cut.begin(), at_cut.end(), Before);
  const size_t n = PrefixWithMass(at_cut, weight, left);
  if (n > 0) at_cut.resize(n);
  top.insert(top.end(), at_cut.begin(), at_cut.end());
  return top;
}

// Every filter keeps the likeliest: the result is a prefix of all tokens in their order.
std::vector<Candidate> Filter(std::span<const float> logits, float max,
                              const SamplingParams& params, const Weigher& weight) {
  const auto V = static_cast<int64_t>(logits.size());
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const float floor = params.min_p > 0
                          ? static_cast<float>(max + params.temperature * std::log(params.min_p))
                          : kLowest;
  if (params.top_p >= 1) {
    return TopCandidates(logits, params.top_k > 0 ? std::min(params.top_k, V) : V, floor);
  }
  std::vector<Candidate> top;
  if (params.top_k > 0) {
    top = TopCandidates(logits, std::min(params.top_k, V), kLowest);
    double sum = 0;
    for (const Candidate& c : top) sum += weight(c.logit);
    const size_t n = PrefixWithMass(top, weight, params.top_p * sum);
    if (n > 0) top.resize(n);
  } else {
    top = TopMass(logits, max, params, weight);
  }
  std::erase_if(top, [&](const Candidate& c) { return c.logit < floor; });
  return top;
}

SampledToken PickFiltered(std::span<const float> logits, int32_t likeliest,
                          const SamplingParams& params, const Weigher& weight, double u) {
  const std::vector<Candidate> kept = Filter(logits, logits[likeliest], params, weight);
  if (kept.empty()) return {.token = likeliest};
  double total = 0;
  for (const Candidate& c : kept) total += weight(c.logit);
  double left = u * total;
  size_t i = 0;
  while (i + 1 < kept.size() && left >= weight(kept[i].logit)) left -= weight(kept[i++].logit);
  const double w = weight(kept[i].logit);
  return {.token = kept[i].token,
          .sampled_logprob = static_cast<float>(std::log(w) - std::log(total))};
}

SampledToken PickKnown(std::span<const float> logits, int32_t likeliest,
                       const SamplingParams& params, double u) {
  // Without a finite maximum there is no distribution: the logprob will be NaN and say so.
  if (params.temperature == 0 || !std::isfinite(logits[likeliest])) return {.token = likeliest};
  const Weigher weight(logits[likeliest], params.temperature);
  return params.filtered() ? PickFiltered(logits, likeliest, params, weight, u)
                           : PickUnfiltered(logits, likeliest, weight, u);
}

// sampled_logprob of the rows that were drawn at a temperature other than 1 from all tokens, as the
// loss head computes it.
void ScaledLogprobs(const Tensor& logits, std::span<const RowToSample> rows,
                    std::span<SampledToken> picked) {
  const int64_t V = logits.cols();
  static thread_local std::vector<float> scaled;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].given || rows[i].edit != nullptr) continue;
    const SamplingParams& params = *rows[i].params;
    if (params.temperature == 0 || params.temperature == 1 || params.filtered()) continue;
    const float* row = logits.as<float>() + static_cast<int64_t>(i) * V;
    scaled.assign(row, row + V);
    const Tensor copy(scaled.data(), DType::kF32, {1, V});
    ScaleLogits(copy, static_cast<float>(1 / params.temperature));
    float lse = 0;
    TargetLogprobs(copy, std::span(&picked[i].token, 1),
                   Tensor(&picked[i].sampled_logprob, DType::kF32, {1}),
                   Tensor(&lse, DType::kF32, {1}));
  }
}

SampledToken PickEdited(std::span<const float> logits, const RowToSample& row) {
  static thread_local std::vector<float> edited;
  edited.assign(logits.begin(), logits.end());
  (*row.edit)(edited);
  SampledToken picked = PickToken(edited, *row.params, row.u);
  if (edited[static_cast<size_t>(picked.token)] == -std::numeric_limits<float>::infinity()) {
    picked.token = -1;
  }
  return picked;
}

SampledToken PickRow(std::span<const float> logits, int32_t likeliest, const RowToSample& row) {
  if (row.given) return {.token = *row.given};
  if (row.edit != nullptr) return PickEdited(logits, row);
  return PickKnown(logits, likeliest, *row.params, row.u);
}

// The likeliest tokens of a row (1, V).
std::vector<TokenLogprob> TopLogprobs(const Tensor& row, int64_t count) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const int64_t k = std::min(count, row.size());
  if (k == 0) return {};
  const std::span<const float> logits(row.as<float>(), static_cast<size_t>(row.size()));
  std::vector<int32_t> tokens;
  for (const Candidate& c : TopCandidates(logits, k, kLowest)) tokens.push_back(c.token);
  std::vector<float> logprobs(tokens.size());
  TokenLogprobs(row, tokens, Tensor(logprobs.data(), DType::kF32, {1, std::ssize(tokens)}));
  std::vector<TokenLogprob> top;
  for (size_t i = 0; i < tokens.size(); ++i) top.push_back({tokens[i], logprobs[i]});
  return top;
}

}  // namespace

void CheckSamplingParams(const SamplingParams& params, int64_t vocab_size) {
  const auto refuse = [](const char* name, const char* range) {
    Fail(ErrorCode::kInvalidArgument, "{} must be {}", name, range);
  };
  if (params.max_tokens < 1) refuse("max_tokens", "at least 1");
  // Below 1e-3 the softmax is a step in f32 anyway; the sharper ones are greedy by rounding.
  if (!(params.temperature == 0 || (params.temperature >= 1e-3 && params.temperature <= 1e3))) {
    refuse("temperature", "0 (greedy) or from 0.001 to 1000");
  }
  if (params.top_k < 0) refuse("top_k", "at least 1, or 0 for all tokens");
  if (!(params.top_p > 0 && params.top_p <= 1)) refuse("top_p", "above 0 and at most 1");
  if (!(params.min_p >= 0 && params.min_p <= 1)) refuse("min_p", "from 0 to 1");
  for (const int32_t token : params.stop_tokens) {
    if (token < 0 || token >= vocab_size) {
      Fail(ErrorCode::kInvalidArgument, "stop token {} is not in the vocabulary of {} tokens",
           token, vocab_size);
    }
  }
}

SampledToken PickToken(std::span<const float> logits, const SamplingParams& params, double u) {
  int32_t likeliest = 0;
  const Tensor row(const_cast<float*>(logits.data()), DType::kF32,
                   {1, static_cast<int64_t>(logits.size())});
  RowArgmax(row, std::span(&likeliest, 1));
  return PickKnown(logits, likeliest, params, u);
}

void SampleRows(const Tensor& logits, std::span<const RowToSample> rows,
                std::span<SampledToken> picked) {
  const int64_t n = logits.rows(), V = logits.cols();
  CHECK(static_cast<int64_t>(rows.size()) == n && static_cast<int64_t>(picked.size()) == n);
  const auto row_of = [&](size_t i) {
    return std::span<const float>(logits.as<float>() + static_cast<int64_t>(i) * V,
                                  static_cast<size_t>(V));
  };
  std::vector<int32_t> tokens(rows.size());
  RowArgmax(logits, tokens);
  ParallelDynamic(n, [&](int64_t i) {
    picked[i] = PickRow(row_of(i), tokens[i], rows[i]);
    tokens[i] = std::max(picked[i].token, 0);
  });
  std::vector<float> logprobs(rows.size()), lse(rows.size());
  TargetLogprobs(logits, tokens, Tensor(logprobs.data(), DType::kF32, {n}),
                 Tensor(lse.data(), DType::kF32, {n}));
  for (size_t i = 0; i < rows.size(); ++i) {
    picked[i].logprob = logprobs[i];
    if (rows[i].top > 0) {
      const auto row = static_cast<int64_t>(i);
      picked[i].top = TopLogprobs(logits.Rows(row, row + 1), rows[i].top);
    }
    if (rows[i].given || rows[i].edit != nullptr) continue;
    const SamplingParams& params = *rows[i].params;
    // Then both distributions are one: so are the numbers, and ratios between them exactly 1.
    if (params.temperature == 1 && !params.filtered()) picked[i].sampled_logprob = logprobs[i];
  }
  ScaledLogprobs(logits, rows, picked);
}

}  // namespace lorikeet
