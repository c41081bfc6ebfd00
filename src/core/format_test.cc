#include "core/format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lorikeet {
namespace {

TEST(Format, Bytes) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.00 KiB");
  EXPECT_EQ(HumanBytes(1536), "1.50 KiB");
  EXPECT_EQ(HumanBytes(1048575), "1.00 MiB");
  EXPECT_EQ(HumanBytes(int64_t{3} << 30), "3.00 GiB");
  EXPECT_EQ(HumanBytes(int64_t{100} << 20), "100 MiB");
  EXPECT_EQ(HumanBytes(-2048), "-2.00 KiB");
  EXPECT_EQ(HumanBytes(std::numeric_limits<int64_t>::max()), "8.00 EiB");
}

TEST(Format, Counts) {
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1000), "1,000");
  EXPECT_EQ(HumanCount(1234567), "1,234,567");
  EXPECT_EQ(HumanCount(-123456), "-123,456");
  EXPECT_EQ(HumanCount(-1234), "-1,234");
  EXPECT_EQ(ShortCount(950), "950");
  EXPECT_EQ(ShortCount(0.25), "0.25");
  EXPECT_EQ(ShortCount(1234), "1.23k");
  EXPECT_EQ(ShortCount(999.6e3), "1.00M");
  EXPECT_EQ(ShortCount(134515008), "135M");
  EXPECT_EQ(ShortCount(4.2e12), "4.20T");
  EXPECT_EQ(ShortCount(NAN), "?");
}

TEST(Format, Durations) {
  EXPECT_EQ(HumanDuration(0), "0.0s");
  EXPECT_EQ(HumanDuration(9.94), "9.9s");
  EXPECT_EQ(HumanDuration(9.96), "10s");
  EXPECT_EQ(HumanDuration(59.6), "1m00s");
  EXPECT_EQ(HumanDuration(192), "3m12s");
  EXPECT_EQ(HumanDuration(3599.9), "1h00m");
  EXPECT_EQ(HumanDuration(7500), "2h05m");
  EXPECT_EQ(HumanDuration(3 * 86400 + 4 * 3600), "3d04h");
  EXPECT_EQ(HumanDuration(NAN), "?");
  EXPECT_EQ(HumanDuration(INFINITY), "?");
  EXPECT_EQ(HumanDuration(-1), "?");
}

TEST(Format, Percents) {
  EXPECT_EQ(Percent(0.561), "56%");
  EXPECT_EQ(Percent(0.0123), "1.2%");
  EXPECT_EQ(Percent(1), "100%");
  EXPECT_EQ(Percent(NAN), "?");
}

}  // namespace
}  // namespace lorikeet
