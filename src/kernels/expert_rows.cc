#include "kernels/expert_rows.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/expert_rows.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

void Softmax(const float* logits, int64_t n, float* probs) {
  float max = logits[0];
  for (int64_t e = 1; e < n; ++e) max = std::max(max, logits[e]);
  const float sum = SumVectors(n, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec p = ExpNonPositive(hn::Sub(lanes.Load(logits + i, kMinusInfinity), Set(max)));
    lanes.Store(p, probs + i);
    return hn::Add(acc, p);
  });
  for (int64_t e = 0; e < n; ++e) probs[e] /= sum;
}

void SoftmaxRows(const Tensor& logits, const Tensor& probs, int64_t begin, int64_t end) {
  const int64_t E = logits.cols();
  for (int64_t t = begin; t < end; ++t) {
    Softmax(logits.as<float>() + t * E, E, probs.as<float>() + t * E);
  }
}

template <class From, class To>
void GatherOf(const Tensor& x, const int32_t* tokens, const Tensor& out, int64_t begin,
              int64_t end) {
  const int64_t D = x.cols();
  for (int64_t i = begin; i < end; ++i) {
    ConvertRow(x.as<From>() + tokens[i] * D, D, out.as<To>() + i * D);
  }
}
void Gather(const Tensor& x, const int32_t* tokens, const Tensor& out, int64_t begin, int64_t end) {
  const auto rows =
      x.dtype == DType::kF32
          ? (out.dtype == DType::kF32 ? GatherOf<float, float> : GatherOf<float, bfloat16>)
          : GatherOf<bfloat16, bfloat16>;
  rows(x, tokens, out, begin, end);
}

void Add(const Tensor& rows, const int32_t* tokens, const Tensor& sums, int64_t begin,
         int64_t end) {
  const int64_t D = sums.cols();
  for (int64_t i = begin; i < end; ++i) {
    const float* row = rows.as<float>() + i * D;
    float* sum = sums.as<float>() + tokens[i] * D;
    ForVectors(D, [=](auto lanes, int64_t d) HWY_ATTR {
      lanes.Store(hn::Add(lanes.Load(sum + d), lanes.Load(row + d)), sum + d);
    });
  }
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(SoftmaxRows);
HWY_EXPORT(Gather);
HWY_EXPORT(Add);

constexpr const char* kPart = "routing";
constexpr int64_t kIndex = sizeof(int32_t);  // bytes of a token

// The k most probable experts of one token. NaNs are taken last.
void ChooseExperts(const float* probs, int64_t num_experts, int64_t k, int32_t* chosen) {
  for (int64_t j = 0; j < k; ++j) {
    int32_t best = -1;
    for (int32_t e = 0; e < num_experts; ++e) {
      if (std::find(chosen, chosen + j, e) != chosen + j) continue;
      if (best < 0 || probs[e] > probs[best]) best = e;
    }
    chosen[j] = best;
  }
}

// Counts, then places: tokens keep their order within an expert.
void GroupByExpert(const Routing& r) {
  const int64_t T = r.experts.rows(), k = r.experts.cols(), E = r.probs.cols();
  const int32_t* experts = r.experts.as<int32_t>();
  int32_t* begins = r.begins.as<int32_t>();
  std::fill_n(begins, E + 1, 0);
  for (int64_t i = 0; i < T * k; ++i) ++begins[experts[i] + 1];
  for (int64_t e = 0; e < E; ++e) begins[e + 1] += begins[e];
  std::vector<int32_t> next(begins, begins + E);
  for (int64_t i = 0; i < T * k; ++i) {
    const int32_t row = next[static_cast<size_t>(experts[i])]++;
    r.rows.as<int32_t>()[i] = row;
    r.tokens.as<int32_t>()[row] = static_cast<int32_t>(i / k);
  }
}

void Weigh(const Routing& r, bool normalise, int64_t t) {
  const int64_t k = r.experts.cols();
  const float* probs = r.probs.as<float>() + t * r.probs.cols();
  const int32_t* experts = r.experts.as<int32_t>() + t * k;
  const int32_t* rows = r.rows.as<int32_t>() + t * k;
  float sum = 0;
  for (int64_t j = 0; j < k; ++j) sum += probs[experts[j]];
  for (int64_t j = 0; j < k; ++j) {
    r.weights.as<float>()[rows[j]] = normalise ? probs[experts[j]] / sum : probs[experts[j]];
  }
}

void CheckRouting(const Routing& r, const Tensor& logits) {
  const int64_t N = r.experts.size();
  CHECK(logits.rank == 2 && SameShape(logits, r.probs) && SameShape(r.experts, r.rows));
  CHECK(r.experts.rows() == logits.rows() && r.experts.cols() <= logits.cols());
  CHECK(r.weights.size() == N && r.tokens.size() == N && r.begins.size() == logits.cols() + 1);
}

// With p the probabilities and g their gradient, dlogit_e = p_e (g_e - sum p g). Where weights are
// normalised, they are the softmax of the chosen logits alone, and the same formula holds for them.
template <class C>
void RouteBackwardOf(const Routing& r, const float* dweights, bool normalise, int64_t t,
                     C* dlogits) {
  const int64_t k = r.experts.cols(), E = r.probs.cols();
  const float* probs = r.probs.as<float>() + t * E;
  const float* weights = r.weights.as<float>();
  const int32_t* experts = r.experts.as<int32_t>() + t * k;
  const int32_t* rows = r.rows.as<int32_t>() + t * k;
  float mean = 0;
  for (int64_t j = 0; j < k; ++j) mean += weights[rows[j]] * dweights[rows[j]];
  for (int64_t e = 0; e < E; ++e) dlogits[e] = FromFloat<C>(normalise ? 0 : -probs[e] * mean);
  for (int64_t j = 0; j < k; ++j) {
    dlogits[experts[j]] = FromFloat<C>(weights[rows[j]] * (dweights[rows[j]] - mean));
  }
}

thread_local DryRouting::Policy dry_routing = DryRouting::kEqual;
}  // namespace

