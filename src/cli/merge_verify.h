// Whether a merged folder says what base and adapter say together, and how much of a difference is
// arithmetic and how much the rounding of the stored weights. Everything is computed in f32.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"
#include "core/tensor.h"
#include "model/batch.h"
#include "model/lora.h"
#include "model/weights.h"

namespace lorikeet {

// Of the logits of one model against those of base + adapter, over T rows.
struct LogitDifference {
  double largest = 0;        // max |difference|
  double relative = 0;       // norm of the difference / norm of the logits
  double mean_kl = 0;        // nats per token, KL(base + adapter || this)
  double largest_kl = 0;     // of one token
  double same_greedy = 1.0;  // share of rows with the same most likely token
};

struct MergeVerification {
  int64_t tokens = 0;
  LogitDifference base;    // the base without the adapter: what the adapter changes at all
  LogitDifference exact;   // the merged weights in f32, before they are rounded
  LogitDifference stored;  // the folder
  DType dtype = DType::kF32;
  bool ok = false;
  std::string verdict;  // one line
};

// Differences of two sets of logits (T, V) f32.
LogitDifference CompareLogits(const Tensor& expected, const Tensor& got);

// All models in f32. base's adapted weights are replaced by merged ones on the way. stored_dtype:
// what the folder's weights were rounded to. No row may be empty of tokens: batch has at least one.
MergeVerification VerifyMerge(Model& base, const LoraAdapter& adapter, const Model& merged,
                              DType stored_dtype, const Batch& batch);

std::string VerificationText(const MergeVerification& v);
OrderedJson VerificationJson(const MergeVerification& v);

}  // namespace lorikeet
