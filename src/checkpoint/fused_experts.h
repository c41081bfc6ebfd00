// Fused experts: the matrices of all experts in one tensor per projection, as in current
// transformers and as peft adapts them:
//   <block>.experts.gate_up_proj (E, 2 F, D), <block>.experts.down_proj (E, D, F)
// Here every expert has separate modules, <block>.experts.<e>.gate_proj, up_proj and down_proj, as
// in the checkpoints that transformers writes. These functions convert the first form to the
// second.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/peft.h"
#include "checkpoint/safetensors.h"
#include "core/tensor.h"

namespace lorikeet {

// Views of a fused parameter's matrices under their names ("....experts.3.up_proj.weight"); other
// tensors unchanged. mixtral: under Mixtral's names (block_sparse_moe, w1, w3, w2), including its
// router. `where` names the file in errors.
std::vector<NamedTensor> SplitFusedExperts(const NamedTensor& tensor, bool mixtral,
                                           const std::string& where);

// The pairs of every expert from peft's pair of a fused parameter: a (E R, in), b (out, R E) with
// expert e's factors a[e R + i] and b[:, i E + e]. gate and up get the same A, each with its half
// of B; or half of both if B is block diagonal, as peft makes it from separate pairs: then the
// result is the two original pairs. Alphas keep every scale, alpha / r or alpha / sqrt(r) with
// use_rslora. B is copied to `storage`. Throws std::invalid_argument with the mismatch.
std::vector<AdapterFile::Pair> SplitFusedPair(const AdapterFile::Pair& fused, bool use_rslora,
                                              std::vector<Buffer>* storage);

}  // namespace lorikeet
