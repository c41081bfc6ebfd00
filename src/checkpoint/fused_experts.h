// Experts whose matrices lie in one tensor each, as current transformers holds them in memory and
// peft adapts them:
//   <block>.experts.gate_up_proj (E, 2 F, D), <block>.experts.down_proj (E, D, F)
// Here every expert has modules of its own, <block>.experts.<e>.gate_proj, up_proj and down_proj,
// as in the checkpoints that transformers writes. These functions make the second out of the first.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/peft.h"
#include "checkpoint/safetensors.h"
#include "core/tensor.h"

namespace lorikeet {

// Views of a fused parameter's matrices under their names ("....experts.3.up_proj.weight"); any
// other tensor as it is. mixtral: under Mixtral's names (block_sparse_moe, w1, w3, w2), its router
// too. `where` names the file in errors.
std::vector<NamedTensor> SplitFusedExperts(const NamedTensor& tensor, bool mixtral,
                                           const std::string& where);

// The pairs of every expert out of peft's pair of a fused parameter: a (E R, in), b (out, R E) with
// expert e's factors a[e R + i] and b[:, i E + e]. gate and up get the same A, each with its half
// of B; or half of both, where B is block diagonal as peft makes it out of pairs like ours: then
// what was two pairs is two again. Alphas keep every scale, alpha / r or alpha / sqrt(r) with
// use_rslora. B is copied to `storage`. Throws std::invalid_argument saying what does not fit.
std::vector<AdapterFile::Pair> SplitFusedPair(const AdapterFile::Pair& fused, bool use_rslora,
                                              std::vector<Buffer>* storage);

}  // namespace lorikeet
