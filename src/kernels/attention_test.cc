#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/kernel_for_test.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {
namespace {

constexpr AttentionShape kShape{/*kv_heads=*/2, /*group=*/3, /*head_dim=*/16, /*scale=*/0.25F};
// 0: none; the others around blocks of 64 positions and a piece of 512 keys.
constexpr int64_t kWindows[] = {0, 1, 7, 63, 64, 65, 512};

AttentionShape WithWindow(int64_t window) {
  AttentionShape shape = kShape;
  shape.window = window;
  return shape;
}

// Scores go up to about 20: most are in the bend of the curve.
constexpr float kSoftcap = 4.0F;
AttentionShape Capped(AttentionShape shape) {
  shape.softcap = kSoftcap;
  return shape;
}

// A packed batch with random q, k, v and dout; lengths are those of its sequences.
struct Problem {
  std::vector<int64_t> begins;  // (S+1)
  int64_t T = 0;
  Buffer q, k, v, dout, out, lse, dq, dk, dv;
  std::vector<AttentionSequence> sequences;

  Problem(DType dtype, const std::vector<int64_t>& lengths, const AttentionShape& s = kShape) {
    begins = {0};
    for (const int64_t length : lengths) begins.push_back(begins.back() + length);
    T = begins.back();
    q = Buffer(dtype, {s.kv_heads, T, s.group, s.head_dim});
    k = Buffer(dtype, {s.kv_heads, T + kAttentionPadding, s.head_dim});
    v = Buffer(dtype, {s.kv_heads, T + kAttentionPadding, s.head_dim});
    dout = Buffer(DType::kF32, {T, s.kv_heads * s.group * s.head_dim});
    out = Buffer(dtype, {T, s.kv_heads * s.group * s.head_dim});
    lse = Buffer(DType::kF32, {s.kv_heads, T, s.group});
    dq = Buffer(DType::kF32, {s.kv_heads, T, s.group, s.head_dim});
    dk = Buffer(DType::kF32, {s.kv_heads, T, s.head_dim});
    dv = Buffer(DType::kF32, {s.kv_heads, T, s.head_dim});
    for (int64_t h = 0; h < s.kv_heads; ++h) {
      for (size_t i = 0; i + 1 < begins.size(); ++i) {
        for (int64_t t = begins[i]; t < begins[i + 1]; ++t) FillToken(s, h, i, t);
      }
    }
    for (size_t i = 0; i + 1 < begins.size(); ++i) {
      const int64_t n = begins[i + 1] - begins[i];
      sequences.push_back({begins[i], n, n, At(k, begins[i] * s.head_dim),
                           At(v, begins[i] * s.head_dim), (T + kAttentionPadding) * s.head_dim});
    }
  }

