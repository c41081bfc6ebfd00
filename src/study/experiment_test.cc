// Tests that conclusions follow from the data: synthetic runs with known ground truth.
#include "study/experiment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "study/study.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Words(const Report& report) { return ConclusionsText(report); }

// Every method has a valley about its own best rate and reaches its own lowest loss.
struct MadeUpMethod {
  double rate, lift;
};
using Methods = std::function<MadeUpMethod(const RunSpec& spec)>;

std::vector<RunRecord> Runs(const std::vector<int>& ranks, const Methods& methods) {
  std::vector<RunRecord> records;
  for (const int rank : ranks) {  // 0: full
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      for (int k = -15; k <= -2; ++k) {
        const RunSpec spec = MakeSpec(rank == 0, std::max(rank, 1), GridRate(k, 3), seed);
        records.push_back(MakeRecord(spec, [&](const RunSpec& of, int64_t step) {
          const MadeUpMethod m = methods(of);
          const double jitter = 0.02 * (static_cast<double>(of.seed()) - 2);
          const double off = std::log10(of.learning_rate() / m.rate) + jitter;
          const double gain = std::log1p(static_cast<double>(step)) * (0.4 - 0.05 * off * off);
          return 4 + (0.01 * jitter) - gain + (step > 0 ? m.lift : 0);
        }));
      }
    }
  }
  return records;
}

TEST(ExperimentLr, RatioOfTenIsFoundAndAgrees) {
  const auto records = Runs({0, 4, 64}, [](const RunSpec& s) {
    return MadeUpMethod{s.full() ? 3e-4 : 3e-3, 0};
  });
  const Report report = kLrExperiment.analyse(DefaultSettings(), records);
  EXPECT_THAT(Words(report), HasSubstr("not to be told from the article's 10"));
  EXPECT_THAT(Words(report), HasSubstr("less than 2 as the article says"));
  ASSERT_FALSE(report.findings.empty());
  EXPECT_NEAR(report.findings[0].here.value, 10, 0.01);
  EXPECT_EQ(report.findings[0].agrees, Agreement::kYes);
}

TEST(ExperimentLr, ShortRunsHaveARatioOfTheirOwn) {
  // LoRA's valley is at twice its rate in the first half of the run; that of full does not move.
  const StudySettings settings = [] {
    StudySettings short_and_long = DefaultSettings();
    short_and_long.short_steps = {"10"};
    return short_and_long;
  }();
  std::vector<RunRecord> records;
  for (const bool full : {true, false}) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      for (int k = -15; k <= -2; ++k) {
        RunSpec spec = MakeSpec(full, 64, GridRate(k, 3), seed);
        spec.eval_at.push_back(10);
        records.push_back(MakeRecord(spec, [](const RunSpec& of, int64_t step) {
          const double best = of.full() ? 3e-4 : step < 50 ? 6e-3 : 3e-3;
          const double off = std::log10(of.learning_rate() / best);
          return 4 - std::log1p(static_cast<double>(step)) * (0.4 - 0.05 * off * off);
        }));
      }
    }
  }
  const Report report = kLrExperiment.analyse(settings, records);
  ASSERT_GE(report.findings.size(), 3);
  EXPECT_NEAR(report.findings[0].here.value, 10, 0.01);
  EXPECT_NEAR(report.findings[1].here.value, 20, 0.01);
  EXPECT_NEAR(report.findings[2].here.value, 2, 0.01);
}

TEST(ExperimentLr, OtherDataGiveOtherConclusions) {
  const auto records = Runs({0, 4, 64}, [](const RunSpec& s) {
    return MadeUpMethod{s.full()                    ? 3e-4
                        : s.run.adapter.lora_r == 4 ? 2e-4
                                                    : 9e-4,
                        s.full() ? 0 : 0.2};
  });
  const Report report = kLrExperiment.analyse(DefaultSettings(), records);
  EXPECT_THAT(Words(report), HasSubstr("below the article's 10"));
  EXPECT_THAT(Words(report), HasSubstr("more than the article's 2"));
  EXPECT_THAT(Words(report), HasSubstr("full fine-tuning is better"));
  EXPECT_EQ(report.findings[0].agrees, Agreement::kNo);
}