DryRouting::DryRouting(Policy policy) : before_(dry_routing) { dry_routing = policy; }
DryRouting::~DryRouting() { dry_routing = before_; }

int64_t Routing::DryBegin(int64_t expert) const {
  const int64_t T = experts.rows(), k = experts.cols(), E = begins.size() - 1;
  if (dry_routing == DryRouting::kAllTogether) return std::min(expert, k) * T;
  return expert * T * k / E;
}

std::span<const int32_t> Routing::TokensOf(int64_t expert) const {
  return {tokens.as<int32_t>() + Begin(expert), static_cast<size_t>(Count(expert))};
}

void RouteForward(const Tensor& logits, bool normalise, const Routing& routing) {
  const int64_t T = logits.rows(), k = routing.experts.cols(), E = logits.cols();
  const Kernel here(
      [&] {
        return KernelCall{"RouteForward",
                          kPart,
                          {"{} to {} of {}", {T, k, E}},
                          (4 + k) * T * E,
                          BytesOf(logits, routing.probs, routing.experts, routing.weights,
                                  routing.tokens, routing.rows, routing.begins)};
      },
      [&] {
        return Replay(
            [=](const Relocate& at) { RouteForward(at(logits), normalise, at(routing)); });
      });
  CheckRouting(routing, logits);
  if (here.dry()) return;
  const int64_t grain = RowGrain(E * (k + 4));
  ParallelRanges(logits.rows(), grain, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(SoftmaxRows)(logits, routing.probs, begin, end);
    for (int64_t t = begin; t < end; ++t) {
      ChooseExperts(routing.probs.as<float>() + t * E, E, k, routing.experts.as<int32_t>() + t * k);
    }
  });
  GroupByExpert(routing);
  for (int64_t t = 0; t < T; ++t) Weigh(routing, normalise, t);
}

void RouteBackward(const Routing& routing, const Tensor& dweights, bool normalise,
                   const Tensor& dlogits) {
  const int64_t T = dlogits.rows(), k = routing.experts.cols(), E = dlogits.cols();
  const Kernel here(
      [&] {
        return KernelCall{"RouteBackward",
                          kPart,
                          {"{} to {} of {}", {T, k, E}},
                          T * E + 4 * T * k,
                          BytesOf(routing.probs, routing.experts, routing.weights, routing.rows,
                                  dweights, dlogits)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          RouteBackward(at(routing), at(dweights), normalise, at(dlogits));
        });
      });
  CheckRouting(routing, dlogits);
  CHECK(IsCompute(dlogits) && dweights.size() == routing.weights.size());
  if (here.dry()) return;
  ParallelRanges(dlogits.rows(), RowGrain(E), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      if (dlogits.dtype == DType::kF32) {
        RouteBackwardOf(routing, dweights.as<float>(), normalise, t, dlogits.as<float>() + t * E);
      } else {
        RouteBackwardOf(routing, dweights.as<float>(), normalise, t,
                        dlogits.as<bfloat16>() + t * E);
      }
    }
  });
}

void GatherRows(const Tensor& x, std::span<const int32_t> tokens, const Tensor& out) {
  const int64_t n = out.rows(), D = out.cols();
  const Kernel here(
      [&] {
        return KernelCall{x.dtype == out.dtype ? "GatherRows" : "GatherRows to bf16",
                          kPart,
                          {"{} x {} of {}", {n, D, x.rows()}},
                          0,
                          kIndex * n + DTypeBytes(x.dtype, n * D) + BytesOf(out)};
      },
      [&] {
        return Replay(
            [=](const Relocate& at) { GatherRows(at(x), at.Rows(tokens, x.rows()), at(out)); });
      });
  CHECK(x.rank == 2 && out.rank == 2 && x.cols() == out.cols());
  CHECK(IsCompute(out) && (x.dtype == DType::kF32 || x.dtype == out.dtype));
  CHECK(n == static_cast<int64_t>(tokens.size()));
  if (here.dry()) return;
  ParallelRanges(out.rows(), RowGrain(out.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Gather)(x, tokens.data(), out, begin, end);
  });
}

void AddToRows(const Tensor& rows, std::span<const int32_t> tokens, const Tensor& sums) {
  const int64_t n = rows.rows(), D = rows.cols();
  const Kernel here(
      [&] {
        return KernelCall{"AddToRows",
                          kPart,
                          {"{} x {} of {}", {n, D, sums.rows()}},
                          n * D,
                          kIndex * n + 3 * BytesOf(rows)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          AddToRows(at(rows), at.Rows(tokens, sums.rows()), at(sums));
        });
      });
  CHECK(rows.rank == 2 && sums.rank == 2 && rows.cols() == sums.cols());
  CHECK(n == static_cast<int64_t>(tokens.size()));
  if (here.dry()) return;
  ParallelRanges(rows.rows(), RowGrain(rows.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Add)(rows, tokens.data(), sums, begin, end);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
