// The bit rules of the whole network, by memcmp: packed = one by one, behind a shared prefix =
// whole, recompute = none, threads, cached = whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "core/threads_scope_for_test.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

using Param1 = std::tuple<std::string, DType>;

class BitsTest : public ::testing::TestWithParam<Param1> {
 protected:
  void SetUp() override {
    if (std::get<1>(GetParam()) == DType::kBF16 && !HasNativeBf16()) {
      GTEST_SKIP() << "this CPU has no native bf16 products";
    }
    model_ = Model::Load(GoldenDir(std::get<0>(GetParam())), std::get<1>(GetParam()));
    adapter_ = std::make_unique<LoraTraining>(
        LoraAdapter::Load(*model_, GoldenDir(std::get<0>(GetParam())) + "/adapter"));
  }
  void TearDown() override { SetNumThreads(threads_); }
  std::vector<float> Logprobs(const std::vector<int64_t>& lengths) {
    return RunBatch(*model_, adapter_.get(), RandomBatch(lengths, model_->config().vocab_size),
                    Recompute::kNone, false, arena_);
  }
  // For any number of threads, and with activations kept or recomputed.
  void ExpectSameGradients(const std::vector<Param>& params, const LoraTraining* adapter,
                           const RandomBatch& random);
  void ExpectSharedEqualsWhole(const LoraTraining* adapter);
  int threads_ = NumThreads();
  Arena arena_{size_t{256} << 20};
  std::unique_ptr<Model> model_;
  std::unique_ptr<LoraTraining> adapter_;
};

// A prefix (0: none) and the lengths of what follows it.
struct Family {
  int64_t prefix;
  std::vector<int64_t> own;
};
const std::vector<Family> kFamilies = {{1, {3, 64}},       {63, {1, 9}},   {0, {17}},
                                       {64, {2, 70}},      {65, {30, 30}}, {0, {1, 130}},
                                       {130, {5, 5, 5, 5}}};
const std::vector<Family> kFewFamilies = {
    {30, {1, 50}}, {0, {9}}, {70, std::vector<int64_t>(9, 4)}};

// The families as sequences, each prefix once or before each of its members; rows of both kinds are
// trained.
RandomBatch BatchOf(const std::vector<Family>& families, int64_t vocab_size, bool shared) {
  RandomBatch random({}, vocab_size);
  Batch& batch = random.batch;
  const auto add_rows = [&](size_t family, size_t member, int64_t begin, int64_t end) {
    const RandomStream stream(family, "bits_test", std::to_string(member));
    const auto below = static_cast<uint64_t>(vocab_size);
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<uint64_t>(2 * i);
      batch.tokens.push_back(static_cast<int32_t>(stream.Below(at, below)));
      random.targets.push_back(static_cast<int32_t>(stream.Below(at + 1, below)));
      batch.positions.push_back(static_cast<int32_t>(i));
      random.weights.push_back(1);
    }
  };
  const auto end_sequence = [&](int32_t prefix) {
    batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
    batch.prefix_sequence.push_back(prefix);
  };
  for (size_t f = 0; f < families.size(); ++f) {
    const auto& [prefix, own] = families[f];
    const bool apart = shared && prefix > 0;
    const auto first = static_cast<int32_t>(batch.num_sequences());
    if (apart) add_rows(f, own.size(), 0, prefix);
    if (apart) end_sequence(-1);
    for (size_t m = 0; m < own.size(); ++m) {
      if (!apart) add_rows(f, own.size(), 0, prefix);
      add_rows(f, m, prefix, prefix + own[m]);
      end_sequence(apart ? first : -1);
    }
  }
  return random;
}

// The values of the rows as they would lie if every sequence were whole.
std::vector<float> Unshared(const std::vector<float>& values, const Batch& batch) {
  std::vector<float> whole;
  const auto add = [&](int64_t s) {
    whole.insert(whole.end(), values.begin() + batch.cu_seqlens[s],
                 values.begin() + batch.cu_seqlens[s + 1]);
  };
  for (int64_t s = 0; s < batch.num_sequences(); ++s) {
    const auto& prefixes = batch.prefix_sequence;
    if (std::ranges::find(prefixes, static_cast<int32_t>(s)) != prefixes.end()) continue;
    if (batch.PrefixOf(s) >= 0) add(batch.PrefixOf(s));
    add(s);
  }
  return whole;
}

bool SameBits(const std::vector<float>& a, const float* b) {
  return std::memcmp(a.data(), b, a.size() * sizeof(float)) == 0;
}

void BitsTest::ExpectSharedEqualsWhole(const LoraTraining* adapter) {
  const int64_t V = model_->config().vocab_size;
  const RandomBatch whole = BatchOf(kFamilies, V, false), shared = BatchOf(kFamilies, V, true);
  ASSERT_LT(shared.batch.num_tokens(), whole.batch.num_tokens());
  const std::vector<float> expected =
      RunBatch(*model_, adapter, whole, Recompute::kNone, false, arena_);
  for (const int threads : {1, 2}) {
    SetNumThreads(threads);
    const std::vector<float> got =
        Unshared(RunBatch(*model_, adapter, shared, Recompute::kNone, false, arena_), shared.batch);
    ASSERT_EQ(got.size(), expected.size());
    EXPECT_TRUE(SameBits(got, expected.data())) << "threads " << threads;
  }
}

