#include "data/blocks.h"

#include <fmt/format.h>

#include "core/check.h"
#include "core/error.h"

namespace lorikeet {
namespace {

// Fills blocks with the documents' tokens, one after the other.
class BlockWriter {
 public:
  BlockWriter(int64_t length, Dataset* to) : length_(static_cast<size_t>(length)), to_(*to) {}

  void Add(int32_t token, int64_t line) {
    if (begun_) {
      if (to_.examples.empty() || to_.examples.back().tokens.size() == length_) Begin();
      Example& block = to_.examples.back();
      block.tokens.push_back(last_);
      block.target_tokens.push_back(token);
      block.weights.push_back(1.0F);
    }
    begun_ = true;
    last_ = token;
    last_line_ = line;
  }

 private:
  void Begin() {
    Example& block = to_.examples.emplace_back();
    block.tokens.reserve(length_);
    block.target_tokens.reserve(length_);
    block.weights.reserve(length_);
    to_.line.push_back(last_line_);
  }

  size_t length_;
  Dataset& to_;
  bool begun_ = false;
  int32_t last_ = 0;
  int64_t last_line_ = 0;
};

}  // namespace

Dataset CutIntoBlocks(const Dataset& documents, int64_t length, int32_t eos_id) {
  CHECK(length > 0);
  Dataset blocks;
  blocks.stats = documents.stats;
  BlockWriter writer(length, &blocks);
  for (size_t i = 0; i < documents.examples.size(); ++i) {
    const Example& document = documents.examples[i];
    const int64_t line = documents.line[i];
    if (document.target_tokens.back() != eos_id) {
      Fail(ErrorCode::kInvalidArgument,
           "line {}: the document does not end with the end-of-text token {}; rows {{\"text\": "
           "...}} get it by themselves, rows of tokens must bring it",
           line, eos_id);
    }
    for (const int32_t token : document.tokens) writer.Add(token, line);
    writer.Add(eos_id, line);
  }
  blocks.stats.notes.push_back(fmt::format("{} documents end to end, cut into blocks of {} tokens",
                                           documents.examples.size(), length));
  CountExamples(blocks);
  return blocks;
}

}  // namespace lorikeet
