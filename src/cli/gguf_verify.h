// `VerifyGguf` compares the logits of a GGUF file with those of the model that it was written from,
// both computed in f32.
#pragma once
#include <cstdint>
#include <string>

#include "checkpoint/model_source.h"
#include "cli/merge_verify.h"
#include "core/json.h"
#include "model/batch.h"
#include "model/gguf_export.h"

namespace lorikeet {

struct GgufVerification {
  int64_t tokens = 0;
  GgufTypes types = GgufTypes::kF32;
  bool same_values = false;  // the file's types hold the source's values without rounding
  LogitDifference difference;
  double nll_source = 0, nll_file = 0;  // nats per token of the batch's text
  bool ok = false;
  std::string verdict;  // one line
  // Not empty: the logits were not compared, for this reason; `ok` is then true.
  std::string skipped{};
};

// ok: logits differ by the order of sums alone where the file holds the source's values; elsewhere
// the mean divergence is below a bound of the type, and the text is not less likely than that. One
// model at a time is in memory; where it does not fit, the comparison is skipped.
GgufVerification VerifyGguf(const ModelSource& source, const ModelSource& file, GgufTypes types,
                            const Batch& batch);

std::string GgufVerificationText(const GgufVerification& verification);
OrderedJson GgufVerificationJson(const GgufVerification& verification);

}  // namespace lorikeet