void BitsTest::ExpectSameGradients(const std::vector<Param>& params, const LoraTraining* adapter,
                                   const RandomBatch& random) {
  std::vector<float> logprobs;
  std::vector<std::vector<float>> first;
  for (const auto& [threads, recompute] : {std::pair{1, Recompute::kNone},
                                           {2, Recompute::kNone},
                                           {3, Recompute::kNone},
                                           {1, Recompute::kBlock},
                                           {2, Recompute::kBlock}}) {
    SetNumThreads(threads);
    for (const Param& p : params) std::memset(p.grad.data, 0, static_cast<size_t>(p.grad.bytes()));
    const std::vector<float> here = RunBatch(*model_, adapter, random, recompute, true, arena_);
    if (logprobs.empty()) logprobs = here;
    EXPECT_TRUE(SameBits(logprobs, here.data())) << "threads " << threads;
    for (size_t i = 0; i < params.size(); ++i) {
      const float* grad = params[i].grad.as<float>();
      if (first.size() < params.size()) {
        first.emplace_back(grad, grad + params[i].grad.size());
      } else {
        EXPECT_TRUE(SameBits(first[i], grad)) << params[i].name << " threads " << threads
                                              << " recompute " << static_cast<int>(recompute);
      }
    }
  }
}

TEST_P(BitsTest, PackedEqualsOneByOne) {
  const std::vector<int64_t> lengths = {5, 130, 1, 64, 33, 17};
  const std::vector<float> packed = Logprobs(lengths);
  size_t at = 0;
  for (const int64_t length : lengths) {
    EXPECT_TRUE(SameBits(Logprobs({length}), packed.data() + at)) << "sequence of " << length;
    at += static_cast<size_t>(length);
  }
}

TEST_P(BitsTest, BehindASharedPrefixEqualsWhole) {
  ExpectSharedEqualsWhole(nullptr);
  ExpectSharedEqualsWhole(adapter_.get());
}

TEST_P(BitsTest, BehindASharedPrefixEqualsWholeWithOneRank) {
  LoraConfig config{.r = 1, .target_modules = {"all-linear"}};
  LoraTraining adapter(LoraAdapter::Create(*model_, config, 1));
  for (const Param& param : adapter.params()) {
    const RandomStream random(1, "bits_test", param.name);
    for (int64_t i = 0; i < param.value.size(); ++i) {
      param.value.as<float>()[i] = static_cast<float>(random.Uniform(i) - 0.5);
    }
  }
  adapter.RefreshWorkingCopies();
  ExpectSharedEqualsWhole(&adapter);
}

TEST_P(BitsTest, ThreadsAndRecomputeDoNotChangeGradients) {
  const int64_t V = model_->config().vocab_size;
  const std::vector<Param> params = adapter_->params();
  ExpectSameGradients(params, adapter_.get(), RandomBatch({70, 9, 200}, V));
  ExpectSameGradients(params, adapter_.get(), BatchOf(kFewFamilies, V, true));
}

TEST_P(BitsTest, ThreadsAndRecomputeDoNotChangeGradientsInFull) {
  const int64_t V = model_->config().vocab_size;
  const std::vector<Param> params = model_->MakeTrainable();
  ExpectSameGradients(params, nullptr, RandomBatch({70, 9, 200}, V));
  ExpectSameGradients(params, nullptr, BatchOf(kFewFamilies, V, true));
}

