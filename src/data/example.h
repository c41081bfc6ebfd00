// An `Example` is one training sequence with its per-token loss inputs, for SFT and RL.
#pragma once
#include <cstdint>
#include <vector>

namespace lorikeet {

struct Example {
  std::vector<int32_t> tokens;         // (T) inputs
  std::vector<int32_t> target_tokens;  // (T) target of row t: the token that follows it
  std::vector<float> weights;          // (T) weight of row t's loss; 0 masks it
  std::vector<double> advantages;      // (T) policy losses only, else empty
  std::vector<float> logprobs;         // (T) by the sampling policy; policy losses only, else empty
  // (T) by the reference policy of a KL penalty; only with such a penalty, else empty
  std::vector<float> reference_logprobs;
  // Examples of one prefix_group (-1: none) begin with the same shared_prefix tokens, whose weights
  // are 0: a prompt with several completions, computed once for those in the same batch.
  int64_t prefix_group = -1;
  int64_t shared_prefix = 0;

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
};

}  // namespace lorikeet
