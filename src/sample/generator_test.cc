// Tiny random models: what sampling says of a token is, bit for bit, what training says of it; and
// a sequence does not depend on the company it keeps.
#include "sample/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "core/threads_scope_for_test.h"
#include "kernels/matmul/matmul.h"
#include "model/loss_head.h"
#include "model/model_for_test.h"
#include "model/transformer.h"

namespace lorikeet {
namespace {

std::vector<int32_t> RandomPrompt(int64_t length, uint64_t key, int64_t vocab_size) {
  const RandomStream random(17, "prompt", {}, key);
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < length; ++i) {
    prompt.push_back(static_cast<int32_t>(random.Below(i, vocab_size)));
  }
  return prompt;
}

// Requests of mixed lengths, around the attention's blocks of 64 too.
std::vector<GenerateRequest> MixedRequests(int64_t count, int64_t vocab_size) {
  constexpr int64_t kLengths[] = {1, 63, 5, 64, 130, 17, 65};
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < count; ++i) {
    GenerateRequest request;
    request.prompt = RandomPrompt(kLengths[i % 7], static_cast<uint64_t>(i), vocab_size);
    request.params = {.max_tokens = 3 + 5 * (i % 4), .temperature = 1, .seed = 5};
    request.key = static_cast<uint64_t>(i);
    requests.push_back(std::move(request));
  }
  return requests;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void ExpectSame(const Generation& a, const Generation& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_TRUE(SameBits(a.logprobs, b.logprobs));
  EXPECT_TRUE(SameBits(a.sampled_logprobs, b.sampled_logprobs));
  EXPECT_EQ(a.reason, b.reason);
}

// What a training step computes of all sequences at once: the log-probability of every generated
// token.
std::vector<std::vector<float>> TrainingLogprobs(const Model& model, const LoraWeights* adapter,
                                                 const std::vector<GenerateRequest>& requests,
                                                 const std::vector<Generation>& generations) {
  Batch batch{.cu_seqlens = {0}};
  std::vector<int32_t> targets;
  std::vector<float> weights;
  for (size_t s = 0; s < requests.size(); ++s) {
    std::vector<int32_t> tokens = requests[s].prompt;
    tokens.insert(tokens.end(), generations[s].tokens.begin(), generations[s].tokens.end());
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      batch.tokens.push_back(tokens[i]);
      batch.positions.push_back(static_cast<int32_t>(i));
      targets.push_back(tokens[i + 1]);
      weights.push_back(i + 1 >= requests[s].prompt.size() ? 1.0F : 0.0F);
    }
    batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
  }
  Arena arena(size_t{256} << 20);
  Activations kept;
  const Tensor hidden = Forward(model, batch, {.adapter = adapter, .keep = &kept}, arena);
  const TokenLoss loss = [](int64_t, float) { return TokenGrad{}; };
  const LossHeadOutput output =
      LossHead(model, adapter, {hidden, targets, weights}, loss, false, arena);
  std::vector<std::vector<float>> logprobs;
  for (size_t s = 0; s < requests.size(); ++s) {
    const int32_t end = batch.cu_seqlens[s + 1];
    const auto count = static_cast<int32_t>(generations[s].tokens.size());
    logprobs.emplace_back(output.logprobs.begin() + end - count, output.logprobs.begin() + end);
  }
  return logprobs;
}

struct BitsCase {
  std::string family;
  DType dtype;
  bool with_adapter;
  bool thorough = false;  // every batch size with every number of threads
};

class BitsTest : public ::testing::TestWithParam<BitsCase> {
 protected:
  void SetUp() override {
    const auto& [family, dtype, with_adapter, thorough] = GetParam();
    if (dtype == DType::kBF16 && !HasNativeBf16()) {
      GTEST_SKIP() << "this CPU has no native bf16 products";
    }
    model_ = Model::Load(GoldenDir(family), dtype);
    if (with_adapter) {
      lora_ = LoraAdapter::Load(*model_, GoldenDir(family) + "/adapter").SharedWeights();
    }
  }
  const LoraWeights* adapter() const { return lora_.get(); }
  std::vector<GenerateRequest> Requests(int64_t count) const {
    std::vector<GenerateRequest> requests = MixedRequests(count, model_->config().vocab_size);
    for (GenerateRequest& request : requests) request.adapter = lora_;
    return requests;
  }

