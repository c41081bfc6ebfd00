#include "verify/math/decide.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "core/random.h"
#include "verify/math/grader.h"

namespace lorikeet {
namespace {

// Two texts, and whether their values are equal.
struct Pair {
  std::string a, b;
  bool equal = false;
};

// Makes pairs of exact values with known truth. Those that differ often do so far below the
// resolution of a double, or both are beyond its range.
class PairMaker {
 public:
  explicit PairMaker(uint64_t index) : random_(3, "math pairs"), at_(index * 64) {}

  Pair Make() {
    switch (Below(11)) {
      case 0:
        return Rationals();
      case 1:
        return Factorials();
      case 2:
        return Powers();
      case 3:
        return Near(fmt::format("\\sqrt{{{}}}", Prime()));
      case 4:
        return NestedRoots();
      case 5:
        return Logarithms();
      case 6:
        return Cosines();
      case 7:
        return Exponentials();
      case 8:
        return Identities();
      case 9:
        return Sums();
      default:
        return Decimals();
    }
  }

 private:
  int64_t Below(int64_t n) {
    return static_cast<int64_t>(random_.Below(at_++, static_cast<uint64_t>(n)));
  }
  int64_t Between(int64_t low, int64_t high) { return low + Below(high - low + 1); }
  int64_t Prime() {
    constexpr std::array<int64_t, 10> kPrimes = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
    return kPrimes[static_cast<size_t>(Below(kPrimes.size()))];
  }

  // Two texts of the same value, one of them possibly with a tiny summand.
  Pair Near(const std::string& a, const std::string& b) {
    const std::string tiny = fmt::format("10^{{-{}}}", Between(17, 420));
    switch (Below(4)) {
      case 0:
        return {a, b, true};
      case 1:
        return {a + "+" + tiny, tiny + "+" + b, true};
      case 2:
        return {a, b + "+" + tiny, false};
      default:
        return {a + "-" + tiny, b, false};
    }
  }
  Pair Near(const std::string& a) { return Near(a, a); }

  Pair Rationals() {
    const int64_t p = Between(1, 99), q = Between(1, 99), scale = Between(2, 9);
    const int64_t k = Between(1, 2000), more = Below(2);
    return {fmt::format(R"(\frac{{{}}}{{{}\cdot 10^{{{}}}}})", p * scale, q * scale, k),
            fmt::format(R"(\frac{{{}}}{{{}\cdot 10^{{{}}}}})", p, q, k + more), more == 0};
  }

  Pair Factorials() {
    const int64_t n = Between(150, 2500), wrong = Below(2);
    const std::string a = fmt::format(R"(\frac{{{}!}}{{{}!}})", n, n - 2);
    const std::string b = fmt::format(R"({} \cdot {})", n, n - 1 + wrong);
    if (Below(2) == 0) return {a, b, wrong == 0};
    return {fmt::format(R"(\frac{{1}}{{{}!}})", n), fmt::format(R"(\frac{{1}}{{{}!}})", n + wrong),
            wrong == 0};
  }

  Pair Powers() {
    const int64_t base = Prime(), k = Between(300, 3000), wrong = Below(2);
    return {fmt::format("{}^{{-{}}}", base, 2 * k),
            fmt::format(R"(\frac{{1}}{{{}^{{{}}}}})", base * base, k + wrong), wrong == 0};
  }

  // sqrt(a + b + 2 sqrt(ab)) = sqrt(a) + sqrt(b)
  Pair NestedRoots() {
    const int64_t a = Prime(), b = Prime() + 1;
    return Near(fmt::format(R"(\sqrt{{{}+2\sqrt{{{}}}}})", a + b, a * b),
                fmt::format(R"(\sqrt{{{}}}+\sqrt{{{}}})", a, b));
  }

  Pair Logarithms() {
    const int64_t a = Between(2, 40), b = Between(2, 40);
    return Near(fmt::format(R"(\ln {})", a * b), fmt::format(R"(\ln {} + \ln {})", a, b));
  }

