// Documents as one stream of tokens, cut into sequences of one length: what pretraining reads.
#pragma once
#include <cstdint>

#include "data/dataset.h"

namespace lorikeet {

// Joins the examples in their order and cuts the stream into blocks of `length` inputs; the last
// one may be shorter. Every token but the very first is a target of weight 1, the first of a
// document too: its input is the end-of-text token of the one before. Attention and loss cross
// documents inside a block; the end-of-text token is all that tells them apart. Throws Error for
// an example that does not end with `eos_id`.
Dataset CutIntoBlocks(const Dataset& documents, int64_t length, int32_t eos_id);

}  // namespace lorikeet
