#include "verify/math/grader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lorikeet {
namespace {

constexpr Verdict kYes = Verdict::kCorrect, kNo = Verdict::kWrong, kNone = Verdict::kInvalid;

struct Case {
  const char* reference;
  const char* completion;
  Verdict verdict;
};

std::string Show(const Case& c, const Grade& grade) {
  return std::string(c.reference) + "  against  " + c.completion + "  reason: " + grade.reason;
}

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const Grade grade = GradeMath(c.reference, c.completion);
    EXPECT_EQ(grade.verdict, c.verdict) << Show(c, grade);
    EXPECT_EQ(grade.reward, grade.verdict == kYes ? 1 : 0) << Show(c, grade);
    EXPECT_EQ(grade.reason.empty(), grade.verdict == kYes) << Show(c, grade);
  }
}

TEST(MathGraderTest, Numbers) {
  Check({
      {"1234", "$1,234.00", kYes},
      {"1234", "1 234", kYes},
      {"1234", R"(\boxed{1{,}234})", kYes},
      {"1234", R"(\boxed{1\,234})", kYes},
      {"10000", R"(\boxed{10,\!000})", kYes},
      {"32349", R"(\boxed{32,\! 349})", kYes},
      {"32349", R"(\boxed{32, 349})", kNo},
      {"12,345,678", R"(\boxed{12345678})", kYes},
      {"-3", "-3", kYes},
      {"-3", R"(\boxed{−3})", kYes},  // U+2212
      {"-3", "3", kNo},
      {"3", "3.", kYes},
      {"3", "3.0", kYes},
      {"18", "#### 18.0", kYes},
      {"0.5", ".5", kYes},
      {"5%", "5", kYes},
      {"5%", "0.05", kYes},
      {"5", R"(\boxed{5\%})", kYes},
      {"0.28", R"(\boxed{28\%})", kYes},
      {"0.28", "28", kNo},
      {"28\\%", "28 percent", kYes},
      {"3/4", "0.75", kYes},
      {"3/4", R"(\boxed{\frac{6}{8}})", kYes},
      {"3/4", "4/3", kNo},
      {"1000", "1e3", kYes},
      {"0.0015", "1.5E-3", kYes},
      {"3\\times 10^{8}", "300000000", kYes},
      {"30000", "3 x 10^4", kYes},
      {"4.5 million", "4500000", kYes},
      {"0", "-0", kYes},
      {"7", "007", kYes},
      {"1000000", "1000000.5", kNo},  // an integer has no neighbours
      {"1", "0.9999999", kNo},
      {"0.333333333", R"(\boxed{\frac13})", kYes},
      {"\\frac13", "0.33", kNo},
      {"0.1\\overline{6}", R"(\boxed{\frac16})", kYes},
      {"0.\\overline{36}", R"(\boxed{\frac{4}{11}})", kYes},
      {"7\\frac{3}{4}", "7 3/4", kYes},
      {"7\\frac{3}{4}", R"(\boxed{\frac{31}{4}})", kYes},
      {"-7\\frac{3}{4}", R"(\boxed{-7.75})", kYes},
      {"3½", R"(\boxed{3.5})", kYes},
      {"4", "4 4/9", kNo},
      {"73/4", "7 3/4", kNo},
      {"12", "1 2", kNo},
      {"120", R"(\boxed{5!})", kYes},
      {"5", "The answer is 5!", kYes},
      {"5!", "5", kNo},
      {"100!", R"(\boxed{100 \cdot 99!})", kYes},
      {"2^{1000}", R"(\boxed{4^{500}})", kYes},
      {"2^{1000}", R"(\boxed{2^{1000}+1})", kNo},
      {"10", R"(\boxed{\binom{5}{2}})", kYes},
      {"1024", R"(\boxed{2^10})", kYes},
      {"2", R"(\boxed{\lfloor \sqrt{5} \rfloor})", kYes},
      {"6", R"(\boxed{\gcd(12, 18)})", kYes},
      {"5", R"(\boxed{|-5|})", kYes},
      {"1/0", "5", kNone},
      {"5", "1/0", kNo},
  });
}