  // An adapter of random factors, on other modules for other seeds.
  std::shared_ptr<const LoraWeights> MakeAdapter(int r, uint64_t seed) const {
    LoraConfig config{.r = r, .lora_alpha = 4.0F + static_cast<float>(seed % 3)};
    const std::vector<std::vector<std::string>> targets = {{"all-linear"},
                                                           {"mlp", "lm_head"},
                                                           {".*[.](q_proj|v_proj|qkv_proj)"},
                                                           {"all-linear", "lm_head"}};
    config.target_modules = targets[seed % targets.size()];
    LoraTraining training(LoraAdapter::Create(*model_, config, seed));
    for (const Param& param : training.params()) {
      const RandomStream random(seed, "generator_test", param.name);
      for (int64_t i = 0; i < param.value.size(); ++i) {
        param.value.as<float>()[i] =
            static_cast<float>(0.4 * random.Uniform(static_cast<uint64_t>(i)) - 0.2);
      }
    }
    training.RefreshWorkingCopies();
    return training.Snapshot();
  }

  std::unique_ptr<Model> model_;
  std::shared_ptr<const LoraWeights> lora_;
};

// 1 to 16 adapters of other ranks, targets and scales, mixed at random: every sequence has the
// tokens and log-probabilities that it has alone.
TEST_P(BitsTest, SequencesDoNotDependOnOtherAdapters) {
  std::vector<std::shared_ptr<const LoraWeights>> adapters = {lora_};
  for (uint64_t i = 0; i < 15; ++i) adapters.push_back(MakeAdapter(static_cast<int>(1 + i), i));
  std::vector<GenerateRequest> requests = Requests(16);
  for (size_t i = 0; i < requests.size(); ++i) requests[i].params.max_tokens = 3 + i % 4;
  for (const auto& [count, threads, chunk] :
       {std::tuple{1, 2, 48}, {2, 1, 512}, {5, 2, 33}, {16, 1, 64}, {16, 2, 512}}) {
    if (!GetParam().thorough && count == 5) continue;
    const ThreadsScope scope(threads);
    const RandomStream random(static_cast<uint64_t>(count), "adapters");
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].adapter = adapters[random.Below(i, static_cast<uint64_t>(count))];
    }
    std::vector<GenerateRequest> order = requests;
    for (size_t i = order.size() - 1; i > 0; --i) {
      std::swap(order[i], order[random.Below(100 + i, i + 1)]);
    }
    Generator together(*model_, {.slots = 11, .capacity = 192, .tokens_per_step = chunk});
    const std::vector<Generation> mixed = together.Run(order);
    for (size_t s = 0; s < order.size(); ++s) {
      Generator alone(*model_, {.slots = 1, .capacity = 192});
      ExpectSame(mixed[s], alone.Run({order[s]}).front());
    }
  }
}

TEST_P(BitsTest, SampledLogprobsAreTheTrainersBits) {
  for (int64_t batch = 1; batch <= 7; ++batch) {
    const std::vector<GenerateRequest> requests = Requests(batch);
    for (const int threads : {1, 2}) {
      if (!GetParam().thorough && batch % 3 != threads % 3) continue;
      const ThreadsScope scope(threads);
      Generator generator(*model_, {.slots = batch, .capacity = 192, .tokens_per_step = 48});
      const std::vector<Generation> generations = generator.Run(requests);
      const auto expected = TrainingLogprobs(*model_, adapter(), requests, generations);
      for (size_t s = 0; s < requests.size(); ++s) {
        EXPECT_TRUE(SameBits(generations[s].logprobs, expected[s]))
            << "batch " << batch << ", sequence " << s << ", threads " << threads;
        EXPECT_TRUE(SameBits(generations[s].logprobs, generations[s].sampled_logprobs));
      }
    }
  }
}

