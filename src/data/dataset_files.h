// Data sets of several files.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "chat/bundle.h"
#include "data/dataset.h"

namespace lorikeet {

// A `DatasetText` converts the text of a data file into ids of one model.
struct DatasetText {
  const TokenizerBundle* tokenizer = nullptr;  // null: only rows {"tokens": [...]} can be read
  int64_t vocab_size = 0;                      // number of ids of the model
  std::string where;                           // name of the model in errors
};

// The examples of all files in order, with statistics over all of them. Throws Error as LoadDataset
// does, and for an id beyond the model's vocabulary.
Dataset LoadExamples(const std::vector<std::string>& paths, const DatasetText& text,
                     const RenderConfig& config);

}  // namespace lorikeet