TEST(MathGraderTest, Fractions) {
  Check({
      {R"(\frac{1}{2})", R"(\boxed{\frac12})", kYes},
      {R"(\frac{1}{2})", R"(\boxed{\dfrac{1}2})", kYes},
      {R"(\frac12)", R"(\boxed{\tfrac{1}{2}})", kYes},
      {R"(\frac1{72})", R"(\boxed{1/72})", kYes},
      {R"(\frac{3}{4})", R"(\boxed{\frac34 \text{ cups}})", kYes},
      {R"(-\frac{2}{3})", R"(\boxed{\frac{-2}{3}})", kYes},
      {R"(-\frac{2}{3})", R"(\boxed{\frac{2}{-3}})", kYes},
      {R"(\frac{1}{2})", R"(\boxed{\left(\frac{1}{2}\right)})", kYes},
      {R"(\frac{\frac12}{3})", R"(\boxed{\frac16})", kYes},
      {R"(\frac{a}{b})", R"(\boxed{\frac ab})", kYes},
      {R"(\frac{1}{2})", R"(\boxed{\frac{1}{2})", kNo},  // the box is not closed
      {R"(\frac{1}{2})", R"(\boxed{\frac{1}{2}}})", kYes},
      {R"(\frac{1}{2})", R"(\boxed{\\frac{1}{2}})", kYes},  // escaped once too often
      {R"(\frac{1}{23})", R"(\boxed{\frac{12}{3}})", kNo},
      {R"(\frac{1}{2})", R"(\boxed{fraca12})", kNo},
  });
}

TEST(MathGraderTest, SurdsAndConstants) {
  Check({
      {R"(\sqrt{8})", R"(\boxed{2\sqrt2})", kYes},
      {R"(2\sqrt{3})", R"(\boxed{\sqrt{12}})", kYes},
      {R"(2\sqrt{3})", R"(\boxed{2√3})", kYes},
      {R"(2\sqrt{3})", R"(\boxed{2sqrt(3)})", kYes},
      {R"(\sqrt{13})", R"(\boxed{sqrt 13})", kYes},
      {R"(\sqrt{3})", R"(\boxed{1.732})", kNo},
      {R"(\sqrt{3})", R"(\boxed{1.7320508})", kYes},
      {R"(\frac{1}{1+\sqrt2})", R"(\boxed{\sqrt{2}-1})", kYes},
      {R"(\frac{\sqrt3}{3})", R"(\boxed{\frac{1}{\sqrt{3}}})", kYes},
      {R"(\sqrt[3]{54})", R"(\boxed{3\sqrt[3]{2}})", kYes},
      {R"(\sqrt[3]{-8})", R"(\boxed{-2})", kYes},
      {R"(\sqrt{2}\sqrt{3})", R"(\boxed{\sqrt6})", kYes},
      {R"(\sqrt{2}+\sqrt{3})", R"(\boxed{\sqrt{5}})", kNo},
      {R"(\sqrt{3+2\sqrt2})", R"(\boxed{1+\sqrt2})", kYes},
      {R"(\frac{1+\sqrt{5}}{2})", R"(\boxed{\frac{2}{\sqrt5-1}})", kYes},
      {R"(\frac{1+\sqrt{5}}{2})", R"(\boxed{\frac{1-\sqrt5}{2}})", kNo},
      {R"(4^{3/2})", "8", kYes},
      {R"(27^{-\frac13})", R"(\boxed{\frac13})", kYes},
      {R"(12\pi-9\sqrt{3})", R"(\boxed{3(4\pi-3\sqrt3)})", kYes},
      {R"(\frac{\pi}{4})", R"(\boxed{\frac14\pi})", kYes},
      {R"(\frac{\pi}{4})", R"(\boxed{π/4})", kYes},
      {R"(\pi)", R"(\boxed{3.14159265})", kYes},
      {R"(\pi)", R"(\boxed{3.14})", kNo},
      {R"(\pi)", R"(\boxed{\frac{22}{7}})", kNo},
      {R"(e^2)", R"(\boxed{e \cdot e})", kYes},
      {R"(2e-1)", R"(\boxed{-1+2e})", kYes},
      {R"(e^{i\pi})", R"(\boxed{-1})", kYes},
      {R"(3+4i)", R"(\boxed{(2+i)^2})", kYes},
      {R"(3+4i)", R"(\boxed{3-4i})", kNo},
      {R"(\frac{1}{i})", R"(\boxed{-i})", kYes},
      {R"(\ln 2)", R"(\boxed{\frac{\ln 4}{2}})", kYes},
      {R"(\log_2 8)", "3", kYes},
      {R"(\sin 30^\circ)", R"(\boxed{\frac12})", kYes},
      {R"(\cos\frac{\pi}{12})", R"(\boxed{\frac{\sqrt6+\sqrt2}{4}})", kYes},
      {R"(\sin\pi)", "0", kYes},
      {R"(\arctan 1)", R"(\boxed{\frac\pi4})", kYes},
      {R"(\tan^{-1}(1))", R"(\boxed{\pi/4})", kYes},
  });
}