TEST_P(BitsTest, SequencesDoNotDependOnBatchChunksAndThreads) {
  const std::vector<GenerateRequest> requests = Requests(7);
  std::vector<Generation> alone;
  {
    const ThreadsScope scope(1);
    for (const GenerateRequest& request : requests) {
      Generator generator(*model_, {.slots = 1, .capacity = 192});
      alone.push_back(generator.Run({request}).front());
      EXPECT_EQ(static_cast<int64_t>(alone.back().tokens.size()), request.params.max_tokens);
    }
  }
  for (const auto& [slots, chunk, threads] :
       {std::tuple{7, 512, 2}, {3, 7, 1}, {2, 64, 2}, {5, 5, 2}}) {
    const ThreadsScope scope(threads);
    Generator generator(*model_, {.slots = slots, .capacity = 192, .tokens_per_step = chunk});
    const std::vector<Generation> together = generator.Run(requests);
    for (size_t s = 0; s < requests.size(); ++s) ExpectSame(together[s], alone[s]);
  }
}

// Page budgets that only just hold the longest request, and others below what all need: sequences
// are pre-empted and continue with the same tokens and log-probabilities.
TEST_P(BitsTest, PreemptedSequencesContinueWithTheSameBits) {
  std::vector<GenerateRequest> requests = Requests(7);
  for (GenerateRequest& request : requests) request.params.max_tokens += 50;
  for (size_t i = 5; i < requests.size(); ++i) {  // a prompt in common, its last page in part
    requests[i].prompt = requests[4].prompt;
    requests[i].prompt.resize(100 + i);
  }
  Generator ample(*model_, {.slots = 7, .capacity = 256});
  const std::vector<Generation> expected = ample.Run(requests);
  EXPECT_EQ(ample.stats().preemptions, 0);
  for (const auto& [pages, chunk, threads] :
       {std::tuple{4, 512, 1}, {5, 33, 2}, {7, 64, 2}, {9, 512, 2}}) {
    const ThreadsScope scope(threads);
    Generator tight(*model_,
                    {.slots = 7, .capacity = 256, .tokens_per_step = chunk, .pages = pages});
    const std::vector<Generation> generations = tight.Run(requests);
    for (size_t s = 0; s < requests.size(); ++s) ExpectSame(generations[s], expected[s]);
    EXPECT_GT(tight.stats().preemptions, 0) << pages << " pages";
    EXPECT_LE(tight.stats().max_pages_in_use, pages);
    EXPECT_EQ(tight.PagesInUse(), 0);
  }
}

// A prefix shared with another sequence, running or done, changes nothing.
TEST_P(BitsTest, SharedPrefixesAreComputedOnceAndChangeNothing) {
  const std::vector<int32_t> prompt = RandomPrompt(90, 1, model_->config().vocab_size);
  std::vector<GenerateRequest> group(6);
  for (size_t i = 0; i < group.size(); ++i) {
    group[i].prompt = prompt;
    group[i].prompt.resize(i == 5 ? 40 : 90);  // one asks for less of it
    group[i].params = {.max_tokens = 20, .seed = 9};
    group[i].key = i;
    group[i].adapter = lora_;
  }
  Generator shared(*model_, {.slots = 6, .capacity = 128, .tokens_per_step = 64});
  const std::vector<Generation> together = shared.Run(group);
  EXPECT_EQ(shared.stats().prompt_tokens, 90 + 5);  // the last of each is computed anyway
  EXPECT_EQ(shared.stats().cached_tokens, 4 * 89 + 39);
  for (size_t i = 0; i < group.size(); ++i) {
    Generator fresh(*model_, {.slots = 1, .capacity = 128});
    ExpectSame(together[i], fresh.Run({group[i]}).front());
  }

  // A second turn: the first completion is cached already.
  GenerateRequest turn = group[0];
  turn.prompt.insert(turn.prompt.end(), together[0].tokens.begin(), together[0].tokens.end());
  turn.params.max_tokens = 10;
  const Generation warm = shared.Run({turn}).front();
  EXPECT_EQ(warm.cached_tokens, 90 + 19);  // all but the last sampled token, which was never read
  Generator fresh(*model_, {.slots = 1, .capacity = 128});
  ExpectSame(warm, fresh.Run({turn}).front());
  shared.ForgetPrefixes();
  EXPECT_EQ(shared.Run({turn}).front().cached_tokens, 0);
  // Another adapter's keys and values are not used, be its factors the same or those of the base.
  turn.adapter = lora_ == nullptr ? MakeAdapter(4, 1) : lora_->Copy();
  EXPECT_EQ(shared.Run({turn}).front().cached_tokens, 0);
  EXPECT_GT(shared.Run({turn}).front().cached_tokens, 0);
}

