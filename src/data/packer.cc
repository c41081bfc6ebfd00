#include "data/packer.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "core/error.h"

namespace lorikeet {
namespace {

void CheckExample(const Example& example, const Example& first, size_t index, int64_t budget) {
  const size_t n = example.tokens.size();
  if (n == 0) {
    Fail(ErrorCode::kInvalidArgument, "example {}: it has no tokens; leave it out", index);
  }
  if (static_cast<int64_t>(n) > budget) {
    Fail(ErrorCode::kInvalidArgument,
         "example {}: its {} tokens exceed the batch's budget of {} tokens; raise the budget or "
         "lower "
         "max_length",
         index, n, budget);
  }
  if (example.target_tokens.size() != n || example.weights.size() != n) {
    Fail(ErrorCode::kInvalidArgument, "example {}: {} tokens but {} targets and {} weights", index,
         n, example.target_tokens.size(), example.weights.size());
  }
  const auto check_optional = [&](const char* name, size_t size, size_t size_of_first) {
    if ((size == 0) != (size_of_first == 0)) {
      Fail(ErrorCode::kInvalidArgument, "example {}: {} must be given for all examples or for none",
           index, name);
    }
    if (size != 0 && size != n) {
      Fail(ErrorCode::kInvalidArgument, "example {}: {} tokens but {} {}", index, n, size, name);
    }
  };
  check_optional("advantages", example.advantages.size(), first.advantages.size());
  check_optional("logprobs", example.logprobs.size(), first.logprobs.size());
  check_optional("reference_logprobs", example.reference_logprobs.size(),
                 first.reference_logprobs.size());
}

// Bins by number, each with its free tokens; the leftmost bin with enough room is found in O(log n)
// through a tree of maxima, so that a hundred thousand examples pack in well under a second.
class Bins {
 public:
  Bins(size_t count, int64_t capacity) {
    while (leaves_ < count) leaves_ *= 2;
    most_free_.assign(2 * leaves_, capacity);
  }
  // The first bin with `need` free tokens, which it takes.
  size_t TakeFirstFit(int64_t need) {
    CHECK(most_free_[1] >= need);
    size_t node = 1;
    while (node < leaves_) {
      node *= 2;
      if (most_free_[node] < need) ++node;
    }
    const size_t bin = node - leaves_;
    most_free_[node] -= need;
    for (node /= 2; node >= 1; node /= 2) {
      most_free_[node] = std::max(most_free_[2 * node], most_free_[2 * node + 1]);
    }
    return bin;
  }

 private:
  size_t leaves_ = 1;
  std::vector<int64_t> most_free_;
};

template <class T>
void Append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void AddExample(PackedBatch& packed, const Example& example, size_t index) {
  const size_t row = packed.batch.tokens.size(), n = example.tokens.size();
  Append(packed.batch.tokens, example.tokens);
  packed.batch.positions.resize(row + n);
  std::iota(packed.batch.positions.begin() + static_cast<int64_t>(row),
            packed.batch.positions.end(), 0);
  packed.batch.cu_seqlens.push_back(static_cast<int32_t>(row + n));
  Append(packed.targets, example.target_tokens);
  Append(packed.weights, example.weights);
  Append(packed.advantages, example.advantages);
  Append(packed.old_logprobs, example.logprobs);
  Append(packed.reference_logprobs, example.reference_logprobs);
  packed.example_of_sequence.push_back(static_cast<int>(index));
}

}  // namespace

std::vector<PackedBatch> Pack(std::span<const Example* const> examples, int64_t tokens_per_batch) {
  if (tokens_per_batch < 1 || tokens_per_batch > std::numeric_limits<int32_t>::max()) {
    Fail(ErrorCode::kInvalidArgument, "a batch of {} tokens: the budget must lie in 1 ... 2^31 - 1",
         tokens_per_batch);
  }
  for (size_t i = 0; i < examples.size(); ++i) {
    CheckExample(*examples[i], *examples[0], i, tokens_per_batch);
  }
  std::vector<size_t> longest_first(examples.size());
  std::iota(longest_first.begin(), longest_first.end(), size_t{0});
  std::stable_sort(longest_first.begin(), longest_first.end(), [&](size_t a, size_t b) {
    return examples[a]->tokens.size() > examples[b]->tokens.size();
  });

  Bins bins(examples.size(), tokens_per_batch);
  std::vector<std::vector<size_t>> members;
  for (const size_t i : longest_first) {
    const size_t bin = bins.TakeFirstFit(examples[i]->num_tokens());
    if (bin >= members.size()) members.resize(bin + 1);
    members[bin].push_back(i);
  }
  std::vector<PackedBatch> batches(members.size());
  for (size_t b = 0; b < members.size(); ++b) {
    std::sort(members[b].begin(), members[b].end());
    batches[b].batch.cu_seqlens.push_back(0);
    for (const size_t i : members[b]) AddExample(batches[b], *examples[i], i);
  }
  return batches;
}

}  // namespace lorikeet