TEST(MathGraderTest, Expressions) {
  Check({
      {"x^2-1", R"(\boxed{(x-1)(x+1)})", kYes},
      {"x^2-1", R"(\boxed{(x-1)^2})", kNo},
      {"x^2+2x+1", R"(\boxed{(x+1)^{2}})", kYes},
      {"2x-3y+5", R"(\boxed{5-3y+2x})", kYes},
      {"a^2b", R"(\boxed{b a^2})", kYes},
      {"xy", "yx", kYes},
      {"x", "X", kNo},
      {"x", "y", kNo},
      {"5", "5x", kNo},
      {"5", "5xy", kNo},
      {R"(\frac{x+y}{xy})", R"(\boxed{\frac1x+\frac1y})", kYes},
      {R"(\frac{x^2-1}{x-1})", R"(\boxed{x+1})", kYes},
      {R"(\frac{x}{3})", R"(\boxed{0.33333333x})", kYes},
      {R"(|x|)", R"(\boxed{x})", kNo},
      {R"(\sqrt{x^2})", R"(\boxed{|x|})", kYes},
      {R"(\sqrt{x^4})", R"(\boxed{x^2})", kYes},
      {R"(\sqrt{x}\cdot\sqrt{x})", R"(\boxed{x})", kYes},
      {R"(\frac{1}{3\sqrt[3]{x}^2})", R"(\boxed{\frac{1}{3x^{2/3}}})", kYes},
      {R"(\sin^2 x + \cos^2 x)", "1", kYes},
      {R"(\sin 2x)", R"(\boxed{2\sin x\cos x})", kYes},
      {R"(2^{n+1})", R"(\boxed{2\cdot2^n})", kYes},
      {R"(2^{n+1})", R"(\boxed{2^n+1})", kNo},
      {R"(\frac{n(n+1)}{2})", R"(\boxed{\binom{n+1}{2}})", kNo},  // binomials of numbers only
      {R"(x_1+x_2)", R"(\boxed{x_2+x_1})", kYes},
      {R"(x_1)", R"(\boxed{x_2})", kNo},
      {R"(\alpha\beta)", R"(\boxed{βα})", kYes},
      {R"(\frac12 x^2 + C)", R"(\boxed{C+\frac{x^2}{2}})", kYes},
      {R"((x+y)^{20})", R"(\boxed{(y+x)^{20}})", kYes},
      {R"((x+y+z+w)^{60})", R"(\boxed{(w+z+y+x)^{60}})", kYes},  // too large to expand
      {R"((x+y+z+w)^{60})", R"(\boxed{(w+z+y+x)^{60}+1})", kNo},
      {"x + 5 > 7", R"(\boxed{x + 5 > 8})", kNo},
  });
}