  // cos(k pi / 5) = (+-1 +- sqrt 5) / 4, cos(2x) = 2 cos(x)^2 - 1
  Pair Cosines() {
    const int64_t n = Between(5, 24);
    return Near(fmt::format(R"(\cos\frac{{2\pi}}{{{}}})", n),
                fmt::format(R"(2\cos^2\left(\frac{{\pi}}{{{}}}\right)-1)", n));
  }

  Pair Exponentials() {
    const int64_t k = Between(1, 2000), wrong = Below(2);
    if (Below(3) == 0) return {"1", fmt::format("1+e^{{-{}}}", 40 + k), false};
    return {fmt::format("e^{{-{}}}", k), fmt::format(R"(\frac{{1}}{{e^{{{}}}}})", k + wrong),
            wrong == 0};
  }

  Pair Identities() {
    const int64_t a = Between(1, 9);
    const std::string x = Below(2) == 0 ? "x" : fmt::format(R"(\frac{{{}}}{{7}})", a);
    switch (Below(4)) {
      case 0:
        return Near(fmt::format(R"(\sin\left({}+{}\right))", x, a),
                    fmt::format(R"(\sin({0})\cos({1})+\cos({0})\sin({1}))", x, a));
      case 1:
        return Near(fmt::format(R"(e^{{{}+{}}})", x, a), fmt::format(R"(e^{{{}}}e^{{{}}})", x, a));
      case 2:
        return Near(fmt::format(R"(\cos^2({}))", x), fmt::format(R"(1-\sin^2({}))", x));
      default:
        return Near(fmt::format(R"(3^{{{}+{}}})", x, a),
                    fmt::format(R"(3^{{{}}}\cdot 3^{{{}}})", x, a));
    }
  }

  // 10^-a + 10^-b in either order, or one of them a step further.
  Pair Sums() {
    const int64_t a = Between(1, 900), b = Between(1, 900), wrong = Below(2);
    return {fmt::format("10^{{-{}}}+10^{{-{}}}", a, b),
            fmt::format("10^{{-{}}}+10^{{-{}}}", b, a + wrong), wrong == 0};
  }

  // Decimals with the same digits; others are a factor of ten apart.
  Pair Decimals() {
    const int64_t digits = Between(11, 99), k = Between(300, 3000), wrong = Below(2);
    return {fmt::format("{}.0e-{}", digits, k),
            fmt::format(R"({}.0 \times 10^{{-{}}})", digits, k + wrong), wrong == 0};
  }

  RandomStream random_;
  uint64_t at_;
};

TEST(MathDecideTest, NeverEqualWithoutProof) {
  constexpr uint64_t kPairs = 2000;
  size_t equal = 0, different = 0, false_equal = 0, missed = 0, wrong_for_equal = 0;
  for (uint64_t i = 0; i < kPairs; ++i) {
    const Pair pair = PairMaker(i).Make();
    for (const auto& [reference, answer] : {std::pair{pair.a, pair.b}, std::pair{pair.b, pair.a}}) {
      const Grade grade = GradeMath(reference, "\\boxed{" + answer + "}");
      const bool correct = grade.verdict == Verdict::kCorrect;
      (pair.equal ? equal : different) += 1;
      if (!pair.equal && correct) {
        ++false_equal;
        ADD_FAILURE() << reference << "  is not  " << answer;
      }
      if (pair.equal && grade.verdict == Verdict::kWrong) {
        ++wrong_for_equal;
        ADD_FAILURE() << reference << "  is  " << answer << "  reason: " << grade.reason;
      }
      if (grade.verdict == Verdict::kInvalid) {
        ++missed;
        ADD_FAILURE() << reference << "  and  " << answer << "  reason: " << grade.reason;
      }
    }
  }
  EXPECT_EQ(false_equal, 0U);
  EXPECT_EQ(wrong_for_equal, 0U);
  EXPECT_GT(equal, kPairs / 2);
  EXPECT_GT(different, kPairs / 2);
  EXPECT_EQ(missed, 0U) << "verdicts that are left open";
}

}  // namespace
}  // namespace lorikeet
