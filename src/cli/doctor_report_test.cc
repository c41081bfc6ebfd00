#include "cli/doctor_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

DoctorFacts ExampleFacts() {
  DoctorFacts facts;
  facts.cpu_model = "Example CPU";
  facts.cpu.avx2 = facts.cpu.avx512f = facts.cpu.avx512_bf16 = true;
  facts.counts = {.logical = 8, .physical_cores = 4, .allowed = 2, .quota = 1.5};
  facts.threads = 2;
  facts.memory = {
      .total = int64_t{8} << 30, .available = int64_t{4} << 30, .cgroup_limit = int64_t{8} << 30};
  facts.disk_free_bytes = int64_t{10} << 30;
  facts.probe = {.peak_gflops_f32 = 210,
                 .peak_gflops_bf16 = 420,
                 .read_bandwidth_gbs = 25.5,
                 .bit_checks = {{"rows", true, "0 of 96 differed"}, {"threads", true, ""}},
                 .library_versions = "oneDNN 2.6.3"};
  return facts;
}

TEST(DoctorReport, TheTableHasEveryFact) {
  const std::string text = DoctorReport(ExampleFacts()).text;
  for (const char* part :
       {"Example CPU", "avx2", "bf16         native",
        "8 logical, 4 physical cores, 2 allowed to this process", "container quota 1.50",
        "8.00 GiB in all, 4.00 GiB available (container limit 8.00 GiB)", "oneDNN 2.6.3",
        "f32 210 GFLOP/s, bf16 420 GFLOP/s (2.0x)", "25.5 GB/s",
        "  ok    rows: 0 of 96 differed\n  ok    threads\n", "All checks passed."}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("note:")));
}

TEST(DoctorReport, TroubleIsSaid) {
  DoctorFacts facts = ExampleFacts();
  facts.cpu = {};
  facts.threads = 5;
  facts.memory.available = 1 << 20;
  facts.probe.peak_gflops_bf16 = 0;
  facts.probe.bit_checks[0].ok = false;
  EXPECT_FALSE(Healthy(facts));
  const std::string text = DoctorReport(facts).text;
  for (const char* part :
       {"  FAIL  rows", "A check failed", "no native bf16", "--threads 2", "little memory"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("bf16 0")));
}

TEST(DoctorReport, JsonHasTheSameFacts) {
  const OrderedJson json = DoctorReport(ExampleFacts()).json;
  EXPECT_EQ(json["threads"], 2);
  EXPECT_EQ(json["cpu_quota"], 1.5);
  EXPECT_EQ(json["matmul_peak_gflops_bf16"], 420);
  EXPECT_EQ(json["bit_checks"][0]["name"], "rows");
  EXPECT_TRUE(json["healthy"]);
  EXPECT_TRUE(json["cpu_features"].is_object());
}

}  // namespace
}  // namespace lorikeet