TEST(MathGraderTest, TuplesSetsIntervalsLists) {
  Check({
      {"(1,2)", R"(\boxed{(1, 2)})", kYes},
      {"(1,2)", R"(\boxed{\left( 1,2 \right)})", kYes},
      {"(1,2)", R"(\boxed{(2,1)})", kNo},
      {"(1,2)", R"(\boxed{[1,2]})", kNo},
      {"(1,2)", R"(\boxed{1,2})", kNo},
      {"(1,2)", R"(\boxed{(1,2,3)})", kNo},
      {"(1,2)", R"(\boxed{\langle 1,2\rangle})", kYes},
      {"(1,234)", R"(\boxed{(1, 234)})", kYes},
      {R"((3, \frac{\pi}{2}))", R"(\boxed{(3, 0.5\pi)})", kYes},
      {"[0,1)", R"(\boxed{[0, 1)})", kYes},
      {"[0,1)", R"(\boxed{(0,1)})", kNo},
      {R"((\frac{3}{5},\frac{8}{3}])", R"(\boxed{(0.6,\frac83]})", kYes},
      {R"((-\infty,3))", R"(\boxed{(-∞, 3)})", kYes},
      {R"((-\infty,3))", R"(\boxed{(-5, 3)})", kNo},
      {R"((-\infty,1)\cup(2,\infty))", R"(\boxed{(2,\infty) \cup (-\infty,1)})", kYes},
      {R"((-\infty,1)\cup(2,\infty))", R"(\boxed{(-\infty,1) \text{ or } (2,\infty)})", kYes},
      {R"(\mathbb{R})", R"(\boxed{(-\infty,\infty)})", kYes},
      {R"(\infty)", "infinity", kYes},
      {R"(\infty)", R"(\boxed{-\infty})", kNo},
      {R"(\infty)", "5", kNo},
      {"1,2", R"(\boxed{2, 1})", kYes},
      {"1,2", R"(\boxed{1 \text{ and } 2})", kYes},
      {"1,2", R"(\boxed{1 or 2})", kYes},
      {"1,2", R"(\boxed{1})", kNo},
      {"1,1,2", R"(\boxed{1,2,2})", kNo},
      {"19, 46, and 82", R"(\boxed{19, 46, \text{ and } 82})", kYes},
      {"100,200,300", R"(\boxed{300, 200, 100})", kYes},
      {R"(\{1,2,3\})", R"(\boxed{\{3,1,2\}})", kYes},
      {R"(\{1,2,3\})", R"(\boxed{\{1,1,2,3\}})", kYes},
      {R"(\{1,2,3\})", "{3, 2, 1}", kYes},
      {R"(\{1,2\})", R"(\boxed{\{1,2,3\}})", kNo},
      {R"(\{5\})", "5", kYes},
      {R"(\{\sqrt{2}, 0.5\})", R"(\boxed{\left\{\frac12, \frac{2}{\sqrt2}\right\}})", kYes},
      {R"(\emptyset)", R"(\boxed{\{\}})", kYes},
      {R"(\emptyset)", R"(\boxed{0})", kNo},
      {"5", R"(\boxed{5 or 6})", kNo},
      {R"(\pm 2)", R"(\boxed{2, -2})", kYes},
      {R"(\pm 2)", R"(\boxed{2})", kNo},
      {R"(1\pm\sqrt{2})", R"(\boxed{1-\sqrt2, 1+\sqrt2})", kYes},
      {"3:4", R"(\boxed{3:4})", kYes},
      {"3:4", R"(\boxed{\frac34})", kYes},
      {"3:4", R"(\boxed{6:8})", kNo},
      {"12:00", "1:00", kNo},
  });
}

TEST(MathGraderTest, EquationsAndInequalities) {
  Check({
      {"5", R"(\boxed{x = 5})", kYes},
      {"x = 5", "5", kYes},
      {"x = 5", R"(\boxed{5 = x})", kYes},
      {"x = 5", R"(\boxed{x = 6})", kNo},
      {"x = 5", R"(\boxed{y = 5})", kNo},
      {"4", R"(\boxed{2 + 2 = 4})", kYes},
      {"5", R"(\boxed{x = 2 + 3 = 5})", kYes},
      {R"(\frac97)", R"(\boxed{\frac97 \approx 1.29})", kYes},
      {R"(\frac97)", R"(\boxed{x = \frac97 ≈ 1.29})", kYes},
      {R"(\frac97)", R"(\boxed{1.29 \approx \frac97})", kNo},
      {"1.29", R"(\boxed{x \approx 1.29})", kYes},
      {"2x+1", R"(\boxed{f(x) = 2x+1})", kYes},
      {"y = 2x+3", R"(\boxed{2x - y + 3 = 0})", kYes},
      {"y = 2x+3", R"(\boxed{2x - y - 3 = 0})", kNo},
      {"34x+45y-20z+100=0", R"(\boxed{-34x-45y+20z-100=0})", kYes},
      {"x^2+y^2=4", R"(\boxed{2x^2+2y^2=8})", kYes},
      {"x^2+y^2=4", "4", kNo},
      {"y = \\sin x", R"(\boxed{y = \cos(\frac{\pi}{2}-x)})", kYes},
      {"x > 5", R"(\boxed{(5, \infty)})", kYes},
      {R"((5,\infty))", R"(\boxed{x > 5})", kYes},
      {"x > 5", R"(\boxed{5 < x})", kYes},
      {"x > 5", R"(\boxed{x \ge 5})", kNo},
      {"x > 5", R"(\boxed{x < 5})", kNo},
      {R"(1 < x \le 2)", R"(\boxed{(1,2]})", kYes},
      {R"(1 < x \le 2)", R"(\boxed{2 \geq x > 1})", kYes},
      {R"(x \in [-2,7])", R"(\boxed{[-2,7]})", kYes},
      {R"(x \neq 1)", R"(\boxed{(-\infty,1)\cup(1,\infty)})", kYes},
      {"2x + y > 4", R"(\boxed{8 < 2y + 4x})", kYes},
      {"2x + y > 4", R"(\boxed{-2x - y > -4})", kNo},
      {"x = 1, x = 2", R"(\boxed{2, 1})", kYes},
      {"1, 2", R"(\boxed{x = 1 \text{ or } x = 2})", kYes},
      {"x = 1, y = 2", R"(\boxed{y = 2, x = 1})", kYes},
      {"x = 1, y = 2", R"(\boxed{y = 1, x = 2})", kNo},
      {"x = 1, y = 2", R"(\boxed{2, 1})", kNo},
      {"(1, 2)", R"(\boxed{x = 1, y = 2})", kYes},
      {"(1, 2)", R"(\boxed{(x, y) = (1, 2)})", kYes},
      {R"(x = \pm 3)", R"(\boxed{x = 3 \text{ or } x = -3})", kYes},
  });
}

