// Features of a generator that a server uses: likeliest alternatives, log-probabilities of the
// prompt, changed logits, cancelling, and one broken adapter among sound ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "core/random.h"
#include "model/lora.h"
#include "model/loss_head.h"
#include "model/model_for_test.h"
#include "model/transformer.h"
#include "sample/generator.h"

namespace lorikeet {
namespace {

class GeneratorDetails : public ::testing::Test {
 protected:
  GeneratorDetails() : model_(Model::Load(GoldenDir("llama"), DType::kF32)) {}

  std::vector<int32_t> Prompt(int64_t length, uint64_t key = 3) const {
    const RandomStream random(17, "prompt", {}, key);
    std::vector<int32_t> prompt;
    for (int64_t i = 0; i < length; ++i) {
      prompt.push_back(static_cast<int32_t>(random.Below(i, model_->config().vocab_size)));
    }
    return prompt;
  }
  GenerateRequest Request(int64_t length, int64_t max_tokens, double temperature = 1) const {
    GenerateRequest request;
    request.prompt = Prompt(length);
    request.params = {.max_tokens = max_tokens, .temperature = temperature, .seed = 1};
    return request;
  }
  Generator Make(int64_t slots = 4, int64_t capacity = 256, int64_t tokens_per_step = 512,
                 int64_t pages = 0) const {
    return Generator(
        *model_,
        {.slots = slots, .capacity = capacity, .tokens_per_step = tokens_per_step, .pages = pages});
  }
  // Log-probabilities of tokens[1:] by the training forward and its loss head.
  std::vector<float> TrainingLogprobs(const std::vector<int32_t>& tokens) const {
    Batch batch;
    batch.tokens.assign(tokens.begin(), tokens.end() - 1);
    const auto T = static_cast<int32_t>(batch.num_tokens());
    for (int32_t i = 0; i < T; ++i) batch.positions.push_back(i);
    batch.cu_seqlens = {0, T};
    Arena arena(size_t{64} << 20);
    const Tensor hidden = Forward(*model_, batch, {}, arena);
    const std::vector<int32_t> targets(tokens.begin() + 1, tokens.end());
    const std::vector<float> weights(targets.size(), 1);
    const TokenLoss loss = [](int64_t, float) { return TokenGrad{}; };
    return LossHead(*model_, nullptr, {.hidden = hidden, .targets = targets, .weights = weights},
                    loss, false, arena)
        .logprobs;
  }
  static std::vector<float> Logprobs(const std::vector<SampledToken>& tokens) {
    std::vector<float> logprobs;
    for (const SampledToken& token : tokens) logprobs.push_back(token.logprob);
    return logprobs;
  }
  std::unique_ptr<Model> model_;
};

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_F(GeneratorDetails, PromptLogprobsAreTheTrainingForwards) {
  for (const int64_t length : {2, 9, 64, 65, 130}) {
    GenerateRequest request = Request(length, 3, 0);
    request.prompt_logprobs = true;
    request.top_logprobs = 2;
    Generator generator = Make(4, 256, 48);  // prompts come in several chunks
    const Generation got = generator.Run({request}).front();
    std::vector<int32_t> all = request.prompt;
    all.insert(all.end(), got.tokens.begin(), got.tokens.end());
    std::vector<float> logprobs = Logprobs(got.prompt_logprobs);
    logprobs.insert(logprobs.end(), got.logprobs.begin(), got.logprobs.end());
    EXPECT_TRUE(SameBits(logprobs, TrainingLogprobs(all))) << length;
    for (size_t i = 0; i < got.prompt_logprobs.size(); ++i) {
      EXPECT_EQ(got.prompt_logprobs[i].token, request.prompt[i + 1]);
      EXPECT_EQ(got.prompt_logprobs[i].top.size(), 2U);
    }
  }
}

TEST_F(GeneratorDetails, ScoringAloneDrawsNothing) {
  GenerateRequest request = Request(20, 0);
  request.prompt_logprobs = true;
  GenerateRequest single = Request(1, 0);
  single.prompt_logprobs = true;
  Generator generator = Make();
  const std::vector<Generation> got = generator.Run({request, single, Request(20, 4)});
  EXPECT_TRUE(got[0].tokens.empty());
  EXPECT_EQ(got[0].reason, StopReason::kLength);
  EXPECT_TRUE(SameBits(Logprobs(got[0].prompt_logprobs), TrainingLogprobs(request.prompt)));
  EXPECT_TRUE(got[1].prompt_logprobs.empty());
  EXPECT_EQ(got[2].tokens.size(), 4U);
  GenerateRequest plain = Request(20, 0);
  EXPECT_THROW(generator.Submit(plain), Error);
}

TEST_F(GeneratorDetails, PromptLogprobsDoNotDependOnTheBatchOrOnPages) {
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < 6; ++i) {
    GenerateRequest request = Request(40 + 13 * i, 30);
    request.prompt = Prompt(40 + 13 * i, static_cast<uint64_t>(i));
    request.prompt_logprobs = i % 2 == 0;
    request.key = static_cast<uint64_t>(i);
    requests.push_back(std::move(request));
  }
  Generator together = Make(6, 256, 64, 8);  // too few pages for all: some are pre-empted
  const std::vector<Generation> got = together.Run(requests);
  EXPECT_GT(together.stats().preemptions, 0);
  for (size_t i = 0; i < requests.size(); ++i) {
    Generator alone = Make(1);
    const Generation single = alone.Run({requests[i]}).front();
    EXPECT_EQ(got[i].tokens, single.tokens);
    EXPECT_TRUE(SameBits(got[i].logprobs, single.logprobs));
    EXPECT_TRUE(SameBits(Logprobs(got[i].prompt_logprobs), Logprobs(single.prompt_logprobs)));
  }
}

TEST_F(GeneratorDetails, TheLikeliestAreListedInOrderWithTheirLogprobs) {
  GenerateRequest request = Request(12, 5, 0);
  request.top_logprobs = 96;  // the whole vocabulary
  Generator generator = Make();
  const Generation got = generator.Run({request}).front();
  ASSERT_EQ(got.top.size(), got.tokens.size());
  for (size_t i = 0; i < got.top.size(); ++i) {
    const std::vector<TokenLogprob>& top = got.top[i];
    ASSERT_EQ(top.size(), 96U);
    EXPECT_EQ(top[0].token, got.tokens[i]);  // greedy
    EXPECT_EQ(top[0].logprob, got.logprobs[i]);
    EXPECT_TRUE(std::is_sorted(top.begin(), top.end(),
                               [](const auto& a, const auto& b) { return a.logprob > b.logprob; }));
    double sum = 0;
    for (const TokenLogprob& each : top) sum += std::exp(static_cast<double>(each.logprob));
    EXPECT_NEAR(sum, 1, 1e-4);
  }
}

TEST_F(GeneratorDetails, EditedLogitsChangeTheDrawAndNotTheLogprob) {
  GenerateRequest request = Request(12, 1, 0);
  request.top_logprobs = 3;
  Generator generator = Make();
  const Generation plain = generator.Run({request}).front();
  const TokenLogprob second = plain.top[0][1];
  request.edit_logits = [&](std::span<float> logits) {
    logits[plain.tokens[0]] = -std::numeric_limits<float>::infinity();
  };
  const Generation edited = generator.Run({request}).front();
  EXPECT_EQ(edited.tokens[0], second.token);
  EXPECT_EQ(edited.logprobs[0], second.logprob);
  EXPECT_EQ(edited.top[0][0].token, plain.tokens[0]);
  request.params.temperature = 1;
  request.edit_logits = [&](std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), -std::numeric_limits<float>::infinity());
    logits[7] = 0;
  };
  const Generation forced = generator.Run({request}).front();
  EXPECT_EQ(forced.tokens[0], 7);
  EXPECT_NEAR(forced.sampled_logprobs[0], 0, 1e-6);
  EXPECT_LT(forced.logprobs[0], -0.01);
}

