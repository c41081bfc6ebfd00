#include "data/packer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/random.h"

namespace lorikeet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Tokens that identify their example, so that a misplaced row is detected.
Example MakeExample(int id, int length) {
  Example example;
  for (int t = 0; t < length; ++t) {
    example.tokens.push_back(id * 1000 + t);
    example.target_tokens.push_back(id * 1000 + t + 1);
    example.weights.push_back(static_cast<float>(t % 3));
  }
  return example;
}

std::vector<Example> MakeExamples(const std::vector<int>& lengths) {
  std::vector<Example> examples;
  for (size_t i = 0; i < lengths.size(); ++i) {
    examples.push_back(MakeExample(static_cast<int>(i), lengths[i]));
  }
  return examples;
}

std::vector<const Example*> Pointers(const std::vector<Example>& examples) {
  std::vector<const Example*> pointers;
  for (const Example& example : examples) pointers.push_back(&example);
  return pointers;
}

std::vector<int> RandomLengths(int count, int max, uint64_t seed) {
  const RandomStream random(seed, "packer_test");
  std::vector<int> lengths;
  for (int i = 0; i < count; ++i) {
    lengths.push_back(1 + static_cast<int>(random.Below(static_cast<uint64_t>(i), max)));
  }
  return lengths;
}

TEST(Packer, EveryExampleLiesOnceAndWhole) {
  for (const int64_t budget : {64, 100, 1000}) {
    const std::vector<Example> examples = MakeExamples(RandomLengths(300, 64, budget));
    std::set<int> seen;
    for (const PackedBatch& packed : Pack(Pointers(examples), budget)) {
      const Batch& batch = packed.batch;
      ASSERT_LE(batch.num_tokens(), budget);
      ASSERT_EQ(batch.cu_seqlens.front(), 0);
      ASSERT_EQ(batch.cu_seqlens.back(), batch.num_tokens());
      ASSERT_EQ(batch.num_sequences(), static_cast<int64_t>(packed.example_of_sequence.size()));
      ASSERT_TRUE(packed.advantages.empty());
      ASSERT_TRUE(packed.old_logprobs.empty());
      for (int64_t s = 0; s < batch.num_sequences(); ++s) {
        const int index = packed.example_of_sequence[s];
        EXPECT_TRUE(seen.insert(index).second) << "example " << index << " lies twice";
        const Example& example = examples[index];
        const int32_t begin = batch.cu_seqlens[s];
        ASSERT_EQ(batch.cu_seqlens[s + 1] - begin, example.num_tokens());
        for (int64_t t = 0; t < example.num_tokens(); ++t) {
          EXPECT_EQ(batch.tokens[begin + t], example.tokens[t]);
          EXPECT_EQ(batch.positions[begin + t], t);
          EXPECT_EQ(packed.targets[begin + t], example.target_tokens[t]);
          EXPECT_EQ(packed.weights[begin + t], example.weights[t]);
        }
      }
    }
    EXPECT_EQ(seen.size(), examples.size());
  }
}

TEST(Packer, FirstFitDecreasing) {
  const std::vector<Example> examples = MakeExamples({4, 8, 1, 4, 2, 1});
  const std::vector<PackedBatch> batches = Pack(Pointers(examples), 10);
  ASSERT_EQ(batches.size(), 2u);  // 8+2 and 4+4+1+1: both full
  EXPECT_THAT(batches[0].example_of_sequence, ElementsAre(1, 4));
  EXPECT_THAT(batches[1].example_of_sequence, ElementsAre(0, 2, 3, 5));
  EXPECT_THAT(batches[1].batch.cu_seqlens, ElementsAre(0, 4, 5, 9, 10));
  EXPECT_THAT(batches[1].batch.positions, ElementsAre(0, 1, 2, 3, 0, 0, 1, 2, 3, 0));
}

TEST(Packer, FillsBatchesWell) {
  const std::vector<int> lengths = RandomLengths(5000, 512, 7);
  int64_t total = 0;
  for (const int length : lengths) total += length;
  const std::vector<Example> examples = MakeExamples(lengths);
  const auto batches = Pack(Pointers(examples), 2048);
  EXPECT_GT(static_cast<double>(total) / (2048.0 * static_cast<double>(batches.size())), 0.99);
}

TEST(Packer, SameInputSameBatches) {
  const std::vector<Example> examples = MakeExamples(RandomLengths(200, 20, 3));
  const auto a = Pack(Pointers(examples), 50), b = Pack(Pointers(examples), 50);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].example_of_sequence, b[i].example_of_sequence);
    EXPECT_EQ(a[i].batch.tokens, b[i].batch.tokens);
  }
}

