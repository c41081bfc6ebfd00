// Pages of prefixes: sharing, copies of partly filled pages, eviction, adapter versions; and random
// sequences of operations against a plain model.
#include "sample/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "core/random.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

ModelConfig SmallConfig() {
  return ReadModelConfig({{"model_type", "llama"},
                          {"hidden_size", 16},
                          {"intermediate_size", 16},
                          {"vocab_size", 16},
                          {"num_hidden_layers", 2},
                          {"num_attention_heads", 4},
                          {"num_key_value_heads", 2},
                          {"head_dim", 4}},
                         "test");
}

std::vector<int32_t> Range(int32_t begin, int32_t end) {
  std::vector<int32_t> tokens(static_cast<size_t>(end - begin));
  std::iota(tokens.begin(), tokens.end(), begin);
  return tokens;
}

// Row `position` of the sequence's keys in a layer and head.
float* Row(PrefixCache& cache, const CachedSequence& s, int64_t position, int64_t layer,
           int64_t head) {
  const Tensor& k = cache.kv().k(layer);
  const int64_t page = s.state.pages[static_cast<size_t>(position / kPagePositions)];
  return k.as<float>() +
         ((head * k.shape[1] + page) * kPagePositions + position % kPagePositions) * k.shape[3];
}

// Stands for a forward pass: every row gets its token.
void Compute(PrefixCache& cache, CachedSequence& s, const std::vector<int32_t>& tokens) {
  for (int64_t p = s.length; p < static_cast<int64_t>(tokens.size()); ++p) {
    for (const auto& [layer, head] : {std::pair{0, 0}, {1, 1}}) {
      *Row(cache, s, p, layer, head) = static_cast<float>(tokens[static_cast<size_t>(p)]);
    }
  }
  cache.Append(s, std::span(tokens).subspan(static_cast<size_t>(s.length)));
}

void ExpectRows(PrefixCache& cache, const CachedSequence& s, const std::vector<int32_t>& tokens) {
  for (int64_t p = 0; p < s.length; ++p) {
    const auto token = static_cast<float>(tokens[static_cast<size_t>(p)]);
    ASSERT_EQ(*Row(cache, s, p, 0, 0), token);
    ASSERT_EQ(*Row(cache, s, p, 1, 1), token);
  }
}

CachedSequence Fill(PrefixCache& cache, uint64_t version, const std::vector<int32_t>& tokens) {
  CachedSequence s = cache.Acquire(version, tokens);
  EXPECT_TRUE(cache.Extend(s, static_cast<int64_t>(tokens.size())));
  Compute(cache, s, tokens);
  return s;
}

TEST(PrefixCacheTest, WholePagesAreSharedAndPartlyFilledOnesCopied) {
  PrefixCache cache(SmallConfig(), DType::kF32, 8);
  const std::vector<int32_t> tokens = Range(0, 150);
  CachedSequence a = Fill(cache, 0, tokens);
  CachedSequence b = cache.Acquire(0, Range(0, 145));
  EXPECT_EQ(b.length, 144);
  EXPECT_EQ(b.state.pages, a.state.pages);
  EXPECT_EQ(cache.PagesInUse(), 3);
  ASSERT_TRUE(cache.Extend(b, 145));
  EXPECT_EQ(b.state.pages[1], a.state.pages[1]);
  EXPECT_NE(b.state.pages[2], a.state.pages[2]);
  EXPECT_EQ(cache.PagesInUse(), 4);
  std::vector<int32_t> other = Range(0, 145);
  other[144] = 7;
  Compute(cache, b, other);
  ExpectRows(cache, a, tokens);
  ExpectRows(cache, b, other);
  other.push_back(1);
  EXPECT_EQ(cache.LongestPrefix(0, other), 145);
  EXPECT_EQ(cache.LongestPrefix(1, other), 0);  // another adapter
  cache.Release(a);
  cache.Release(b);
  EXPECT_EQ(cache.PagesInUse(), 0);
  EXPECT_EQ(cache.LongestPrefix(0, other), 145);
  cache.Forget();
  EXPECT_EQ(cache.LongestPrefix(0, other), 0);
  EXPECT_EQ(cache.kv().free_pages(), 8);
}

TEST(PrefixCacheTest, TheLeastRecentlyUsedPrefixIsEvicted) {
  PrefixCache cache(SmallConfig(), DType::kF32, 4);
  for (const uint64_t version : {1, 2}) {
    CachedSequence s = Fill(cache, version, Range(0, 128));
    cache.Release(s);
  }
  CachedSequence again = cache.Acquire(1, Range(0, 128));
  cache.Release(again);
  CachedSequence s = Fill(cache, 3, Range(0, 64));
  EXPECT_EQ(cache.LongestPrefix(1, Range(0, 129)), 128);
  EXPECT_EQ(cache.LongestPrefix(2, Range(0, 129)), 64);  // its end first
  EXPECT_TRUE(cache.Extend(s, 4 * 64));
  EXPECT_EQ(cache.LongestPrefix(1, Range(0, 129)), 0);
  EXPECT_FALSE(cache.Extend(s, 5 * 64));
  EXPECT_EQ(s.state.pages.size(), 4U);
}