std::string CaseName(const ::testing::TestParamInfo<BitsCase>& param) {
  return param.param.family + "_" + DTypeName(param.param.dtype) +
         (param.param.with_adapter ? "_lora" : "_base");
}

INSTANTIATE_TEST_SUITE_P(Families, BitsTest,
                         ::testing::Values(BitsCase{"llama", DType::kF32, true},
                                           BitsCase{"llama", DType::kBF16, true},
                                           BitsCase{"qwen2", DType::kBF16, false},
                                           BitsCase{"qwen3", DType::kF32, false},
                                           BitsCase{"qwen3_moe", DType::kF32, true},
                                           BitsCase{"qwen3_moe", DType::kBF16, true}),
                         CaseName);

std::vector<BitsCase> EveryCase() {
  std::vector<BitsCase> cases;
  for (const std::string& family : GoldenFamilies()) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      for (const bool with_adapter : {false, true}) {
        cases.push_back({family, dtype, with_adapter, true});
      }
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(SlowFamilies, BitsTest, ::testing::ValuesIn(EveryCase()), CaseName);

class GeneratorTest : public ::testing::Test {
 protected:
  GeneratorTest() : model_(Model::Load(GoldenDir("llama"), DType::kF32)) {}
  GenerateRequest Request(int64_t length, int64_t max_tokens, double temperature = 1) const {
    GenerateRequest request;
    request.prompt = RandomPrompt(length, 3, model_->config().vocab_size);
    request.params = {.max_tokens = max_tokens, .temperature = temperature, .seed = 1};
    return request;
  }
  Generator Make(int64_t slots = 2, int64_t capacity = 128) const {
    return Generator(*model_, {.slots = slots, .capacity = capacity});
  }
  std::unique_ptr<Model> model_;
};

TEST_F(GeneratorTest, GreedyIsTheArgmaxOfTheTrainingForward) {
  const GenerateRequest request = Request(9, 12, 0);
  Generator generator = Make();
  const Generation got = generator.Run({request}).front();
  Batch batch;
  batch.tokens = request.prompt;
  batch.tokens.insert(batch.tokens.end(), got.tokens.begin(), got.tokens.end());
  const int64_t T = batch.num_tokens(), V = model_->config().vocab_size;
  for (int32_t i = 0; i < T; ++i) batch.positions.push_back(i);
  batch.cu_seqlens = {0, static_cast<int32_t>(T)};
  Arena arena(size_t{64} << 20);
  const Tensor hidden = Forward(*model_, batch, {}, arena);
  const Tensor logits = arena.Take("logits", DType::kF32, {T, V});
  HeadLogits(*model_, {}, hidden, logits, arena);
  for (size_t i = 0; i < got.tokens.size(); ++i) {
    const float* row = logits.as<float>() + static_cast<int64_t>(8 + i) * V;
    EXPECT_EQ(got.tokens[i], std::max_element(row, row + V) - row);
    EXPECT_EQ(got.sampled_logprobs[i], 0);
  }
}

TEST_F(GeneratorTest, SeedsAndKeysMakeOtherSamples) {
  GenerateRequest request = Request(9, 16);
  Generator generator = Make();
  const std::vector<int32_t> first = generator.Run({request}).front().tokens;
  EXPECT_EQ(generator.Run({request}).front().tokens, first);
  request.key = 1;
  EXPECT_NE(generator.Run({request}).front().tokens, first);
  request.key = 0;
  request.params.seed = 2;
  EXPECT_NE(generator.Run({request}).front().tokens, first);
}

TEST_F(GeneratorTest, StopsAtAStopTokenAndKeepsIt) {
  Generator generator = Make();
  GenerateRequest request = Request(9, 30);
  const std::vector<int32_t> whole = generator.Run({request}).front().tokens;
  request.params.stop_tokens = {whole[7], whole[4]};
  const auto stop =
      std::find_first_of(whole.begin(), whole.end(), request.params.stop_tokens.begin(),
                         request.params.stop_tokens.end());
  const Generation stopped = generator.Run({request}).front();
  EXPECT_EQ(stopped.reason, StopReason::kStop);
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(whole.begin(), stop + 1));
}

