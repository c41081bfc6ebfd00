#include "data/packer.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

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

// Bins by number with their free tokens; a tree of maxima finds the leftmost bin with enough room
// in O(log n), so that a hundred thousand examples pack in well under a second.
class Bins {
 public:
  Bins(size_t count, int64_t capacity) {
    while (leaves_ < count) leaves_ *= 2;
    most_free_.assign(2 * leaves_, capacity);
  }
  // The first bin with `need` free tokens, which are then used.
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

// Examples that stay together in a batch: one example, or several of a group after their prefix.
struct Unit {
  std::vector<size_t> members;  // indices of examples, ascending
  int64_t prefix = 0;           // number of rows that the members share
  int64_t tokens = 0;           // number of tokens of the prefix and of the members after it
};

// Appends the parts of a group that fit a batch; a part of one example has no separate prefix.
void AppendParts(std::span<const Example* const> examples, const std::vector<size_t>& group,
                 int64_t budget, std::vector<Unit>* units) {
  const int64_t prefix = examples[group.front()]->shared_prefix;
  std::vector<Unit> parts;
  for (const size_t i : group) {
    const int64_t own = examples[i]->num_tokens() - prefix;
    if (parts.empty() || parts.back().tokens + own > budget) parts.push_back({{}, prefix, prefix});
    parts.back().members.push_back(i);
    parts.back().tokens += own;
  }
  for (Unit& part : parts) {
    if (part.members.size() == 1) part.prefix = 0;
    units->push_back(std::move(part));
  }
}

void CheckShared(const Example& example, const Example& first) {
  const int64_t n = example.shared_prefix;
  CHECK(n == first.shared_prefix && n < example.num_tokens());
  CHECK(std::equal(first.tokens.begin(), first.tokens.begin() + n, example.tokens.begin()));
  CHECK(std::all_of(example.weights.begin(), example.weights.begin() + n,
                    [](float weight) { return weight == 0; }));
}

// Units in the order of their first examples.
std::vector<Unit> UnitsOf(std::span<const Example* const> examples, int64_t budget) {
  std::map<int64_t, std::vector<size_t>> groups;
  for (size_t i = 0; i < examples.size(); ++i) {
    const Example& example = *examples[i];
    if (example.prefix_group < 0 || example.shared_prefix == 0) continue;
    std::vector<size_t>& group = groups[example.prefix_group];
    group.push_back(i);
    CheckShared(example, *examples[group.front()]);
  }
  std::vector<Unit> units;
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto group = groups.find(examples[i]->prefix_group);
    if (group == groups.end() || examples[i]->shared_prefix == 0) {
      units.push_back({{i}, 0, examples[i]->num_tokens()});
    } else if (group->second.front() == i) {
      AppendParts(examples, group->second, budget, &units);
    }
  }
  return units;
}

// Adds rows [begin, end) of an example as one sequence. index -1: rows of several examples.
void AddRows(PackedBatch& packed, const Example& example, int64_t begin, int64_t end, int index,
             int32_t prefix_sequence) {
  const auto append = [&](auto& to, const auto& from) {
    if (from.empty()) return;
    to.insert(to.end(), from.begin() + begin, from.begin() + end);
  };
  Batch& batch = packed.batch;
  append(batch.tokens, example.tokens);
  append(packed.targets, example.target_tokens);
  append(packed.weights, example.weights);
  append(packed.advantages, example.advantages);
  append(packed.old_logprobs, example.logprobs);
  append(packed.reference_logprobs, example.reference_logprobs);
  for (int64_t t = begin; t < end; ++t) batch.positions.push_back(static_cast<int32_t>(t));
  batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
  batch.prefix_sequence.push_back(prefix_sequence);
  packed.example_of_sequence.push_back(index);
}

void AddUnit(PackedBatch& packed, std::span<const Example* const> examples, const Unit& unit) {
  int32_t prefix_sequence = -1;
  if (unit.prefix > 0) {
    prefix_sequence = static_cast<int32_t>(packed.batch.num_sequences());
    AddRows(packed, *examples[unit.members.front()], 0, unit.prefix, -1, -1);
  }
  for (const size_t i : unit.members) {
    AddRows(packed, *examples[i], unit.prefix, examples[i]->num_tokens(), static_cast<int>(i),
            prefix_sequence);
  }
}

}  // namespace

void PackedBatch::Scatter(std::span<const float> values,
                          std::span<std::vector<float>> to_example) const {
  for (int64_t s = 0; s < batch.num_sequences(); ++s) {
    const int example = example_of_sequence[static_cast<size_t>(s)];
    if (example < 0) continue;
    std::vector<float>& to = to_example[static_cast<size_t>(example)];
    to.clear();
    const auto add_rows_of = [&](int64_t sequence) {
      to.insert(to.end(), values.begin() + batch.cu_seqlens[sequence],
                values.begin() + batch.cu_seqlens[sequence + 1]);
    };
    if (batch.PrefixOf(s) >= 0) add_rows_of(batch.PrefixOf(s));
    add_rows_of(s);
  }
}

std::vector<PackedBatch> Pack(std::span<const Example* const> examples, int64_t tokens_per_batch) {
  if (tokens_per_batch < 1 || tokens_per_batch > std::numeric_limits<int32_t>::max()) {
    Fail(ErrorCode::kInvalidArgument, "a batch of {} tokens: the budget must lie in 1 ... 2^31 - 1",
         tokens_per_batch);
  }
  for (size_t i = 0; i < examples.size(); ++i) {
    CheckExample(*examples[i], *examples[0], i, tokens_per_batch);
  }
  const std::vector<Unit> units = UnitsOf(examples, tokens_per_batch);
  std::vector<size_t> longest_first(units.size());
  std::iota(longest_first.begin(), longest_first.end(), size_t{0});
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [&](size_t a, size_t b) { return units[a].tokens > units[b].tokens; });

  Bins bins(units.size(), tokens_per_batch);
  std::vector<std::vector<size_t>> members;
  for (const size_t i : longest_first) {
    const size_t bin = bins.TakeFirstFit(units[i].tokens);
    if (bin >= members.size()) members.resize(bin + 1);
    members[bin].push_back(i);
  }
  std::vector<PackedBatch> batches(members.size());
  for (size_t b = 0; b < members.size(); ++b) {
    std::sort(members[b].begin(), members[b].end());
    batches[b].batch.cu_seqlens.push_back(0);
    for (const size_t i : members[b]) AddUnit(batches[b], examples, units[i]);
    std::vector<int32_t>& prefixes = batches[b].batch.prefix_sequence;
    if (std::ranges::all_of(prefixes, [](int32_t p) { return p < 0; })) prefixes.clear();
  }
  return batches;
}

}  // namespace lorikeet
