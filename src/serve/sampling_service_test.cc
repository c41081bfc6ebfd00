// The exactness of a busy server: every answer has the bits that it has alone, whatever else is
// sampled, trained, loaded or cancelled at the time.
#include "serve/sampling_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/threads_scope_for_test.h"
#include "data/example.h"
#include "model/lora.h"
#include "model/model_for_test.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<int32_t> Tokens(uint64_t key, int64_t count, int64_t vocab_size) {
  const RandomStream random(11, "tokens", {}, key);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random.Below(i, vocab_size)));
  }
  return tokens;
}

// An adapter whose B is not zero.
std::shared_ptr<const LoraWeights> Adapter(const Model& model, int r, uint64_t seed) {
  LoraAdapter adapter = LoraAdapter::Create(
      model, {.r = r, .target_modules = {seed % 2 == 0 ? "q_proj" : "mlp"}}, seed);
  for (const LoraPair& pair : adapter.pairs()) {
    const RandomStream random(seed, "b", pair.module);
    for (int64_t i = 0; i < pair.bt.size(); ++i) {
      pair.bt.as<float>()[i] = static_cast<float>(random.Uniform(i) - 0.5) * 0.1F;
    }
  }
  return LoraTraining(std::move(adapter)).Snapshot();
}

// Requests of many kinds; the key decides about all of one.
GenerateRequest Mixed(uint64_t key, const std::vector<std::shared_ptr<const LoraWeights>>& adapters,
                      int64_t vocab_size) {
  GenerateRequest request;
  // Several begin alike, so that prefixes are shared.
  request.prompt = Tokens(key % 5, 20, vocab_size);
  const std::vector<int32_t> own =
      Tokens(key + 100, 1 + static_cast<int64_t>(key * 7 % 60), vocab_size);
  request.prompt.insert(request.prompt.end(), own.begin(), own.end());
  request.params = {.max_tokens = 1 + static_cast<int64_t>(key * 5 % 24),
                    .temperature = key % 3 == 0 ? 0.0 : 0.8,
                    .top_p = key % 4 == 0 ? 0.9 : 1.0,
                    .seed = key};
  request.adapter = adapters[key % adapters.size()];
  request.prompt_logprobs = key % 7 == 0;
  request.top_logprobs = key % 6 == 0 ? 3 : 0;
  request.key = key % 2;
  return request;
}

class Trainer {
 public:
  Trainer(const Model& model, EngineTurns& turns) {
    thread_ = std::thread([this, &model, &turns, threads = NumThreads()] {
      SetNumThreads(threads);
      const EngineTurns::Training turn(turns);
      TrainingRun run(model, LoraAdapter::Create(model, {.r = 2, .target_modules = {"mlp"}}, 5),
                      {.tokens_per_microbatch = 64});
      Example example;
      example.tokens = Tokens(1, 60, model.config().vocab_size);
      example.target_tokens = Tokens(2, 60, model.config().vocab_size);
      example.weights.assign(60, 1);
      const Example* const examples[] = {&example, &example};
      while (!stop_) {
        run.ForwardBackward(examples);
        run.OptimStep({.learning_rate = 1e-3, .grad_divisor = 120});
        ++steps_;
      }
    });
  }
  ~Trainer() {
    stop_ = true;
    thread_.join();
  }
  int steps() const { return steps_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> steps_{0};
  std::thread thread_;
};

class SamplingServiceTest : public ::testing::Test {
 protected:
  SamplingServiceTest() : model_(Model::Load(GoldenDir("llama"), DType::kF32)) {}
  int64_t vocab_size() const { return model_->config().vocab_size; }

