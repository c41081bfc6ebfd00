// Pretraining data: documents as one stream of tokens, cut into sequences of equal length.
#pragma once
#include <cstdint>

#include "data/dataset.h"

namespace lorikeet {

// Joins the examples in their order and cuts the stream into blocks of `length` inputs; the last
// one may be shorter. Every token except the first of the stream is a target of weight 1, including
// the first of a document, whose input is the end-of-text token of the previous one. Attention and
// loss cross documents inside a block; only the end-of-text token separates them. Throws Error for
// an example that does not end with `eos_id`.
Dataset CutIntoBlocks(const Dataset& documents, int64_t length, int32_t eos_id);

}  // namespace lorikeet
