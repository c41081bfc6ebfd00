// Mixtures of experts (Shazeer et al., 2017): which experts a token goes to, and the moving of rows
// between the order of tokens and that of experts. C = f32|bf16, the compute dtype. T tokens, E
// experts, k of them per token; N = T k rows lie in the order of experts, and within an expert in
// the order of tokens: no row is dropped, none is padding. A token's part in every result depends
// on its own row alone, bit for bit.
#pragma once
#include <span>

#include "core/dry.h"
#include "core/tensor.h"

namespace lorikeet {

// Where every token goes. Memory of the caller's.
struct Routing {
  Tensor probs;    // (T, E) f32: softmax of the router's logits
  Tensor experts;  // (T, k) i32: by falling probability; of equal ones the lower index first
  Tensor weights;  // (N) f32: of row n
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

// A `DryRouting` says how a dry run's rows are spread over experts while it lives.
class DryRouting {
 public:
  enum Policy : uint8_t {
    kEqual,       // every expert has as many, or one more or less; the default
    kAllTogether  // every token goes to the same k experts, the first ones: most memory
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

// dlogits (T, E) C through the weights, from their gradient dweights (N) f32; the choice of experts
// has none.
void RouteBackward(const Routing& routing, const Tensor& dweights, bool normalise,
                   const Tensor& dlogits);

// out[i] = C(x[tokens[i]]); x (T, D) f32|C, out (n, D) C.
void GatherRows(const Tensor& x, std::span<const int32_t> tokens, const Tensor& out);

// sums[tokens[i]] += rows[i]; no token occurs twice. rows (n, D) f32, sums (T, D) f32.
void AddToRows(const Tensor& rows, std::span<const int32_t> tokens, const Tensor& sums);

}  // namespace lorikeet
