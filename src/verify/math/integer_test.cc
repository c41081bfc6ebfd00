#include "verify/math/integer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace lorikeet::math {
namespace {

Integer Digits(std::string_view digits) { return Integer::FromDigits(digits); }

TEST(MathIntegerTest, ReadsAndWrites) {
  for (const char* digits : {"0", "1", "4294967295", "4294967296", "1000000000",
                             "340282366920938463463374607431768211456",
                             "99999999999999999999999999999999999999999999999999"}) {
    EXPECT_EQ(Digits(digits).ToString(), digits);
  }
  EXPECT_EQ((-Digits("340282366920938463463374607431768211456")).ToString(),
            "-340282366920938463463374607431768211456");
  EXPECT_EQ(Digits("000123").ToString(), "123");
  EXPECT_EQ(Integer::FromDigits("1011", 2).ToString(), "11");
  EXPECT_EQ((-Integer(0)).ToString(), "0");
  EXPECT_EQ(Integer(INT64_MIN).ToString(), "-9223372036854775808");
  EXPECT_EQ(Integer(INT64_MAX).ToInt64(), INT64_MAX);
  EXPECT_FALSE((Integer(INT64_MAX) + Integer(1)).ToInt64());
}

// Compares with the machine's arithmetic.
TEST(MathIntegerTest, SmallOnes) {
  const RandomStream random(1, "small integers");
  for (uint64_t i = 0; i < 2000; ++i) {
    const auto a = static_cast<int64_t>(random.Bits(2 * i)) >> (i % 50);
    const auto b = static_cast<int64_t>(random.Bits(2 * i + 1)) >> (i % 47);
    const Integer x(a), y(b);
    EXPECT_EQ(x < y, a < b);
    EXPECT_EQ(x == y, a == b);
    const auto half = [](int64_t v) { return v / 2; };
    EXPECT_EQ((Integer(half(a)) + Integer(half(b))).ToInt64(), half(a) + half(b));
    EXPECT_EQ((Integer(half(a)) - Integer(half(b))).ToInt64(), half(a) - half(b));
    EXPECT_EQ((Integer(a >> 33) * Integer(b >> 33)).ToInt64(), (a >> 33) * (b >> 33));
    if (b == 0 || (b == -1 && a == INT64_MIN)) continue;
    EXPECT_EQ((x / y).ToInt64(), a / b);
    EXPECT_EQ((x % y).ToInt64(), a % b);
  }
}

// A random number of up to `limbs` limbs whose limbs are often 0 or all ones, where carries and the
// corrections of long division are.
Integer Large(const RandomStream& random, uint64_t index, int limbs) {
  Integer value;
  const Integer base(int64_t{1} << 32);
  for (int i = 0; i < limbs; ++i) {
    const uint64_t bits = random.Bits(index * 64 + static_cast<uint64_t>(i));
    const uint64_t limb = bits % 4 == 0 ? 0 : bits % 4 == 1 ? 0xffffffff : bits >> 32;
    value = value * base + Integer(static_cast<int64_t>(limb));
  }
  return value;
}

TEST(MathIntegerTest, DivisionUndoesMultiplication) {
  const RandomStream random(2, "large integers");
  for (uint64_t i = 0; i < 3000; ++i) {
    const Integer a = Large(random, 2 * i, static_cast<int>(i % 13));
    const Integer b = Large(random, 2 * i + 1, 1 + static_cast<int>(i % 7));
    if (b.zero()) continue;
    const Integer quotient = a / b, rest = a % b;
    EXPECT_EQ((quotient * b + rest).ToString(), a.ToString());
    EXPECT_LT(rest, b);
    EXPECT_FALSE(rest.negative());
    EXPECT_EQ(a * b / b, a);
    EXPECT_EQ((a + b) * (a - b), a * a - b * b);
    EXPECT_TRUE((Integer::Gcd(a * b, b) == b));
  }
}

TEST(MathIntegerTest, KnownValues) {
  Integer factorial(1);
  for (int64_t k = 2; k <= 30; ++k) factorial = factorial * Integer(k);
  EXPECT_EQ(factorial.ToString(), "265252859812191058636308480000000");
  EXPECT_EQ(Integer::Power(Integer(-3), 41).ToString(), "-36472996377170786403");
  EXPECT_EQ(Integer::Power(Integer(7), 0).ToString(), "1");
  // Fibonacci numbers: gcd(F(m), F(n)) = F(gcd(m, n)).
  std::vector<Integer> fibonacci = {Integer(0), Integer(1)};
  for (size_t i = 2; i <= 300; ++i) fibonacci.push_back(fibonacci[i - 1] + fibonacci[i - 2]);
  EXPECT_EQ(Integer::Gcd(fibonacci[300], fibonacci[225]), fibonacci[75]);
  EXPECT_EQ(Integer::Gcd(Integer(0), Integer(-6)).ToString(), "6");
}

TEST(MathIntegerTest, SizeIsBounded) {
  EXPECT_NO_THROW(Integer::Power(Integer(2), 32767));
  EXPECT_THROW(Integer::Power(Integer(2), 32768), Error);
  EXPECT_THROW(Integer::FromDigits(std::string(20000, '9')), Error);
}

}  // namespace
}  // namespace lorikeet::math