  Generation Alone(const GenerateRequest& request) const {
    Generator generator(*model_, {.slots = 1, .capacity = 256});
    return generator.Run({request}).front();
  }
  std::unique_ptr<Model> model_;
};

TEST_F(SamplingServiceTest, AnswersDoNotDependOnLoad) {
  constexpr uint64_t kRequests = 200;
  std::vector<std::shared_ptr<const LoraWeights>> adapters = {nullptr};
  for (int i = 1; i < 6; ++i) {
    adapters.push_back(Adapter(*model_, 1 << i, static_cast<uint64_t>(i)));
  }
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    const ThreadsScope scope(threads);
    EngineTurns turns({.training_share = 0.5, .training_seconds = 0.001});
    // Too few pages for all that may run, so that some are pre-empted.
    SamplingService service(
        *model_, {.slots = 12, .capacity = 256, .tokens_per_step = 64, .pages = 12}, turns);
    const Trainer trainer(*model_, turns);
    std::vector<std::promise<Generation>> ended(kRequests);
    for (uint64_t key = 0; key < kRequests; ++key) {
      GenerateRequest request = Mixed(key, adapters, vocab_size());
      request.on_done = [&, key](Generation&& g) { ended[key].set_value(std::move(g)); };
      service.Submit("client " + std::to_string(key % 3), {std::move(request)});
      if (key % 10 == 0) {
        // One that leaves at once, and an adapter that comes and goes.
        GenerateRequest leaves = Mixed(key + 1, adapters, vocab_size());
        leaves.adapter = Adapter(*model_, 3, key);
        leaves.cancelled = std::make_shared<std::atomic<bool>>(true);
        service.Submit("another", {std::move(leaves)});
      }
    }
    for (uint64_t key = 0; key < kRequests; ++key) {
      const Generation got = ended[key].get_future().get();
      const Generation expected = Alone(Mixed(key, adapters, vocab_size()));
      ASSERT_EQ(got.tokens, expected.tokens) << key;
      EXPECT_TRUE(SameBits(got.logprobs, expected.logprobs)) << key;
      EXPECT_TRUE(SameBits(got.sampled_logprobs, expected.sampled_logprobs)) << key;
      ASSERT_EQ(got.prompt_logprobs.size(), expected.prompt_logprobs.size());
      for (size_t i = 0; i < got.prompt_logprobs.size(); ++i) {
        EXPECT_EQ(got.prompt_logprobs[i].logprob, expected.prompt_logprobs[i].logprob);
      }
    }
    EXPECT_GT(service.Stats().generator.preemptions, 0);
    EXPECT_GT(turns.Times().handovers, 0);
    EXPECT_GE(service.Stats().cancelled, 20);
  }
}

TEST_F(SamplingServiceTest, AFloodDoesNotStarveAnotherClient) {
  EngineTurns turns({});
  SamplingService service(*model_, {.slots = 4, .capacity = 256}, turns);
  std::atomic<int> flood_done{0};
  int done_before = -1;
  std::promise<void> single_done;
  std::vector<GenerateRequest> flood;
  for (int i = 0; i < 200; ++i) {
    GenerateRequest request;
    request.prompt = Tokens(static_cast<uint64_t>(i), 8, vocab_size());
    request.params = {.max_tokens = 20, .temperature = 1};
    request.on_done = [&](Generation&&) { ++flood_done; };
    flood.push_back(std::move(request));
  }
  const std::vector<uint64_t> numbers = service.Submit("flood", std::move(flood));
  EXPECT_GT(service.PlaceOf(numbers.back()), 100);
  GenerateRequest single;
  single.prompt = Tokens(3, 8, vocab_size());
  single.params = {.max_tokens = 2, .temperature = 1};
  single.on_done = [&](Generation&&) {
    done_before = flood_done;
    single_done.set_value();
  };
  const uint64_t number = service.Submit("single", {std::move(single)}).front();
  EXPECT_LE(service.PlaceOf(number), 2);
  single_done.get_future().wait();
  EXPECT_LT(done_before, 100);
  service.Stop();
  EXPECT_EQ(service.PlaceOf(numbers.back()), 0);
}

TEST_F(SamplingServiceTest, EveryRequestEndsOnceWhenTheServiceStops) {
  EngineTurns turns({});
  std::atomic<int> done{0}, failed{0};
  {
    SamplingService service(*model_, {.slots = 2, .capacity = 256}, turns);
    for (int i = 0; i < 30; ++i) {
      GenerateRequest request;
      request.prompt = Tokens(static_cast<uint64_t>(i), 8, vocab_size());
      request.params = {.max_tokens = 100, .temperature = 1};
      request.on_done = [&](Generation&&) { ++done; };
      request.on_error = [&](const Error&) { ++failed; };
      service.Submit("client", {std::move(request)});
    }
  }
  EXPECT_EQ(done + failed, 30);
  EXPECT_GT(failed, 0);
}

TEST_F(SamplingServiceTest, NothingIsQueuedIfOneOfSeveralIsWrong) {
  EngineTurns turns({});
  SamplingService service(*model_, {.slots = 2, .capacity = 64}, turns);
  GenerateRequest good;
  good.prompt = Tokens(1, 8, vocab_size());
  good.params.max_tokens = 4;
  GenerateRequest bad = good;
  bad.params.max_tokens = 1000;
  EXPECT_THROW(service.Submit("client", {good, bad}), Error);
  EXPECT_EQ(service.Stats().waiting, 0);
}

}  // namespace
}  // namespace lorikeet
