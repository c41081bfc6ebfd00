// Mixtures of experts (Shazeer et al., 2017): routing of tokens to experts, and copies of rows
// between the order of tokens and the order of experts. C = f32|bf16, the compute dtype. T tokens,
// E experts, k of them per token; N = T k rows are in the order of experts, and within an expert in
// the order of tokens. No row is dropped, and none is padding. A token's part of every result
// depends on its own row alone, bit for bit.
#pragma once
#include <span>

#include "core/dry.h"
#include "core/tensor.h"

namespace lorikeet {

// The routing of T tokens. The caller owns the memory.
struct Routing {
  Tensor probs;    // (T, E) f32: softmax of the router's logits
  Tensor experts;  // (T, k) i32: in descending order of probability, equal ones by index
  Tensor weights;  // (N) f32: weight of row n
  Tensor tokens;   // (N) i32: the token of row n
  Tensor rows;     // (T, k) i32: the row of the token's j-th expert
  Tensor begins;   // (E + 1) i32: expert e has the rows [begins[e], begins[e + 1])

  int64_t Begin(int64_t expert) const {
    return DryScope::active() ? DryBegin(expert) : begins.as<int32_t>()[expert];
  }
  int64_t Count(int64_t expert) const { return Begin(expert + 1) - Begin(expert); }
  std::span<const int32_t> TokensOf(int64_t expert) const;

 private:
  int64_t DryBegin(int64_t expert) const;
};

// A `DryRouting` sets, while it exists, how dry runs distribute rows over experts.
class DryRouting {
 public:
  enum Policy : uint8_t {
    kEqual,       // the same number for every expert, up to one; the default
    kAllTogether  // every token goes to the first k experts: maximum memory
  };
  explicit DryRouting(Policy policy);
  ~DryRouting();
  DryRouting(const DryRouting&) = delete;
  DryRouting& operator=(const DryRouting&) = delete;

 private:
  Policy before_;
};

// logits (T, E) f32. A row's weight is its expert's probability; `normalise` divides it by the sum
// of the token's k (norm_topk_prob).
void RouteForward(const Tensor& logits, bool normalise, const Routing& routing);

// dlogits (T, E) C from dweights (N) f32, the gradient of the weights. The choice of experts has no
// gradient.
void RouteBackward(const Routing& routing, const Tensor& dweights, bool normalise,
                   const Tensor& dlogits);

// out[i] = C(x[tokens[i]]); x (T, D) f32|C, out (n, D) C.
void GatherRows(const Tensor& x, std::span<const int32_t> tokens, const Tensor& out);

// sums[tokens[i]] += rows[i]; no token occurs twice. rows (n, D) f32, sums (T, D) f32.
void AddToRows(const Tensor& rows, std::span<const int32_t> tokens, const Tensor& sums);

}  // namespace lorikeet
