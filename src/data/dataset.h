// A `Dataset` holds the examples of a data file with statistics of their preparation.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "chat/bundle.h"
#include "data/conversation.h"
#include "data/example.h"
#include "data/render.h"

namespace lorikeet {

// Lengths of examples in input tokens. Bin i counts lengths from first + i * width on.
struct LengthHistogram {
  int64_t first = 0, width = 1;
  std::vector<int64_t> counts;
  int64_t shortest = 0, median = 0, percentile_90 = 0, longest = 0;
};

struct DataStats {
  Format format = Format::kMessages;
  // Statistics of the file.
  int64_t rows = 0;
  int64_t split_rows = 0;           // rows whose turns became separate examples
  int64_t rows_without_target = 0;  // rows without trained tokens; left out
  // Statistics of its examples, before a split into training and held-out ones.
  int64_t truncated = 0;  // cut to max_length; examples without trained tokens left are dropped
  int64_t dropped_too_long = 0;
  int64_t dropped_by_truncation = 0;
  int64_t reworded = 0;            // rows where the template changed the text of a trained turn
  int64_t straddling = 0;          // tokens across the beginning of a trained span: not trained
  int64_t without_end = 0;         // examples in which no end-of-turn or EOS token is trained
  std::vector<std::string> notes;  // notes for the user, one line each
  std::string bos_rule;            // origin of the first token
  // Statistics of the kept examples.
  int64_t examples = 0;
  int64_t tokens = 0;          // inputs
  int64_t trained_tokens = 0;  // targets of weight above 0
  LengthHistogram lengths;
};

struct Dataset {
  std::vector<Example> examples;
  std::vector<int64_t> line;  // line in the file of each example
  DataStats stats;
};

// Reads, renders and tokenizes `path` on all threads; the result does not depend on their number.
// An example ends with its last trained target: later tokens cannot change a causal model's loss.
// Throws Error for bad rows (one error for up to RowErrors::kMaxErrors), rows of different formats,
// and a file without trained tokens.
Dataset LoadDataset(const std::string& path, const TokenizerBundle& bundle,
                    const RenderConfig& config);

int64_t CountTokens(const std::vector<Example>& examples);         // inputs
int64_t CountTrainedTokens(const std::vector<Example>& examples);  // targets of weight above 0
// Mean over tokens of the length of their example, which determines the cost of attention.
int64_t MeanContextLength(const std::vector<Example>& examples);

// Recomputes the statistics of the kept examples.
void CountExamples(Dataset& dataset);

// Splits off `amount` rows of the file (a fraction if below 1, else a count), selected by `seed`:
// {kept, held out}. Examples of one row stay together. Throws Error if either side would be empty.
std::pair<Dataset, Dataset> SplitHeldOut(Dataset dataset, double amount, uint64_t seed);

}  // namespace lorikeet
