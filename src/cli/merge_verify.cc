#include "cli/merge_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/arena.h"
#include "core/parallel.h"
#include "model/export.h"
#include "train/scoring.h"

namespace lorikeet {
namespace {

// Two computations of the same logits differ by the order of sums only.
constexpr double kMaxArithmetic = 1e-4;  // relative
// Nats per token that rounding every weight once may cost: 2^-9 and 2^-12 relative per weight. A
// wrong scale, a missing module or a transposed factor is far beyond.
constexpr double kMaxKlBf16 = 0.02, kMaxKlF16 = 0.002;

double LogSumExp(const float* row, int64_t n) {
  const double max = *std::max_element(row, row + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(row[i] - max);
  return max + std::log(sum);
}

struct RowDifference {
  double largest = 0, squares = 0, norm = 0, kl = 0;
  bool same_greedy = false, finite = true;
};

RowDifference CompareRow(const float* p, const float* q, int64_t n) {
  RowDifference row;
  const double p_lse = LogSumExp(p, n), q_lse = LogSumExp(q, n);
  for (int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(p[i]) - q[i];
    row.finite = row.finite && std::isfinite(d);
    row.largest = std::max(row.largest, std::abs(d));
    row.squares += d * d;
    row.norm += static_cast<double>(p[i]) * p[i];
    row.kl += std::exp(p[i] - p_lse) * ((p[i] - p_lse) - (q[i] - q_lse));
  }
  row.same_greedy = std::max_element(p, p + n) - p == std::max_element(q, q + n) - q;
  return row;
}

// A model in f32 whose adapted linears have weight + s B A.
struct MergedModel {
  std::vector<Buffer> weights;   // merged weights of the adapted linears
  std::unique_ptr<Model> model;  // uses them; its other weights are as loaded
};

// `base` is an instance of the adapter's base.
MergedModel MergeInMemory(std::unique_ptr<Model> base, const LoraAdapter& adapter) {
  const ChangeTensor change = MergeAdapter(adapter);
  MergedModel merged = {.weights = {}, .model = std::move(base)};
  ForEachLinear(merged.model->weights(), [&](Linear& linear) {
    if (adapter.weights().Find(linear) == nullptr) return;
    const Tensor& old = linear.weight;
    merged.weights.emplace_back(DType::kF32,
                                std::initializer_list<int64_t>{old.rows(), old.cols()});
    const Tensor& weight = merged.weights.back().tensor();
    std::memcpy(weight.data, old.data, static_cast<size_t>(old.bytes()));
    change(linear.name + ".weight", 0, weight);
    linear.weight = weight;
  });
  return merged;
}

// The comparisons are written so that NaN is beyond every bound.
void Decide(MergeVerification* v) {
  const double stored_bound = v->dtype == DType::kBF16 ? kMaxKlBf16 : kMaxKlF16;
  const double lost = v->base.mean_kl > 0 ? v->stored.mean_kl / v->base.mean_kl : 0;
  v->ok = false;
  if (!(v->exact.relative <= kMaxArithmetic)) {
    v->verdict = fmt::format(
        "FAILED: the merged weights give other logits than base + adapter (relative {:.1e}, at "
        "most {:.0e} is arithmetic)",
        v->exact.relative, kMaxArithmetic);
  } else if (v->dtype == DType::kF32 && !(v->stored.relative <= kMaxArithmetic)) {
    v->verdict = fmt::format(
        "FAILED: the folder gives other logits than base + adapter (relative {:.1e}, at most "
        "{:.0e} is arithmetic)",
        v->stored.relative, kMaxArithmetic);
  } else if (v->dtype != DType::kF32 && !(v->stored.mean_kl <= stored_bound)) {
    v->verdict = fmt::format(
        "FAILED: rounding to {} costs {:.1e} nats per token, more than {:.0e}; write --dtype f32",
        DTypeName(v->dtype), v->stored.mean_kl, stored_bound);
  } else {
    v->ok = true;
    v->verdict = "ok: the folder says what base + adapter say";
    if (v->dtype != DType::kF32 && lost > 0.1) {
      v->verdict += fmt::format(
          "; but rounding to {} moves it by {:.0f} % of what the adapter does: --dtype f32 keeps "
          "more",
          DTypeName(v->dtype), 100 * lost);
    }
  }
}

OrderedJson DifferenceJson(const LogitDifference& d) {
  return {{"largest_logit_difference", d.largest},
          {"relative_difference", d.relative},
          {"mean_kl", d.mean_kl},
          {"largest_kl", d.largest_kl},
          {"same_greedy_token", d.same_greedy}};
}

}  // namespace

LogitDifference CompareLogits(const Tensor& expected, const Tensor& got) {
  CHECK(expected.size() == got.size() && expected.rows() > 0);
  const int64_t T = expected.rows(), V = expected.cols();
  std::vector<RowDifference> rows(static_cast<size_t>(T));
  ParallelDynamic(T, [&](int64_t t) {
    rows[static_cast<size_t>(t)] =
        CompareRow(expected.as<float>() + t * V, got.as<float>() + t * V, V);
  });
  LogitDifference sum;
  double squares = 0, norm = 0, same = 0;
  bool finite = true;
  for (const RowDifference& row : rows) {
    sum.largest = std::max(sum.largest, row.largest);
    sum.largest_kl = std::max(sum.largest_kl, row.kl);
    sum.mean_kl += row.kl / static_cast<double>(T);
    squares += row.squares;
    norm += row.norm;
    same += row.same_greedy ? 1 : 0;
    finite = finite && row.finite;
  }
  sum.relative = squares == 0 ? 0 : std::sqrt(squares / norm);
  sum.same_greedy = same / static_cast<double>(T);
  // A maximum does not show NaN.
  if (!finite) sum.largest = sum.largest_kl = std::numeric_limits<double>::quiet_NaN();
  return sum;
}

MergeVerification VerifyMerge(const Model& base, const LoraAdapter& adapter,
                              const LoadInstance& load_base, const LoadInstance& load_merged,
                              DType stored_dtype, const Batch& batch) {
  MergeVerification v;
  v.tokens = batch.num_tokens();
  v.dtype = stored_dtype;
  const Buffer expected = ComputeLogits(base, &adapter.weights(), batch);
  const auto compare = [&](const Model& model) {
    CHECK(model.compute() == DType::kF32);
    return CompareLogits(expected.tensor(), ComputeLogits(model, nullptr, batch).tensor());
  };
  v.base = compare(base);
  v.stored = compare(*load_merged());
  v.exact = compare(*MergeInMemory(load_base(), adapter).model);
  Decide(&v);
  return v;
}

std::string VerificationText(const MergeVerification& v) {
  std::string text = fmt::format(
      "against base + adapter, {} tokens, computed in f32\n"
      "{:<28} {:>12} {:>10} {:>12} {:>12} {:>12}\n",
      v.tokens, "", "max |dlogit|", "relative", "mean KL", "max KL", "same greedy");
  const auto row = [&](const std::string& name, const LogitDifference& d) {
    text += fmt::format("{:<28} {:>12.3e} {:>10.1e} {:>12.3e} {:>12.3e} {:>10.1f} %\n", name,
                        d.largest, d.relative, d.mean_kl, d.largest_kl, 100 * d.same_greedy);
  };
  row("base without adapter", v.base);
  row("merged, before rounding", v.exact);
  row(fmt::format("merged, as stored ({})", DTypeName(v.dtype)), v.stored);
  return text + v.verdict + "\n";
}

OrderedJson VerificationJson(const MergeVerification& v) {
  return {{"tokens", v.tokens},
          {"dtype", DTypeName(v.dtype)},
          {"base_without_adapter", DifferenceJson(v.base)},
          {"before_rounding", DifferenceJson(v.exact)},
          {"as_stored", DifferenceJson(v.stored)},
          {"ok", v.ok},
          {"verdict", v.verdict}};
}

}  // namespace lorikeet