TEST_F(GeneratorDetails, ASequenceEndsWhereNoTokenMayFollow) {
  GenerateRequest request = Request(12, 10, 0);
  int drawn = 0;
  request.edit_logits = [&](std::span<float> logits) {
    if (++drawn == 4) {
      std::fill(logits.begin(), logits.end(), -std::numeric_limits<float>::infinity());
    }
  };
  Generator generator = Make();
  const Generation got = generator.Run({request}).front();
  EXPECT_EQ(got.reason, StopReason::kNoToken);
  EXPECT_EQ(got.tokens.size(), 3U);
}

TEST_F(GeneratorDetails, CancelledRequestsEndAtTheNextStep) {
  Generator generator = Make(1);
  auto flag = std::make_shared<std::atomic<bool>>(false);
  std::vector<StopReason> ended;
  const auto submit = [&](std::shared_ptr<const std::atomic<bool>> cancelled) {
    GenerateRequest request = Request(9, 50);
    request.cancelled = std::move(cancelled);
    request.on_done = [&](Generation&& g) { ended.push_back(g.reason); };
    generator.Submit(std::move(request));
  };
  submit(flag);
  submit(flag);  // waits
  submit(nullptr);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(generator.Step());
  EXPECT_EQ(generator.num_waiting(), 2);
  flag->store(true);
  ASSERT_TRUE(generator.Step());
  EXPECT_EQ(ended, std::vector<StopReason>(2, StopReason::kCallback));
  EXPECT_EQ(generator.num_running(), 1);
  while (generator.Step()) {
  }
  EXPECT_EQ(ended.back(), StopReason::kLength);
  EXPECT_EQ(generator.PagesInUse(), 0);
}

TEST_F(GeneratorDetails, ABrokenAdapterEndsItsOwnRequestsOnly) {
  LoraAdapter broken = LoraAdapter::Create(*model_, {.r = 4, .target_modules = {"q_proj"}}, 1);
  const LoraPair& pair = broken.pairs().front();
  for (int64_t i = 0; i < pair.bt.size(); ++i) {
    pair.bt.as<float>()[i] = std::numeric_limits<float>::quiet_NaN();
  }
  Generator generator = Make();
  const Generation sound = generator.Run({Request(9, 8)}).front();
  std::vector<std::string> errors;
  int ended = 0;
  Generation beside;
  GenerateRequest request = Request(9, 8);
  request.adapter = broken.SharedWeights();
  request.on_error = [&](const Error& e) { errors.emplace_back(e.what()); };
  request.on_done = [&](Generation&&) { ++ended; };
  generator.Submit(request);
  GenerateRequest other = Request(9, 8);
  other.on_done = [&](Generation&& g) { beside = std::move(g); };
  generator.Submit(other);
  while (generator.Step()) {
  }
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors[0].find("not finite"), std::string::npos);
  EXPECT_EQ(ended, 0);
  EXPECT_EQ(beside.tokens, sound.tokens);
  EXPECT_TRUE(SameBits(beside.logprobs, sound.logprobs));
}

}  // namespace
}  // namespace lorikeet
