#include "serve/engine_turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace lorikeet {
namespace {

std::atomic<double> fake_time{0};
double FakeClock() { return fake_time.load(); }
void Pass(double seconds) { fake_time.store(fake_time.load() + seconds); }

// A thread that samples `passes` times, each for `seconds` of the fake clock.
std::thread Sampler(EngineTurns& turns, int passes, double seconds, std::atomic<int>* done) {
  return std::thread([&turns, passes, seconds, done] {
    EngineTurns::Sampling turn(turns);
    for (int i = 0; i < passes; ++i) {
      if (i > 0) turn.BetweenPasses();
      Pass(seconds);
      ++*done;
    }
  });
}

TEST(EngineTurns, SamplingIsLetInWithinAPass) {
  EngineTurns turns({.training_share = 0.5}, FakeClock);
  std::atomic<int> passes{0};
  std::thread sampler;
  {
    const EngineTurns::Training training(turns);
    sampler = Sampler(turns, 1, 0.01, &passes);
    // Layers of 10 ms: sampling is in before many of them.
    int layers = 0;
    while (passes == 0 && layers < 1'000'000) {
      Pass(0.01);
      YieldPoint(Yield::kLayer);
      ++layers;
    }
    EXPECT_EQ(passes, 1);
  }
  sampler.join();
  EXPECT_EQ(turns.Times().handovers, 1);
}

TEST(EngineTurns, TimeIsDividedByTheShare) {
  for (const double share : {0.2, 0.5, 0.8}) {
    EngineTurns turns({.training_share = share, .training_seconds = 1e9}, FakeClock);
    std::atomic<bool> begun{false}, stop{false};
    std::thread trainer([&] {
      const EngineTurns::Training turn(turns);
      begun = true;
      while (!stop) {
        YieldPoint(Yield::kLayer);
        Pass(0.03);
      }
    });
    double training = 0, sampling = 0;  // while both work
    std::thread sampler([&] {
      while (!begun) std::this_thread::yield();
      EngineTurns::Sampling turn(turns);
      const double before = turns.Times().training;
      do {
        Pass(0.02);
        turn.BetweenPasses();
        training = turns.Times().training - before;
        sampling = turns.Times().sampling;
      } while (training < 10 || sampling < 10);
      stop = true;
    });
    sampler.join();
    trainer.join();
    EXPECT_NEAR(training / (training + sampling), share, 0.05) << share;
  }
}

TEST(EngineTurns, TrainingYieldsInTimeWhateverItsShare) {
  EngineTurns turns({.training_share = 0.99, .training_seconds = 0.25}, FakeClock);
  std::atomic<bool> begun{false}, stop{false};
  std::thread trainer([&] {
    const EngineTurns::Training training(turns);
    begun = true;
    while (!stop) {
      YieldPoint(Yield::kLayer);
      Pass(0.03);
    }
  });
  std::thread sampler([&] {
    while (!begun) std::this_thread::yield();
    EngineTurns::Sampling turn(turns);
    for (int i = 0; i < 200; ++i) {
      Pass(0.02);
      turn.BetweenPasses();
    }
    stop = true;
  });
  sampler.join();
  trainer.join();
  EXPECT_LE(turns.Times().longest_wait, 0.25 + 0.03 + 1e-9);
}

TEST(EngineTurns, OneThreadAtATimeAndNoTrainingWithinAnothersPass) {
  EngineTurns turns({.training_share = 0.5, .training_seconds = 0});
  std::atomic<int> inside{0}, passes{0};
  std::atomic<int> in_pass{-1};  // the training thread within a pass
  std::atomic<bool> wrong{false}, stop{false};
  const auto work = [&] {
    if (++inside != 1) wrong = true;
    --inside;
  };
  std::vector<std::thread> trainers;
  for (int t = 0; t < 3; ++t) {
    trainers.emplace_back([&, t] {
      const EngineTurns::Training training(turns);
      for (int batch = 0; batch < 200; ++batch) {
        YieldPoint(Yield::kMicroBatch);
        int none = -1;
        if (!in_pass.compare_exchange_strong(none, t)) wrong = true;
        for (int layer = 0; layer < 5; ++layer) {
          YieldPoint(Yield::kLayer);
          work();
        }
        in_pass = -1;
      }
    });
  }
  std::thread sampler([&] {
    while (!stop) {
      EngineTurns::Sampling turn(turns);
      for (int i = 0; i < 3; ++i) {
        work();
        ++passes;
        turn.BetweenPasses();
      }
    }
  });
  for (std::thread& thread : trainers) thread.join();
  stop = true;
  sampler.join();
  EXPECT_FALSE(wrong);
  EXPECT_GT(passes, 0);
}

TEST(EngineTurns, NothingHappensOutsideOfScopes) {
  YieldPoint(Yield::kLayer);
  EngineTurns turns({});
  {
    const EngineTurns::Training training(turns);
    YieldPoint(Yield::kLayer);
  }
  const EngineTurns::Sampling sampling(turns);  // training has given its turn back
  EXPECT_EQ(turns.Times().handovers, 0);
}

}  // namespace
}  // namespace lorikeet
