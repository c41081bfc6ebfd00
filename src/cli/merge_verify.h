// `VerifyMerge` compares the logits of a merged folder with those of base + adapter, and tells
// differences of arithmetic from the rounding of the stored weights. Everything is computed in f32.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/json.h"
#include "core/tensor.h"
#include "model/batch.h"
#include "model/lora.h"
#include "model/weights.h"

namespace lorikeet {

// Difference of one model's logits from those of base + adapter, over T rows.
struct LogitDifference {
  double largest = 0;        // max |difference|
  double relative = 0;       // norm of the difference / norm of the logits
  double mean_kl = 0;        // nats per token, KL(base + adapter || this)
  double largest_kl = 0;     // nats, the largest of one token
  double same_greedy = 1.0;  // share of rows with the same most likely token
};

struct MergeVerification {
  int64_t tokens = 0;
  LogitDifference base;       // the base without the adapter: what the adapter changes at all
  LogitDifference exact;      // the merged weights in f32, before they are rounded
  LogitDifference stored;     // the folder
  DType dtype = DType::kF32;  // dtype of the folder's weights
  bool ok = false;
  std::string verdict;  // one line
};

// Differences of two sets of logits (T, V) f32.
LogitDifference CompareLogits(const Tensor& expected, const Tensor& got);

// Loads a model in f32.
using LoadInstance = std::function<std::unique_ptr<Model>()>;

// load_base: another instance of `base`, whose adapted weights are replaced by merged ones; `base`
// itself, in f32, stays as it is. load_merged: the folder. Each is held only while it is compared.
// stored_dtype: what the folder's weights were rounded to. The batch has at least one token.
MergeVerification VerifyMerge(const Model& base, const LoraAdapter& adapter,
                              const LoadInstance& load_base, const LoadInstance& load_merged,
                              DType stored_dtype, const Batch& batch);

std::string VerificationText(const MergeVerification& v);
OrderedJson VerificationJson(const MergeVerification& v);

}  // namespace lorikeet