TEST_F(GeneratorTest, StopsWhenTheCallbackSaysSo) {
  Generator generator = Make();
  GenerateRequest request = Request(9, 30);
  std::vector<int32_t> seen;
  request.on_token = [&](const SampledToken& token) {
    seen.push_back(token.token);
    return seen.size() < 5;
  };
  const std::vector<Generation> results = generator.Run({request, Request(4, 20)});
  EXPECT_EQ(results[0].reason, StopReason::kCallback);
  EXPECT_EQ(results[0].tokens, seen);
  EXPECT_EQ(seen.size(), 5U);
  EXPECT_EQ(results[1].reason, StopReason::kLength);
  EXPECT_EQ(results[1].tokens.size(), 20U);
}

TEST_F(GeneratorTest, RequestsJoinAndLeaveWhileOthersRun) {
  Generator generator = Make(2);
  int done = 0;
  const auto submit = [&](int64_t length, int64_t max_tokens) {
    GenerateRequest request = Request(length, max_tokens);
    request.on_done = [&](Generation&& g) { done += g.tokens.empty() ? 0 : 1; };
    generator.Submit(std::move(request));
  };
  EXPECT_FALSE(generator.Step());
  submit(5, 40);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(generator.Step());
  submit(7, 2);
  submit(6, 2);
  EXPECT_TRUE(generator.Step());
  EXPECT_EQ(generator.num_running() + generator.num_waiting(), 3);
  EXPECT_EQ(generator.num_running(), 2);  // as many as may run at once
  while (done < 2) ASSERT_TRUE(generator.Step());
  EXPECT_EQ(generator.num_running(), 1);
  generator.Cancel();
  EXPECT_FALSE(generator.Step());
  EXPECT_EQ(done, 2);
}

TEST_F(GeneratorTest, WhatDoesNotFitIsRefused) {
  const auto message = [](const auto& fn) -> std::string {
    try {
      fn();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
      return e.what();
    }
    return "";
  };
  Generator generator = Make(2, 40);
  EXPECT_EQ(generator.Run({Request(30, 10)}).front().tokens.size(), 10U);  // just fits
  EXPECT_NE(message([&] { generator.Submit(Request(30, 11)); }).find("do not fit the 40 tokens"),
            std::string::npos);
  GenerateRequest huge = Request(3, std::numeric_limits<int64_t>::max());
  EXPECT_NE(message([&] { generator.Submit(huge); }), "");
  EXPECT_NE(message([&] { generator.Submit(Request(0, 5)); }).find("empty"), std::string::npos);
  GenerateRequest foreign = Request(3, 5);
  foreign.prompt[1] = 96;
  EXPECT_NE(message([&] {
              generator.Run({Request(3, 5), foreign});
            }).find("token id 96"),
            std::string::npos);
  EXPECT_EQ(generator.num_waiting(), 0);
  Generator few_pages(*model_, {.slots = 2, .capacity = 300, .pages = 2});
  EXPECT_EQ(few_pages.Run({Request(120, 9)}).front().tokens.size(), 9U);  // 128 positions
  EXPECT_NE(message([&] { few_pages.Submit(Request(120, 10)); }).find("3 pages"),
            std::string::npos);
  const int64_t most = model_->config().max_position_embeddings;
  EXPECT_NE(message([&] { Make(1, most + 1); }).find("context holds"), std::string::npos);
  EXPECT_NE(message([&] { Make(0); }), "");
  Make(1, most);
}