TEST(MathGraderTest, Matrices) {
  Check({
      {R"(\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix})",
       R"(\boxed{\begin{bmatrix}1&2\\3&\frac{8}{2}\end{bmatrix}})", kYes},
      {R"(\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix})",
       R"(\boxed{\begin{pmatrix}1&3\\2&4\end{pmatrix}})", kNo},
      {R"(\begin{pmatrix} 1 \\ 2 \end{pmatrix})", R"(\boxed{\begin{pmatrix}1&2\end{pmatrix}})",
       kNo},
      {R"(\begin{pmatrix} 1 \\ 2 \end{pmatrix})",
       R"(\boxed{\frac12 \begin{pmatrix}2\\4\end{pmatrix}})", kYes},
      {R"(\begin{pmatrix} -1 & x \end{pmatrix})", R"(\boxed{-\begin{array}{cc}1&-x\end{array}})",
       kYes},
      {R"(\begin{pmatrix} 1 & 2 \end{pmatrix})", R"(\boxed{(1,2)})", kNo},
      {"5", R"(\boxed{\begin{pmatrix} 1 & 2 \\ 3 \end{pmatrix}})", kNo},
  });
}

TEST(MathGraderTest, UnitsAndWords) {
  Check({
      {"12", "#### 12 apples", kYes},
      {"12 apples", "12", kYes},
      {"12 men", "12", kYes},
      {R"(12\text{ cm}^2)", "12", kYes},
      {"12", R"(\boxed{12 \text{ square units}})", kYes},
      {"12", R"(\boxed{12\ \mathrm{m/s^2}})", kYes},
      {"12", R"(\boxed{12 km/h})", kYes},
      {"12", R"(\boxed{12 m})", kYes},
      {"12", R"(\boxed{12 dollars per hour})", kYes},
      {"90", R"(\boxed{90^\circ})", kYes},
      {"90^{\\circ}", "90°", kYes},
      {"25", R"(\boxed{25^\circ\text{C}})", kYes},
      {"18", R"(\boxed{\$18})", kYes},
      {"18", R"(\boxed{\text{18}})", kYes},
      {"5", R"(\boxed{5 is not the answer})", kNo},
      {"5", R"(\boxed{not 5})", kNo},
      {"5", R"(\boxed{5 a b c d e f})", kNo},
      {"3:40 pm", "3:40 PM", kYes},
      {"3:40 pm", "3:40 am", kNo},
      {R"(\text{Monday})", R"(\boxed{monday})", kYes},
      {R"(\text{Monday})", R"(\boxed{\text{Tuesday}})", kNo},
      {"yes", "The answer is **Yes**.", kYes},
      {"even", R"(\boxed{odd})", kNo},
      {"odd", R"(\boxed{\text{odd}})", kYes},
      {"no solution", R"(\boxed{\text{No solution}})", kYes},
      {"5", "Monday", kNo},
      {"1011_2", R"(\boxed{1011_2})", kYes},
      {"1011_2", R"(\boxed{1011})", kYes},
      {"1011_2", R"(\boxed{1011_{\text{two}}})", kYes},
      {"1011_2", R"(\boxed{1011_3})", kNo},
      {"1011_2", R"(\boxed{11})", kNo},  // the same number, not what was asked for
      {"1111", R"(\boxed{1111_2})", kYes},
  });
}