TEST(Packer, CarriesPolicyInputs) {
  std::vector<Example> examples = MakeExamples({2, 3});
  examples[0].advantages = {1, 2};
  examples[0].logprobs = {-1, -2};
  examples[1].advantages = {3, 4, 5};
  examples[1].logprobs = {-3, -4, -5};
  const auto batches = Pack(Pointers(examples), 8);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_THAT(batches[0].advantages, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(batches[0].old_logprobs, ElementsAre(-1, -2, -3, -4, -5));
}

// Appends examples of one group: the same `prefix` tokens, then `own` tokens of each.
void AppendGroup(int group, int prefix, const std::vector<int>& own,
                 std::vector<Example>* examples) {
  for (const int length : own) {
    const int id = static_cast<int>(examples->size());
    Example example = MakeExample(id, prefix + length);
    for (int t = 0; t < prefix; ++t) {
      example.tokens[t] = -1000 * (group + 1) - t;
      example.target_tokens[t] = t + 1 < prefix ? example.tokens[t] - 1 : 77;
      example.weights[t] = 0;
    }
    for (int t = 0; t < prefix + length; ++t) {
      example.advantages.push_back(static_cast<float>(t < prefix ? 0 : id));
      example.logprobs.push_back(static_cast<float>(t < prefix ? 0 : -id * 100 - t));
    }
    example.prefix_group = group;
    example.shared_prefix = prefix;
    examples->push_back(std::move(example));
  }
}

// Checks every row of every example, looked up by its sequence and the prefix of that.
void ExpectRowsOfExamples(const std::vector<PackedBatch>& batches,
                          const std::vector<Example>& examples, int64_t budget) {
  std::set<int> seen;
  for (const PackedBatch& packed : batches) {
    const Batch& batch = packed.batch;
    ASSERT_LE(batch.num_tokens(), budget);
    ASSERT_EQ(batch.num_sequences(), std::ssize(packed.example_of_sequence));
    for (int64_t s = 0; s < batch.num_sequences(); ++s) {
      const int index = packed.example_of_sequence[s];
      if (index < 0) continue;
      EXPECT_TRUE(seen.insert(index).second) << "example " << index << " lies twice";
      const Example& example = examples[index];
      std::vector<int64_t> rows;
      for (const int64_t sequence : {batch.PrefixOf(s), s}) {
        if (sequence < 0) continue;
        ASSERT_LE(sequence, s);
        for (int64_t t = batch.cu_seqlens[sequence]; t < batch.cu_seqlens[sequence + 1]; ++t) {
          rows.push_back(t);
        }
      }
      ASSERT_EQ(std::ssize(rows), example.num_tokens());
      for (int64_t t = 0; t < example.num_tokens(); ++t) {
        const int64_t row = rows[t];
        EXPECT_EQ(batch.tokens[row], example.tokens[t]);
        EXPECT_EQ(batch.positions[row], t);
        EXPECT_EQ(packed.targets[row], example.target_tokens[t]);
        EXPECT_EQ(packed.weights[row], example.weights[t]);
        EXPECT_EQ(packed.advantages[row], example.advantages[t]);
        EXPECT_EQ(packed.old_logprobs[row], example.logprobs[t]);
      }
    }
  }
  EXPECT_EQ(seen.size(), examples.size());
}

TEST(PackerPrefix, LiesOnceBeforeTheExamplesOfItsGroup) {
  std::vector<Example> examples;
  AppendGroup(4, 3, {2, 1}, &examples);
  AppendGroup(-1, 0, {4}, &examples);
  AppendGroup(9, 2, {1}, &examples);  // alone: nobody to share with
  AppendGroup(4, 3, {1}, &examples);
  const auto batches = Pack(Pointers(examples), 20);
  ASSERT_EQ(batches.size(), 1u);
  const PackedBatch& packed = batches[0];
  EXPECT_THAT(packed.example_of_sequence, ElementsAre(-1, 0, 1, 4, 2, 3));
  EXPECT_THAT(packed.batch.cu_seqlens, ElementsAre(0, 3, 5, 6, 7, 11, 14));
  EXPECT_THAT(packed.batch.prefix_sequence, ElementsAre(-1, 0, 0, 0, -1, -1));
  EXPECT_THAT(packed.batch.positions, ElementsAre(0, 1, 2, 3, 4, 3, 3, 0, 1, 2, 3, 0, 1, 2));
  ExpectRowsOfExamples(batches, examples, 20);
}

TEST(PackerPrefix, AGroupLargerThanABatchIsSplit) {
  std::vector<Example> examples;
  AppendGroup(0, 10, {3, 3, 3, 3, 3}, &examples);
  // 10 + 3 + 3, twice, and the last one as a plain sequence.
  const auto batches = Pack(Pointers(examples), 18);
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_THAT(batches[0].example_of_sequence, ElementsAre(-1, 0, 1));
  EXPECT_THAT(batches[1].example_of_sequence, ElementsAre(-1, 2, 3));
  EXPECT_THAT(batches[2].example_of_sequence, ElementsAre(4));
  EXPECT_TRUE(batches[2].batch.prefix_sequence.empty());
  ExpectRowsOfExamples(batches, examples, 18);
}

TEST(PackerPrefix, ManyGroupsAndPlainExamplesLieOnceAndWhole) {
  const RandomStream random(5, "packer_test");
  for (const int64_t budget : {40, 64, 500}) {
    std::vector<Example> examples;
    for (int g = 0; g < 30; ++g) {
      const auto at = static_cast<uint64_t>(g);
      AppendGroup(g % 4 == 0 ? -1 : g, g % 4 == 0 ? 0 : static_cast<int>(random.Below(at, 20)),
                  RandomLengths(1 + g % 5, 20, at), &examples);
    }
    const auto batches = Pack(Pointers(examples), budget);
    ExpectRowsOfExamples(batches, examples, budget);
    int64_t packed = 0, whole = 0;
    for (const PackedBatch& batch : batches) packed += batch.batch.num_tokens();
    for (const Example& example : examples) whole += example.num_tokens();
    EXPECT_LT(packed, whole);
  }
}

TEST(PackerPrefix, GivesRowsBackToExamples) {
  std::vector<Example> examples;
  AppendGroup(0, 2, {1, 2}, &examples);
  const auto batches = Pack(Pointers(examples), 9);
  ASSERT_EQ(batches.size(), 1u);
  std::vector<std::vector<float>> of_example(2, {5});
  batches[0].Scatter(std::vector<float>{1, 2, 3, 4, 5}, of_example);
  EXPECT_THAT(of_example[0], ElementsAre(1, 2, 3));
  EXPECT_THAT(of_example[1], ElementsAre(1, 2, 4, 5));
}

TEST(PackerPrefix, WithoutOneTheBatchesAreThoseOfPlainExamples) {
  std::vector<Example> grouped = MakeExamples(RandomLengths(60, 20, 3));
  const std::vector<Example> plain = grouped;
  for (Example& example : grouped) example.prefix_group = 1;  // but shares no row
  const auto a = Pack(Pointers(grouped), 50), b = Pack(Pointers(plain), 50);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].example_of_sequence, b[i].example_of_sequence);
    EXPECT_EQ(a[i].batch.tokens, b[i].batch.tokens);
    EXPECT_TRUE(a[i].batch.prefix_sequence.empty());
  }
}