// Logits of every position from prefill and decoding steps of several sequences at once.
TEST_P(BitsTest, CachedEqualsWhole) {
  const int64_t V = model_->config().vocab_size;
  const std::vector<int64_t> lengths = {80, 67, 3};
  const RandomBatch whole(lengths, V);
  const ArenaScope scope(arena_);
  const auto logits_of = [&](const Batch& batch, KvCache* cache,
                             const std::vector<const SequenceState*>& states) {
    ForwardOptions options;
    options.adapter = &adapter_->weights();
    options.cache = cache;
    options.states = states;
    const Tensor hidden = Forward(*model_, batch, options, arena_);
    const Tensor logits = arena_.Take("logits", DType::kF32, {batch.num_tokens(), V});
    HeadLogits(*model_, AllRows(&adapter_->weights(), batch.num_tokens()), hidden, logits, arena_);
    return logits;
  };
  const Tensor expected = logits_of(whole.batch, nullptr, {});
  KvCache cache(model_->config(), model_->compute(), 8);
  for (int page = 0; page < 8; ++page) cache.Allocate(page - 1);
  const std::vector<SequenceState> states_of = {{{6, 2}}, {{0, 1}}, {{4}}};
  std::vector<int64_t> done(lengths.size(), 0);
  for (int step = 0; step < 100; ++step) {
    const ArenaScope step_scope(arena_);
    Batch batch;
    batch.cu_seqlens = {0};
    std::vector<const SequenceState*> states;
    std::vector<int64_t> rows;
    for (size_t s = 0; s < lengths.size(); ++s) {
      const int64_t count = std::min<int64_t>(step == 0 ? 60 : 1, lengths[s] - done[s]);
      if (count == 0) continue;
      for (int64_t i = 0; i < count; ++i) {
        rows.push_back(whole.batch.cu_seqlens[s] + done[s]);
        batch.tokens.push_back(whole.batch.tokens[rows.back()]);
        batch.positions.push_back(static_cast<int32_t>(done[s]++));
      }
      states.push_back(&states_of[s]);
      batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
    }
    if (states.empty()) break;
    const Tensor logits = logits_of(batch, &cache, states);
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(std::memcmp(logits.as<float>() + static_cast<int64_t>(i) * V,
                            expected.as<float>() + rows[i] * V, static_cast<size_t>(V) * 4),
                0)
          << "step " << step << " row " << rows[i];
    }
  }
  EXPECT_EQ(done, lengths);
}

// A sequence's log-probabilities do not depend on the adapters of the others.
TEST_P(BitsTest, RowsWithOtherAdaptersDoNotMatter) {
  const int64_t V = model_->config().vocab_size;
  const auto random_adapter = [&](std::vector<std::string> targets, int r, uint64_t seed) {
    LoraConfig config{.r = r, .lora_alpha = 8.0F + static_cast<float>(r)};
    config.target_modules = std::move(targets);
    auto adapter = std::make_unique<LoraTraining>(LoraAdapter::Create(*model_, config, seed));
    for (const Param& param : adapter->params()) {
      const RandomStream random(seed, "bits_test", param.name);
      for (int64_t i = 0; i < param.value.size(); ++i) {
        param.value.as<float>()[i] = static_cast<float>(0.4 * random.Uniform(i) - 0.2);
      }
    }
    adapter->RefreshWorkingCopies();
    return adapter;
  };
  std::vector<std::unique_ptr<LoraTraining>> adapters;
  adapters.push_back(random_adapter({"all-linear"}, 4, 1));
  adapters.push_back(nullptr);  // the base
  adapters.push_back(random_adapter({"mlp", "lm_head"}, 1, 2));
  adapters.push_back(random_adapter({".*[.](q_proj|v_proj|qkv_proj)"}, 7, 3));
  adapters.push_back(random_adapter({"all-linear", "lm_head"}, 16, 4));
  const std::vector<int64_t> lengths = {5, 70, 1, 33, 12};
  for (const std::vector<size_t>& order :
       {std::vector<size_t>{0, 1, 2, 3, 4}, std::vector<size_t>{4, 2, 0, 3, 1},
        std::vector<size_t>{1, 0}, std::vector<size_t>{3, 1, 3, 0, 0}}) {
    for (const int threads : {1, 2}) {
      const ThreadsScope scope(threads);
      const ArenaScope arena_scope(arena_);
      std::vector<int64_t> batch_lengths;
      std::vector<AdapterRows> rows;
      int64_t begin = 0;
      for (const size_t i : order) {
        const int64_t end = begin + lengths[i];
        if (adapters[i] != nullptr) rows.push_back({begin, end, &adapters[i]->weights()});
        batch_lengths.push_back(lengths[i]);
        begin = end;
      }
      const RandomBatch mixed(batch_lengths, V);
      ForwardOptions options;
      options.adapter_rows = rows;
      const Tensor hidden = Forward(*model_, mixed.batch, options, arena_);
      const Tensor logits = arena_.Take("logits", DType::kF32, {begin, V});
      HeadLogits(*model_, rows, hidden, logits, arena_);
      begin = 0;
      for (const size_t i : order) {
        const RandomBatch alone({lengths[i]}, V);
        const LoraWeights* weights = adapters[i] == nullptr ? nullptr : &adapters[i]->weights();
        const Tensor own = Forward(*model_, alone.batch, {.adapter = weights}, arena_);
        const Tensor expected = arena_.Take("logits", DType::kF32, {lengths[i], V});
        HeadLogits(*model_, AllRows(weights, lengths[i]), own, expected, arena_);
        ASSERT_EQ(std::memcmp(logits.Rows(begin, begin + lengths[i]).data, expected.data,
                              static_cast<size_t>(expected.bytes())),
                  0)
            << "adapter " << i << ", " << threads << " threads";
        begin += lengths[i];
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, BitsTest,
                         ::testing::Combine(::testing::ValuesIn(GoldenFamilies()),
                                            ::testing::Values(DType::kF32, DType::kBF16)),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" +
                                  DTypeName(std::get<1>(param.param));
                         });

}  // namespace
}  // namespace lorikeet
