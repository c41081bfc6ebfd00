// Picks a token from a row of logits. A pick is a pure function of the row, the parameters and one
// random number, so the same seed gives the same sample in any batch and on any number of threads.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace lorikeet {

// The filters work on softmax(logits / temperature), in this order, each on what the one before
// left, as `transformers` does: top_k, top_p, min_p. What is left is renormalised: that is the
// sampled distribution.
struct SamplingParams {
  int64_t max_tokens = 256;
  double temperature = 1;  // 0: greedy, the filters then change nothing
  int64_t top_k = 0;       // the k likeliest tokens; 0: all
  double top_p = 1;        // the fewest likeliest tokens that hold this probability
  double min_p = 0;        // tokens of at least this share of the likeliest's probability
  uint64_t seed = 0;
  std::vector<int32_t> stop_tokens;  // end a sequence, as its last token

  bool filtered() const { return top_k > 0 || top_p < 1 || min_p > 0; }
};

// Throws Error(kInvalidArgument) naming the first parameter that is out of its range.
void CheckSamplingParams(const SamplingParams& params, int64_t vocab_size);

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // log softmax(logits)
};

struct SampledToken {
  int32_t token = 0;
  float logprob = 0;  // log softmax(logits): what a training forward gives, bit for bit
  // Under the sampled distribution; 0 when greedy. Unfiltered samples have the bits of a loss head
  // of the same temperature (model/loss_head.h).
  float sampled_logprob = 0;
  std::vector<TokenLogprob> top{};  // the likeliest tokens at this place, if they were asked for
};

// Changes a row of logits (V) before a token is drawn from it: -infinity excludes a token.
using EditLogits = std::function<void(std::span<float> logits)>;

// One row: logits (V) f32, u uniform in [0, 1). Equal logits rank by index, the lower first. Fills
// all but logprob; where SampleRows gives sampled_logprob the loss head's bits, it is near them.
SampledToken PickToken(std::span<const float> logits, const SamplingParams& params, double u);

struct RowToSample {
  const SamplingParams* params = nullptr;  // not used with `given`
  double u = 0;                            // uniform in [0, 1)
  std::optional<int32_t> given{};          // this token, instead of one that is drawn
  int64_t top = 0;                         // length of SampledToken::top
  // Applied to a copy that the token is drawn from; logprob and top are those of the logits. May be
  // called from several threads, for different rows. Null: none.
  const EditLogits* edit = nullptr;
};
// logits (n, V) f32, not changed. A row that holds a NaN gives the logprob NaN. Rows whose edited
// logits are all -infinity give the token -1.
void SampleRows(const Tensor& logits, std::span<const RowToSample> rows,
                std::span<SampledToken> picked);

}  // namespace lorikeet