TEST(ExperimentLr, AnOptimumAtTheEdgeIsRefused) {
  const auto records = Runs({0, 64}, [](const RunSpec& s) {
    return MadeUpMethod{s.full() ? 3e-4 : 1e9, 0};
  });
  const Report report = kLrExperiment.analyse(DefaultSettings(), records);
  EXPECT_THAT(Words(report), HasSubstr("No ratio"));
  EXPECT_TRUE(std::any_of(report.notes.begin(), report.notes.end(), [](const std::string& note) {
    return note.find("no optimum is stated") != std::string::npos;
  }));
}

TEST(ExperimentLr, OneSeedDecidesNothing) {
  std::vector<RunRecord> records = Runs({0, 64}, [](const RunSpec& s) {
    return MadeUpMethod{s.full() ? 3e-4 : 3e-3, 0};
  });
  std::erase_if(records, [](const RunRecord& record) { return record.spec.seed() != 1; });
  const Report report = kLrExperiment.analyse(DefaultSettings(), records);
  for (const Finding& finding : report.findings) {
    EXPECT_EQ(finding.agrees, Agreement::kUndecided) << finding.claim;
  }
  for (const Table& table : report.tables) {
    for (const auto& row : table.rows) EXPECT_THAT(row, Each(Not(HasSubstr("nan")))) << table.name;
  }
}

TEST(ExperimentLr, SchedulesAreComparedForEachMethodThatHasBoth) {
  StudySettings settings = DefaultSettings();
  settings.schedules = {"constant", "linear"};
  const auto twice = [](const RunSpec& s) {
    return MadeUpMethod{
        (s.full() ? 3e-4 : 3e-3) * (s.run.optimizer.lr_scheduler_type == "linear" ? 2 : 1),
        s.run.optimizer.lr_scheduler_type == "linear" ? -0.25 : 0};
  };
  std::vector<RunRecord> records = Runs({0, 4, 64}, twice);
  std::vector<RunRecord> linear = records;
  std::erase_if(
      linear, [](const RunRecord& r) { return !r.spec.full() && r.spec.run.adapter.lora_r == 4; });
  for (const RunRecord& run : linear) {
    RunSpec spec = run.spec;
    spec.run.optimizer.lr_scheduler_type = "linear";
    records.push_back(MakeRecord(spec, [&](const RunSpec& of, int64_t step) {
      const MadeUpMethod m = twice(of);
      const double off = std::log10(of.learning_rate() / m.rate);
      const double gain = std::log1p(static_cast<double>(step)) * (0.4 - 0.05 * off * off);
      return 4 - gain + (step > 0 ? m.lift : 0);
    }));
  }
  const Report report = kLrExperiment.analyse(settings, records);
  std::vector<double> moved, gaps;
  for (const Finding& finding : report.findings) {
    if (finding.claim.find("linear schedule over constant") != std::string::npos) {
      moved.push_back(finding.here.value);
    }
    if (finding.claim.find("linear schedule less constant") != std::string::npos) {
      gaps.push_back(finding.here.value);
    }
  }
  EXPECT_THAT(Words(report),
              HasSubstr("With the linear schedule the best rate of LoRA rank 64 is 10"));
  ASSERT_EQ(moved.size(), 2);  // full and the highest rank
  EXPECT_THAT(moved, Each(testing::DoubleNear(2, 0.05)));
  EXPECT_THAT(gaps, Each(testing::DoubleNear(-0.25, 0.02)));
  const auto figure =
      std::find_if(report.figures.begin(), report.figures.end(),
                   [](const Figure& each) { return each.name == "lr_loss_schedules"; });
  ASSERT_NE(figure, report.figures.end());
  ASSERT_EQ(figure->series.size(), 4);
  EXPECT_FALSE(figure->series[0].dashed);
  EXPECT_TRUE(figure->series[1].dashed);
}

TEST(ExperimentLr, NoRunsIsAnError) {
  EXPECT_THROW(kLrExperiment.analyse(DefaultSettings(), {}), Error);
}