  static double Get(const Buffer& b, int64_t i) {
    return b.tensor().dtype == DType::kF32 ? b.tensor().as<float>()[i]
                                           : ToFloat(b.tensor().as<bfloat16>()[i]);
  }
  // Values depend on the sequence's length and the position in it, not on the place in the batch.
  void FillToken(const AttentionShape& s, int64_t h, size_t sequence, int64_t t) {
    const int64_t position = t - begins[sequence];
    const RandomStream r(static_cast<uint64_t>(begins[sequence + 1] - begins[sequence]),
                         "attention_test", "", static_cast<uint64_t>(position * s.kv_heads + h));
    uint64_t n = 0;
    const auto next = [&] { return static_cast<float>(4 * r.Uniform(n++) - 2); };
    for (int64_t i = 0; i < s.head_dim; ++i) {
      Put(k, (h * (T + kAttentionPadding) + t) * s.head_dim + i, next());
      Put(v, (h * (T + kAttentionPadding) + t) * s.head_dim + i, next());
    }
    for (int64_t i = 0; i < s.group * s.head_dim; ++i) {
      Put(q, (h * T + t) * s.group * s.head_dim + i, next());
      Put(dout, (t * s.kv_heads + h) * s.group * s.head_dim + i, next());
    }
  }
  void Forward(const AttentionShape& s = kShape) const {
    AttentionForward(s, q.tensor(), sequences, out.tensor(), lse.tensor());
  }
  void Backward(const AttentionShape& s = kShape) const {
    AttentionBackward(s, dout.tensor(), q.tensor(), sequences, lse.tensor(), dq.tensor(),
                      dk.tensor(), dv.tensor());
  }
};

// softmax(scale q k^T) v for one head of one sequence, q, k, v (n, Dh), as the definition says:
// query i sees key j if 0 <= i - j < window.
template <class T>
std::vector<T> Reference(const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& v,
                         int64_t n, int64_t Dh, const AttentionShape& shape) {
  const int64_t window = shape.window;
  std::vector<T> out(static_cast<size_t>(n * Dh));
  for (int64_t i = 0; i < n; ++i) {
    std::vector<T> p(static_cast<size_t>(i + 1));
    const int64_t first = window == 0 ? 0 : std::max<int64_t>(0, i - window + 1);
    double max = -INFINITY;
    for (int64_t j = first; j <= i; ++j) {
      T s = 0;
      for (int64_t d = 0; d < Dh; ++d) s += q[i * Dh + d] * k[j * Dh + d];
      s *= shape.scale;
      p[j] = shape.softcap == 0 ? s : std::tanh(s / T(shape.softcap)) * T(shape.softcap);
      max = std::max(max, std::real(p[j]));
    }
    T sum = 0;
    for (int64_t j = first; j <= i; ++j) sum += p[j] = std::exp(p[j] - max);
    for (int64_t j = first; j <= i; ++j) {
      for (int64_t d = 0; d < Dh; ++d) out[i * Dh + d] += p[j] / sum * v[j * Dh + d];
    }
  }
  return out;
}

using Complex = std::complex<double>;

// q, k, v of query head (h, g) of sequence s.
struct Head {
  std::vector<Complex> q, k, v;
  std::vector<double> dout;
  int64_t n;
};
Head HeadOf(const Problem& p, size_t s, int64_t h, int64_t g) {
  const int64_t Dh = kShape.head_dim, n = p.begins[s + 1] - p.begins[s];
  Head head{{}, {}, {}, {}, n};
  for (int64_t t = p.begins[s]; t < p.begins[s + 1]; ++t) {
    for (int64_t d = 0; d < Dh; ++d) {
      head.q.push_back(Problem::Get(p.q, ((h * p.T + t) * kShape.group + g) * Dh + d));
      head.k.push_back(Problem::Get(p.k, (h * (p.T + kAttentionPadding) + t) * Dh + d));
      head.v.push_back(Problem::Get(p.v, (h * (p.T + kAttentionPadding) + t) * Dh + d));
      head.dout.push_back(
          Problem::Get(p.dout, ((t * kShape.kv_heads + h) * kShape.group + g) * Dh + d));
    }
  }
  return head;
}

double AttentionTolerance(DType dtype) { return dtype == DType::kF32 ? 2e-5 : 3e-2; }

class AttentionTest : public ::testing::Test {
 protected:
  void TearDown() override { SetNumThreads(threads_); }
  int threads_ = NumThreads();
  std::vector<DType> dtypes_ = HasNativeBf16() ? std::vector<DType>{DType::kF32, DType::kBF16}
                                               : std::vector<DType>{DType::kF32};
};

// Compares a head's outputs with the definition.
void ExpectForward(const Problem& p, size_t s, int64_t h, int64_t g, const AttentionShape& shape) {
  const Head head = HeadOf(p, s, h, g);
  const std::vector<Complex> expected =
      Reference(head.q, head.k, head.v, head.n, kShape.head_dim, shape);
  for (int64_t t = 0; t < head.n; ++t) {
    for (int64_t d = 0; d < kShape.head_dim; ++d) {
      const int64_t at =
          (((p.begins[s] + t) * kShape.kv_heads + h) * kShape.group + g) * kShape.head_dim + d;
      ASSERT_NEAR(Problem::Get(p.out, at), expected[t * kShape.head_dim + d].real(),
                  AttentionTolerance(p.out.tensor().dtype))
          << "window " << shape.window << " token " << t << " of " << head.n;
    }
  }
}

TEST_F(AttentionTest, ForwardEqualsTheDefinition) {
  for (const DType dtype : dtypes_) {
    for (const int64_t window : kWindows) {
      const Problem p(dtype, {1, 63, 64, 65, 7, 600});
      const AttentionShape shape = WithWindow(window);
      p.Forward(shape);
      for (size_t s = 0; s + 1 < p.begins.size(); ++s) {
        for (int64_t h = 0; h < kShape.kv_heads; ++h) {
          for (int64_t g = 0; g < kShape.group; ++g) ExpectForward(p, s, h, g, shape);
        }
      }
    }
  }
}

// ||a - b|| / ||b||
double RelativeError(const std::vector<double>& a, const std::vector<double>& b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(error / norm);
}

// Gradient of sum(dout . out) by one element, by the complex step imag(f(x + i e)) / e, exact to
// rounding.
double ComplexStep(const Problem& p, size_t s, int64_t g, std::vector<Complex> Head::*which,
                   int64_t element, const AttentionShape& shape) {
  constexpr double kStep = 1e-30;
  Head head = HeadOf(p, s, 1, g);
  (head.*which)[element] += Complex(0, kStep);
  const std::vector<Complex> out =
      Reference(head.q, head.k, head.v, head.n, kShape.head_dim, shape);
  double sum = 0;
  for (size_t i = 0; i < out.size(); ++i) sum += head.dout[i] * out[i].imag() / kStep;
  return sum;
}

// Compares gradients of some elements of dq, dk and dv in every sequence.
void ExpectBackward(const Problem& p, const AttentionShape& shape) {
  const int64_t window = shape.window;
  const int64_t Dh = kShape.head_dim;
  std::vector<double> got[3], expected[3];  // dq, dk, dv
  for (size_t s = 0; s + 1 < p.begins.size(); ++s) {
    const int64_t n = p.begins[s + 1] - p.begins[s];
    for (const int64_t t : {int64_t{0}, n / 2, n - 1}) {
      for (const int64_t d : {int64_t{0}, Dh - 1}) {
        const int64_t row = p.T + p.begins[s] + t, at = t * Dh + d;
        double dk = 0, dv = 0;
        for (int64_t g = 0; g < kShape.group; ++g) {
          got[0].push_back(p.dq.tensor().as<float>()[(row * kShape.group + g) * Dh + d]);
          expected[0].push_back(ComplexStep(p, s, g, &Head::q, at, shape));
          dk += ComplexStep(p, s, g, &Head::k, at, shape);
          dv += ComplexStep(p, s, g, &Head::v, at, shape);
        }
        got[1].push_back(p.dk.tensor().as<float>()[row * Dh + d]);
        expected[1].push_back(dk);
        got[2].push_back(p.dv.tensor().as<float>()[row * Dh + d]);
        expected[2].push_back(dv);
      }
    }
  }
  const bool f32 = p.out.tensor().dtype == DType::kF32;
  for (int i = 0; i < 3; ++i) {
    if (window == 1 && i < 2) {  // one key: its probability is 1 whatever the score
      for (const double x : got[i]) EXPECT_NEAR(x, 0, f32 ? 1e-6 : 1e-2);
      continue;
    }
    EXPECT_LT(RelativeError(got[i], expected[i]), f32 ? 1e-6 : 1e-2) << i << " window " << window;
  }
}

TEST_F(AttentionTest, BackwardEqualsTheComplexStep) {
  for (const DType dtype : dtypes_) {
    for (const int64_t window : kWindows) {
      if (window == 512 && dtype != DType::kF32) continue;  // slow
      const int64_t longest = window == 512 ? 580 : window == 0 ? 70 : 140;
      const Problem p(dtype, {5, longest});
      p.Forward(WithWindow(window));
      p.Backward(WithWindow(window));
      ExpectBackward(p, WithWindow(window));
    }
  }
}

TEST_F(AttentionTest, CappedScoresEqualTheDefinition) {
  for (const DType dtype : dtypes_) {
    for (const int64_t window : {0, 7, 65}) {
      const AttentionShape shape = Capped(WithWindow(window));
      const Problem p(dtype, {5, 140});
      p.Forward(shape);
      for (int64_t h = 0; h < kShape.kv_heads; ++h) ExpectForward(p, 1, h, 2, shape);
      p.Backward(shape);
      ExpectBackward(p, shape);
    }
  }
}

bool SameBits(const void* a, const void* b, int64_t bytes) {
  return std::memcmp(a, b, static_cast<size_t>(bytes)) == 0;
}

TEST_F(AttentionTest, PackedEqualsOneByOneBitForBit) {
  std::vector<AttentionShape> shapes = {Capped(kShape)};
  for (const int64_t window : kWindows) shapes.push_back(WithWindow(window));
  for (const DType dtype : dtypes_) {
    for (const AttentionShape& shape : shapes) {
      const std::vector<int64_t> lengths = {3, 130, 1, 64, 577, 90};
      const Problem packed(dtype, lengths);
      packed.Forward(shape);
      packed.Backward(shape);
      for (size_t s = 0; s < lengths.size(); ++s) {
        const Problem alone(dtype, {lengths[s]});
        alone.Forward(shape);
        alone.Backward(shape);
        const int64_t width = kShape.kv_heads * kShape.group * kShape.head_dim;
        EXPECT_TRUE(SameBits(At(packed.out, packed.begins[s] * width), alone.out.tensor().data,
                             alone.out.tensor().bytes()))
            << DTypeName(dtype) << " " << s;
        for (int64_t h = 0; h < kShape.kv_heads; ++h) {
          const int64_t row = kShape.head_dim, n = lengths[s];
          const int64_t at = (h * packed.T + packed.begins[s]) * row;
          EXPECT_TRUE(SameBits(At(packed.dk, at), At(alone.dk, h * n * row), n * row * 4))
              << DTypeName(dtype) << " " << s;
          EXPECT_TRUE(SameBits(At(packed.dv, at), At(alone.dv, h * n * row), n * row * 4))
              << DTypeName(dtype) << " " << s;
          EXPECT_TRUE(SameBits(At(packed.dq, at * kShape.group),
                               At(alone.dq, h * n * row * kShape.group),
                               n * row * kShape.group * 4));
        }
      }
    }
  }
}

// Prefill of some tokens, then one by one, from a cache of a larger capacity.
void ExpectCachedAsWhole(DType dtype, int64_t n, const AttentionShape& s) {
  const Problem whole(dtype, {n});
  whole.Forward(s);
  for (int64_t at = 0, step = n / 2; at < n; at += step, step = 1) {
    const Buffer q(dtype, {s.kv_heads, step, s.group, s.head_dim});
    const Buffer out(dtype, {step, s.kv_heads * s.group * s.head_dim});
    for (int64_t h = 0; h < s.kv_heads; ++h) {
      const int64_t row = s.group * s.head_dim;
      std::memcpy(At(q, h * step * row), At(whole.q, (h * n + at) * row),
                  static_cast<size_t>(DTypeBytes(dtype, step * row)));
    }
    AttentionSequence cached = whole.sequences[0];
    cached.q_len = step;
    cached.kv_len = at + step;
    AttentionForward(s, q.tensor(), {&cached, 1}, out.tensor(), Tensor());
    ASSERT_TRUE(
        SameBits(out.tensor().data, At(whole.out, at * out.tensor().cols()), out.tensor().bytes()))
        << DTypeName(dtype) << " at " << at << " window " << s.window;
  }
}

TEST_F(AttentionTest, CachedEqualsWholeBitForBit) {
  for (const DType dtype : dtypes_) {
    for (const int64_t window : kWindows) {
      ExpectCachedAsWhole(dtype, window == 512 ? 700 : 200, WithWindow(window));
    }
    ExpectCachedAsWhole(dtype, 600, Capped(kShape));
  }
}

TEST_F(AttentionTest, ThreadsDoNotChangeBits) {
  for (const DType dtype : dtypes_) {
    for (const AttentionShape& shape : {kShape, WithWindow(65), Capped(kShape)}) {
      SetNumThreads(1);
      const Problem one(dtype, {300, 20, 700});
      one.Forward(shape);
      one.Backward(shape);
      for (const int threads : {2, 3}) {
        SetNumThreads(threads);
        const Problem many(dtype, {300, 20, 700});
        many.Forward(shape);
        many.Backward(shape);
        for (const auto& [a, b] : {std::pair(&one.out, &many.out),
                                   {&one.dq, &many.dq},
                                   {&one.dk, &many.dk},
                                   {&one.dv, &many.dv}}) {
          EXPECT_TRUE(SameBits(a->tensor().data, b->tensor().data, a->tensor().bytes()));
        }
      }
    }
  }
}

// A window as long as the sequence hides nothing, and changes no bit.
TEST_F(AttentionTest, AWindowOfTheWholeSequenceIsNone) {
  for (const DType dtype : dtypes_) {
    const Problem none(dtype, {300, 64}), whole(dtype, {300, 64});
    none.Forward();
    none.Backward();
    whole.Forward(WithWindow(300));
    whole.Backward(WithWindow(300));
    for (const auto& [a, b] : {std::pair(&none.out, &whole.out), {&none.dk, &whole.dk}}) {
      EXPECT_TRUE(SameBits(a->tensor().data, b->tensor().data, a->tensor().bytes()));
    }
  }
}

TEST(AttentionPairsTest, CountsWhatTheWindowLeaves) {
  for (const int64_t window : kWindows) {
    for (const int64_t begin : {0, 1, 6, 64, 600}) {
      int64_t pairs = 0;
      for (int64_t end = begin; end < begin + 200; ++end) {
        ASSERT_EQ(AttentionPairs(begin, end, window), pairs) << begin << " " << end;
        pairs += window == 0 ? end + 1 : std::min(end + 1, window);
      }
    }
  }
}

// With a window of 512 a block's scratch memory does not grow with the sequence.
TEST(AttentionScratchTest, ShrinksWithTheWindow) {
  const auto bytes = [](int64_t length, int64_t window) {
    return AttentionScratchBytes(WithWindow(window), DType::kF32, length, length, 8);
  };
  // What grows are the partial sums of dk and dv, 2 kv heads in 4 shares.
  EXPECT_EQ(bytes(16384, 512) - bytes(8192, 512), 2 * 4 * 2 * 8192 * 16 * 4);
  EXPECT_LT(bytes(8192, 512), bytes(8192, 0));
  EXPECT_EQ(bytes(300, 512), bytes(300, 0));
}

}  // namespace
}  // namespace lorikeet
