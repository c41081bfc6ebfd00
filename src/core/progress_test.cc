#include "core/progress.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace lorikeet {
namespace {

// A stream that is read afterwards, and a clock that the test sets.
class ProgressTest : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("NO_COLOR");
    out_ = std::tmpfile();
    ASSERT_NE(out_, nullptr);
  }
  void TearDown() override { std::fclose(out_); }
  Progress::Settings Settings(Progress::Mode mode) {
    Progress::Settings settings;
    settings.out = out_;
    settings.mode = mode;
    settings.clock = [this] { return now_; };
    return settings;
  }
  std::string Written() {
    std::fflush(out_);
    std::rewind(out_);
    std::string text;
    for (int c = std::fgetc(out_); c != EOF; c = std::fgetc(out_)) text += static_cast<char>(c);
    return text;
  }
  static ProgressSample Sample(int64_t step) {
    return {.step = step,
            .total = 100,
            .loss = 2.3456,
            .learning_rate = 1e-3,
            .tokens_per_second = 1234.4,
            .peak_fraction = 0.564};
  }
  std::FILE* out_ = nullptr;
  double now_ = 1000;
};

TEST_F(ProgressTest, PlainLinesEveryLoggingStepsAndAtTheEnds) {
  auto settings = Settings(Progress::Mode::kAuto);  // a file is not a terminal
  settings.logging_steps = 10;
  Progress progress(settings);
  for (int step = 1; step <= 100; ++step) {
    now_ += 2;
    if (step <= 12 || step >= 99) progress.Update(Sample(step));
  }
  EXPECT_EQ(Written(),
            "step 1/100  loss 2.346  lr 1.00e-03  1234 tok/s  56% of peak  2.0s  ETA 3m18s\n"
            "step 10/100  loss 2.346  lr 1.00e-03  1234 tok/s  56% of peak  20s  ETA 3m00s\n"
            "step 100/100  loss 2.346  lr 1.00e-03  1234 tok/s  56% of peak  3m20s\n");
}

TEST_F(ProgressTest, ResumedStepsDoNotCountForTheEta) {
  auto settings = Settings(Progress::Mode::kPlain);
  settings.first_step = 90;
  Progress progress(settings);
  now_ += 5;
  progress.Update({.step = 91, .total = 100, .loss = 1, .learning_rate = -1});
  EXPECT_EQ(Written(), "step 91/100  loss 1.000  5.0s  ETA 45s\n");
}

TEST_F(ProgressTest, ATerminalLineIsRewrittenAndNotesStandAbove) {
  setenv("NO_COLOR", "1", 1);
  {
    Progress progress(Settings(Progress::Mode::kLine));
    now_ += 1;
    progress.Update({.step = 1, .loss = 3, .learning_rate = -1});
    progress.Note("saved");
    progress.Update({.step = 2, .loss = 2, .learning_rate = -1});
  }
  EXPECT_EQ(Written(),
            "\rstep 1  loss 3.000  1.0s\x1b[K"
            "\r\x1b[Ksaved\n\rstep 1  loss 3.000  1.0s\x1b[K"
            "\rstep 2  loss 2.000  1.0s\x1b[K\n");
  unsetenv("NO_COLOR");
}

TEST_F(ProgressTest, ALongLineIsCutToTheTerminalAndColouredUnlessToldNotTo) {
  {
    Progress progress(Settings(Progress::Mode::kLine));
    auto sample = Sample(1);
    sample.total = int64_t{1} << 60;
    progress.Update(sample);
  }
  const std::string written = Written();
  EXPECT_NE(written.find("\x1b[36m"), std::string::npos);
  const size_t begin = written.find("step");
  EXPECT_EQ(written.find('\x1b', begin) - begin,
            79U);  // 80 where the width is unknown, less the last column
}

TEST_F(ProgressTest, QuietSaysNothing) {
  {
    Progress progress(Settings(Progress::Mode::kQuiet));
    progress.Update(Sample(1));
    progress.Note("note");
  }
  EXPECT_EQ(Written(), "");
}

}  // namespace
}  // namespace lorikeet