TEST(PrefixCacheTest, EqualPagesOfTwoSequencesBecomeOne) {
  PrefixCache cache(SmallConfig(), DType::kF32, 8);
  const std::vector<int32_t> tokens = Range(0, 130);
  CachedSequence a = cache.Acquire(0, tokens), b = cache.Acquire(0, tokens);
  ASSERT_TRUE(cache.Extend(a, 130) && cache.Extend(b, 130));
  Compute(cache, a, tokens);
  Compute(cache, b, tokens);
  EXPECT_EQ(a.state.pages[0], b.state.pages[0]);
  EXPECT_EQ(a.state.pages[1], b.state.pages[1]);
  EXPECT_NE(a.state.pages[2], b.state.pages[2]);
  EXPECT_EQ(cache.PagesInUse(), 4);
}

// A page is all zero when it comes back, whatever its last owner left behind a last key.
TEST(PrefixCacheTest, NoRowOfAnEarlierOwnerIsLeft) {
  PrefixCache cache(SmallConfig(), DType::kF32, 1);
  const Tensor& k = cache.kv().k(1);
  const auto poison = [&] { std::fill_n(k.as<float>(), k.size(), NAN); };
  const auto finite = [&](int64_t from_row) {
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = from_row * 4; i < kPagePositions * 4; ++i) {
        if (k.as<float>()[h * kPagePositions * 4 + i] != 0) return false;
      }
    }
    return true;
  };
  CachedSequence s = Fill(cache, 0, Range(0, 64));
  cache.Release(s);
  poison();
  s = cache.Acquire(1, Range(0, 64));
  ASSERT_TRUE(cache.Extend(s, 1));  // evicts
  EXPECT_TRUE(finite(0));
  Compute(cache, s, Range(0, 1));
  cache.Release(s);
  s = Fill(cache, 2, Range(0, 60));
  cache.Release(s);
  poison();
  s = cache.Acquire(2, Range(0, 20));
  ASSERT_TRUE(cache.Extend(s, 20));  // takes over
  EXPECT_TRUE(finite(19));
}

// Sequences with many common prefixes join, grow, fork and leave in random order in few pages; the
// rows of each must be its tokens' at all times.
TEST(PrefixCacheTest, RandomUseKeepsEveryRow) {
  struct Running {
    std::vector<int32_t> tokens;
    CachedSequence cached;
  };
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const RandomStream random(seed, "prefix_cache_test");
    uint64_t n = 0;
    const auto below = [&](int64_t bound) {
      return static_cast<int64_t>(random.Below(n++, bound));
    };
    PrefixCache cache(SmallConfig(), DType::kF32, 3 + below(12));
    std::vector<Running> running;
    std::vector<std::vector<int32_t>> seen = {{0}};
    for (int step = 0; step < 300; ++step) {
      if (running.empty() || below(4) == 0) {  // a prefix of one seen before, and other tokens
        Running r;
        r.tokens = seen[static_cast<size_t>(below(static_cast<int64_t>(seen.size())))];
        r.tokens.resize(static_cast<size_t>(1 + below(static_cast<int64_t>(r.tokens.size()))));
        for (int64_t i = below(100); i >= 0; --i) {
          r.tokens.push_back(static_cast<int32_t>(below(2)));
        }
        const auto version = static_cast<uint64_t>(below(2));
        const int64_t longest = cache.LongestPrefix(version, r.tokens);
        r.cached = cache.Acquire(version, r.tokens);
        ASSERT_EQ(r.cached.length, longest);
        ASSERT_LT(longest, static_cast<int64_t>(r.tokens.size()));
        if (cache.Extend(r.cached, static_cast<int64_t>(r.tokens.size()))) {
          running.push_back(std::move(r));
        } else {
          cache.Release(r.cached);
        }
      } else if (below(3) == 0) {
        const size_t i = static_cast<size_t>(below(static_cast<int64_t>(running.size())));
        seen.push_back(running[i].tokens);
        cache.Release(running[i].cached);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        Running& r = running[static_cast<size_t>(below(static_cast<int64_t>(running.size())))];
        if (cache.Extend(r.cached, static_cast<int64_t>(r.tokens.size()))) {
          Compute(cache, r.cached, r.tokens);
          for (int64_t i = below(20); i >= 0; --i) {
            r.tokens.push_back(static_cast<int32_t>(below(2)));
          }
        }
      }
      for (const Running& r : running) ExpectRows(cache, r.cached, r.tokens);
      if (HasFatalFailure()) return;
    }
    for (Running& r : running) cache.Release(r.cached);
    EXPECT_EQ(cache.PagesInUse(), 0);
    cache.Forget();
    EXPECT_EQ(cache.kv().free_pages(), cache.kv().pages());
  }
}

}  // namespace
}  // namespace lorikeet