// The loss of rank r follows 4 - 0.4 ln(1 + step) up to its capacity and then falls `later` times
// as fast.
std::vector<RunRecord> CapacityRuns(double steps_per_rank, double later) {
  std::vector<RunRecord> records;
  for (const int rank : {0, 1, 4, 64}) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      for (int k = -12; k <= -6; ++k) {
        RunSpec spec = MakeSpec(rank == 0, std::max(rank, 1), GridRate(k, 3), seed, 1000);
        spec.eval_at = LogSpacedSteps(1000, 20);
        records.push_back(MakeRecord(spec, [&](const RunSpec& of, int64_t step) {
          const double off = std::log10(of.learning_rate() / 1e-3);
          const double capacity = (of.full() ? 1e9 : of.run.adapter.lora_r * steps_per_rank) *
                                  (1 + 0.05 * (static_cast<double>(of.seed()) - 2));
          const auto t = static_cast<double>(step);
          const double reached = std::log1p(std::min(t, capacity));
          const double beyond = t > capacity ? std::log1p(t) - reached : 0;
          return 4 - 0.4 * (reached + later * beyond) + 0.01 * off * off;
        }));
      }
    }
  }
  return records;
}

TEST(ExperimentRank, DeparturesGrowWithRankAndGoOnSlower) {
  const auto records = CapacityRuns(20, 0.3);
  const Report report = kRankExperiment.analyse(DefaultSettings(), records);
  const std::string words = Words(report);
  EXPECT_THAT(words, HasSubstr("LoRA rank 1 leaves the common curve at step"));
  EXPECT_THAT(words, HasSubstr("slower, but no floor"));
  EXPECT_THAT(words, HasSubstr("it grows with the rank, as the article says"));
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings[0].agrees, Agreement::kYes);
  EXPECT_NEAR(report.findings[0].here.value, 1, 0.2);  // capacity is proportional to rank
}

TEST(ExperimentRank, AFloorIsCalledNoneOfOurs) {
  const std::string words = Words(kRankExperiment.analyse(DefaultSettings(), CapacityRuns(20, 0)));
  EXPECT_THAT(words, HasSubstr("leaves the common curve"));
  EXPECT_THAT(words, testing::Not(HasSubstr("slower, but no floor")));
}

TEST(ExperimentRank, RanksWithRoomNeverLeave) {
  const std::string words = Words(kRankExperiment.analyse(DefaultSettings(), CapacityRuns(1e6, 1)));
  EXPECT_THAT(words, HasSubstr("LoRA rank 1 never stays"));
  EXPECT_THAT(words, testing::Not(HasSubstr("leaves")));
}

TEST(Experiment, UnknownNamesAreHelped) {
  try {
    FindExperiment("rnak");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("rank"));
  }
}

// With an empty PATH, as if gnuplot were not installed.
class WithoutPrograms {
 public:
  WithoutPrograms() : path_(std::getenv("PATH")) { setenv("PATH", "", 1); }
  ~WithoutPrograms() { setenv("PATH", path_.c_str(), 1); }
  WithoutPrograms(const WithoutPrograms&) = delete;
  WithoutPrograms& operator=(const WithoutPrograms&) = delete;

 private:
  std::string path_;
};

TEST(Experiment, ReportIsWrittenFromTheRunsAlone) {
  const TemporaryFolder folder("study");
  const WithoutPrograms no_gnuplot;
  const Ledger ledger(folder.path());
  std::vector<std::string> ids;
  for (const RunRecord& record : Runs({0, 4}, [](const RunSpec& s) {
         return MadeUpMethod{s.full() ? 3e-4 : 3e-3, 0};
       })) {
    const double off = std::log10(record.spec.learning_rate() / (record.spec.full() ? 3e-4 : 3e-3));
    if (record.spec.seed() > 2 || std::abs(off) > 0.6) continue;  // writing takes its time
    WriteRecord(ledger, record);
    ids.push_back(record.id);
  }
  const Experiment& lr = FindExperiment("lr");
  KeepPlan(lr, DefaultSettings(), ids, ledger);
  ReportFromRuns(lr, DefaultSettings(), ledger);
  const std::string page = ReadFile(folder.path() + "/report.html");
  EXPECT_THAT(page, HasSubstr("the article's 10"));
  EXPECT_THAT(ReadFile(folder.path() + "/lr/lr_loss.csv"), HasSubstr("series,x,y,low,high"));
  const Json claims = ClaimsOf({folder.path()});
  ASSERT_FALSE(claims.empty());
  for (const char* key : {"claim", "article", "here", "low", "high", "agrees", "runs"}) {
    EXPECT_TRUE(claims[0].contains(key)) << key;
  }
  EXPECT_EQ(claims[0]["agrees"], "yes");
  EXPECT_EQ(ExperimentsIn(folder.path()).size(), 1);
}

}  // namespace
}  // namespace lorikeet
