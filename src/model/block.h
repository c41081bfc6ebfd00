// The blocks a layer is made of, as variants: the index of a variant is the kind of block. A new
// block is a file with the five entries of model/attention_block.h and one line in each variant.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "model/attention_block.h"
#include "model/mlp_block.h"
#include "model/moe_block.h"
#include "model/norm.h"
#include "model/shared_expert_block.h"

namespace lorikeet {

using BlockWeights = std::variant<AttentionWeights, MlpWeights, MoeWeights, SharedExpertWeights>;
using BlockActivations =
    std::variant<AttentionActivations, MlpActivations, MoeActivations, SharedExpertActivations>;

// x += the sum of the branches, each applied to norm(x), or norm_after of that sum.
struct Sublayer {
  Norm norm;  // (D); without a name: there is none
  std::vector<BlockWeights> branches;
  Norm norm_after;  // (D); without a name: there is none
  float multiplier = 1;

  bool has_norm() const { return !norm.name.empty(); }
  bool has_norm_after() const { return !norm_after.name.empty(); }
};

struct LayerWeights {
  std::vector<Sublayer> sublayers;
};

// fn(linear) for the linears of a sublayer or layer, const or not, in the order of their
// declaration.
template <MaybeConst<Sublayer> S, class Fn>
void ForEachLinear(S& sublayer, const Fn& fn) {
  for (auto& branch : sublayer.branches) {
    std::visit([&](auto& block) { ForEachLinear(block, fn); }, branch);
  }
}
template <MaybeConst<LayerWeights> L, class Fn>
void ForEachLinear(L& layer, const Fn& fn) {
  for (auto& sublayer : layer.sublayers) ForEachLinear(sublayer, fn);
}

// The sublayers' norms, then the blocks': the order of parameters in checkpoints.
template <MaybeConst<LayerWeights> L, class Fn>
void ForEachNorm(L& layer, const Fn& fn) {
  for (auto& sublayer : layer.sublayers) {
    if (sublayer.has_norm()) fn(sublayer.norm);
    if (sublayer.has_norm_after()) fn(sublayer.norm_after);
  }
  for (auto& sublayer : layer.sublayers) {
    for (auto& branch : sublayer.branches) {
      std::visit([&](auto& block) { ForEachNorm(block, fn); }, branch);
    }
  }
}

struct SublayerActivations {
  Tensor xhat, rstd;  // (T, D) C, (T) f32: the norm's; without a norm the input, and no rstd
  std::vector<BlockActivations> branches;
  Tensor after_xhat, after_rstd;  // the same of the norm after the branches, if there is one
};
using LayerActivations = std::vector<SublayerActivations>;

}  // namespace lorikeet