TEST(MathGraderTest, Choices) {
  Check({
      {"A", R"(\boxed{A})", kYes},
      {"(A)", R"(\boxed{A})", kYes},
      {"A", R"(\boxed{\text{(A)}})", kYes},
      {"A", R"(\boxed{\textbf{(A)}\ 12})", kYes},
      {R"(\text{C})", "The answer is (C).", kYes},
      {"B", "The answer is (B) because it is red.", kYes},
      {"B", "Answer: b", kYes},
      {"B", "B. Paris", kYes},
      {"B", R"(\boxed{C})", kNo},
      {"e", R"(\boxed{E})", kNo},
      {"(e)", R"(\boxed{E})", kYes},
      {"B", R"(\boxed{A or B})", kNo},
      {"B", R"(\boxed{AB})", kNo},
      {"B", "Because", kNo},
  });
}

TEST(MathGraderTest, BrokenReferences) {
  Check({
      {"", "5", kNone},
      {"$$", "5", kNone},
      {R"(\frac{1}{)", "5", kNone},
      {R"(\frac{1}{)", R"(Answer: \frac{1}{)", kYes},  // the same text is the same answer
      {R"(F_n = \sum_{k=0}^{n} F_k)", R"(\boxed{2^n})", kNone},
      {R"(F_n = \sum_{k=0}^{n} F_k)", R"(\boxed{F_n=\sum_{k=0}^{n}F_k})", kYes},
      {R"(\{x \mid x > 0\})", R"(\boxed{\{x\mid x>0\}})", kYes},
      {"5 ? 6", "5", kNone},
      {R"(A \rightarrow B)", R"(\boxed{A \leftarrow B})", kNone},
      {R"(A \rightarrow B)", R"(\boxed{A\rightarrow B})", kYes},
      {"The solution is long. So \\boxed{5}.", "5", kYes},  // a worked solution as reference
      {"She sells 9 eggs.\n#### 18", "#### 18", kYes},
  });
}

TEST(MathGraderTest, HostileAnswersCostLittle) {
  const auto repeated = [](const std::string& what, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += what;
    return text;
  };
  const std::vector<std::string> answers = {
      "9^{9^{9}}",
      "9^9^9^9^9^9",
      "1e999999999",
      "1e99999999999999999999",
      "99999!",
      "(x+y+z+w+v+u)^{99}",
      "(\\sqrt{2}+\\sqrt{3}+\\sqrt{5}+\\sqrt{7})^{999}",
      "\\binom{999999999}{499999999}",
      "\\sqrt[999999]{2}",
      "2^{0.000001}",
      repeated("(", 700),
      repeated("{", 700),
      repeated("\\frac", 300),
      repeated("\\sqrt", 300),
      repeated("\\text{", 200),
      repeated("-", 1501) + "5",
      repeated("5^", 600) + "5",
      repeated("|", 900),
      repeated("1,", 900) + "1",
      repeated("\\pm1", 400),
      repeated("x!", 500),
      repeated("%", 500),
      repeated("1/", 900) + "1",
      repeated("9", 1900),
      "\\begin{pmatrix}" + repeated("&", 500),
      std::string("\\boxed{\0\xff\xfe}", 11),
  };
  for (const std::string& answer : answers) {
    for (const char* reference : {"5", "x^2+1", "(1,2)", "\\{1,2,3\\}", "y=2x"}) {
      const Grade boxed = GradeMath(reference, "\\boxed{" + answer + "}");
      EXPECT_NE(boxed.verdict, kYes) << answer.substr(0, 40);
      const Grade turned = GradeMath(answer, reference);
      EXPECT_NE(turned.verdict, kYes) << answer.substr(0, 40);
    }
  }
  EXPECT_EQ(GradeMath("9^{9^9}", R"(\boxed{10^{10^{10}}})").verdict, kNone);
  EXPECT_EQ(GradeMath("9^{9^9}", R"(\boxed{9^{9^9}})").verdict, kYes);
  EXPECT_EQ(GradeMath("5", R"(\boxed{9^{9^9}})").verdict, kNo);
}

}  // namespace
}  // namespace lorikeet