TEST(Packer, NothingGivesNothing) { EXPECT_TRUE(Pack({}, 16).empty()); }

TEST(Packer, SaysWhatItRefuses) {
  std::vector<Example> examples = MakeExamples({4, 9});
  const auto pack = [&](int64_t budget) {
    return [&, budget] { Pack(Pointers(examples), budget); };
  };
  EXPECT_THAT(pack(8), ThrowsMessage<Error>(HasSubstr("example 1: its 9 tokens exceed")));
  EXPECT_THAT(pack(0), ThrowsMessage<Error>(HasSubstr("budget must lie in")));
  EXPECT_THAT(pack(int64_t{1} << 31), ThrowsMessage<Error>(HasSubstr("budget must lie in")));
  examples[1].weights.pop_back();
  EXPECT_THAT(pack(9), ThrowsMessage<Error>(HasSubstr("9 targets and 8 weights")));
  examples = MakeExamples({4, 2});
  examples[0].advantages = {1, 1, 1, 1};
  EXPECT_THAT(pack(9), ThrowsMessage<Error>(HasSubstr("example 1: advantages must be given")));
  examples[1].advantages = {1};
  EXPECT_THAT(pack(9), ThrowsMessage<Error>(HasSubstr("2 tokens but 1 advantages")));
  examples = MakeExamples({0});
  EXPECT_THAT(pack(9), ThrowsMessage<Error>(HasSubstr("no tokens")));
}

}  // namespace
}  // namespace lorikeet
