// The report of `lorikeet inspect data`: what a file would train, before training.
#pragma once
#include <cstdint>
#include <string>

#include "chat/bundle.h"
#include "core/json.h"
#include "data/dataset.h"

namespace lorikeet {

struct InspectOptions {
  int64_t examples = 1;          // number of examples shown in full
  int64_t first_example = 0;     // index of the first of them
  int64_t tokens_per_batch = 0;  // budget of packing; 0: the longest example, at least 2048
  bool color = false;            // trained tokens in colour instead of brackets
};

// Several lines of text: counts, notes, the histogram of lengths, and examples with their trained
// tokens marked. Throws Error if `first_example` is beyond the data.
std::string InspectData(const Dataset& dataset, const TokenizerBundle& bundle,
                        const InspectOptions& options);
// The same facts as JSON.
OrderedJson InspectDataJson(const Dataset& dataset, const TokenizerBundle& bundle,
                            const InspectOptions& options);

}  // namespace lorikeet