TEST_F(GeneratorTest, BrokenWeightsAreAnErrorAndLeaveNothingBehind) {
  Generator generator = Make();
  const Generation before = generator.Run({Request(9, 5)}).front();
  Tensor& norm = model_->weights().layers[0].sublayers[0].norm.weight;
  std::vector<float> poison(static_cast<size_t>(norm.size()),
                            std::numeric_limits<float>::quiet_NaN());
  const Tensor kept = std::exchange(norm, Tensor(poison.data(), DType::kF32, {norm.size()}));
  EXPECT_THROW(generator.Run({Request(60, 5)}), Error);
  EXPECT_EQ(generator.num_running(), 0);
  norm = kept;
  ExpectSame(generator.Run({Request(9, 5)}).front(), before);  // no NaN waits in the pages
}

// One page, of which the next prompt shares a part: it becomes the next sequence's.
TEST_F(GeneratorTest, ABorrowedPageIsTakenOverWhenNoneIsFree) {
  Generator generator = Make(1, 64);
  const Generation first = generator.Run({Request(40, 20)}).front();
  GenerateRequest shorter = Request(40, 20);
  shorter.prompt.resize(30);
  const Generation second = generator.Run({shorter}).front();
  EXPECT_EQ(second.cached_tokens, 29);
  Generator fresh = Make(1, 64);
  ExpectSame(second, fresh.Run({shorter}).front());
  ExpectSame(generator.Run({Request(40, 20)}).front(), first);
}

TEST_F(GeneratorTest, ABorrowedWorkspaceGrowsToWhatAStepNeeds) {
  const GeneratorLimits limits{.slots = 2, .capacity = 128};
  const auto workspace = std::make_shared<Arena>(64);
  Generator borrower(*model_, limits, workspace);
  const size_t planned = Generator::Plan(*model_, limits).workspace;
  EXPECT_GE(workspace->Capacity(), planned);
  Generator owner = Make();
  ExpectSame(borrower.Run({Request(9, 16)}).front(), owner.Run({Request(9, 16)}).front());
  EXPECT_GT(workspace->HighMark(), 0U);
  EXPECT_LE(workspace->HighMark(), planned);
  EXPECT_EQ(workspace->Mark(), 0U);  // given back
}

TEST_F(GeneratorTest, MemoryIsKnownBeforehand) {
  const GeneratorLimits limits{.slots = 3, .capacity = 100};
  const size_t cache = KvCache::Bytes(model_->config(), DType::kF32, 3 * 2);
  const Generator::Memory plan = Generator::Plan(*model_, limits);
  EXPECT_EQ(plan.cache, cache);
  EXPECT_GT(plan.workspace, 0U);
  EXPECT_EQ(plan.Beside(0), plan.total());
  EXPECT_EQ(plan.Beside(plan.workspace - 1), cache + 1);
  EXPECT_EQ(plan.Beside(plan.workspace + 1), cache);
  const GeneratorLimits wider{.slots = 6, .capacity = 100};
  EXPECT_GE(Generator::Plan(*model_, wider).total(),
            Generator::Plan(*model_, limits).total() + cache);
}

}  // namespace
}  // namespace lorikeet
