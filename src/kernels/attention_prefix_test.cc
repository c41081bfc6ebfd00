// Sequences behind one prefix against the same sequences laid out whole: the forward by memcmp, the
// gradients summed over the copies of the prefix.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/attention.h"
#include "kernels/kernel_for_test.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {
namespace {

constexpr AttentionShape kShape{/*kv_heads=*/2, /*group=*/3, /*head_dim=*/16, /*scale=*/0.25F};
// 0: none; the others around blocks of 64 positions and a piece of 512 keys.
constexpr int64_t kWindows[] = {0, 1, 63, 65, 512};
constexpr int64_t kWidth = kShape.kv_heads * kShape.group * kShape.head_dim;

// A prefix (0: none) and the lengths of what follows it.
struct Family {
  int64_t prefix;
  std::vector<int64_t> own;
};

// Identifies a row independently of its place in the batch; `member` is -1 in a prefix.
struct RowName {
  int64_t family, member, position;
  auto operator<=>(const RowName&) const = default;
};

// The families in one batch, each prefix once or before every member.
struct Layout {
  std::vector<RowName> rows;
  std::vector<AttentionSequence> sequences;  // k and v not yet set
  Buffer q, k, v, dout, out, lse, dq, dk, dv;
  AttentionShape shape = kShape;

  Layout(DType dtype, const std::vector<Family>& families, bool shared, int64_t window) {
    shape.window = window;
    for (size_t f = 0; f < families.size(); ++f) Add(static_cast<int64_t>(f), families[f], shared);
    Allocate(dtype);
    for (int64_t t = 0; t < T(); ++t) Fill(t, families, shared);
  }
  int64_t T() const { return static_cast<int64_t>(rows.size()); }

  void Add(int64_t family, const Family& f, bool shared) {
    const auto add_rows = [&](int64_t member, int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) rows.push_back({family, member, p});
    };
    const auto prefix = static_cast<int64_t>(sequences.size());
    const bool apart = shared && f.prefix > 0;
    if (apart) {
      sequences.push_back({.q_begin = T(), .q_len = f.prefix, .kv_len = f.prefix});
      add_rows(-1, 0, f.prefix);
    }
    for (size_t m = 0; m < f.own.size(); ++m) {
      const int64_t all = f.prefix + f.own[m];
      sequences.push_back({.q_begin = T(),
                           .q_len = apart ? f.own[m] : all,
                           .kv_len = all,
                           .prefix = apart ? prefix : -1});
      if (!apart) add_rows(-1, 0, f.prefix);
      add_rows(static_cast<int64_t>(m), f.prefix, all);
    }
  }
  void Allocate(DType dtype) {
    const AttentionShape& s = kShape;
    q = Buffer(dtype, {s.kv_heads, T(), s.group, s.head_dim});
    k = Buffer(dtype, {s.kv_heads, T() + kAttentionPadding, s.head_dim});
    v = Buffer(dtype, {s.kv_heads, T() + kAttentionPadding, s.head_dim});
    dout = Buffer(DType::kF32, {T(), kWidth});
    out = Buffer(dtype, {T(), kWidth});
    lse = Buffer(DType::kF32, {s.kv_heads, T(), s.group});
    dq = Buffer(DType::kF32, {s.kv_heads, T(), s.group, s.head_dim});
    dk = Buffer(DType::kF32, {s.kv_heads, T(), s.head_dim});
    dv = Buffer(DType::kF32, {s.kv_heads, T(), s.head_dim});
    for (Tensor t : {dq.tensor(), dk.tensor(), dv.tensor()}) {  // written, not added to
      std::fill(t.as<float>(), t.as<float>() + t.size(), 1e6F);
    }
    for (AttentionSequence& sequence : sequences) {
      sequence.k = At(k, sequence.q_begin * s.head_dim);
      sequence.v = At(v, sequence.q_begin * s.head_dim);
      sequence.head_stride = (T() + kAttentionPadding) * s.head_dim;
    }
  }
  // By the row's name. A prefix that lies once gets what its copies get together from above; halves
  // of powers of two, so that rounding it to bf16 does not tell them apart.
  void Fill(int64_t t, const std::vector<Family>& families, bool shared) {
    const RowName& row = rows[static_cast<size_t>(t)];
    const auto copies = static_cast<float>(families[static_cast<size_t>(row.family)].own.size());
    const float times = shared && row.member < 0 ? copies : 1.0F;
    for (int64_t h = 0; h < kShape.kv_heads; ++h) {
      const RandomStream random(static_cast<uint64_t>(row.family), "attention_prefix_test",
                                std::to_string(row.member),
                                static_cast<uint64_t>(row.position * kShape.kv_heads + h));
      uint64_t n = 0;
      const auto next = [&] { return static_cast<float>(4 * random.Uniform(n++) - 2); };
      for (int64_t i = 0; i < kShape.head_dim; ++i) {
        Put(k, (h * (T() + kAttentionPadding) + t) * kShape.head_dim + i, next());
        Put(v, (h * (T() + kAttentionPadding) + t) * kShape.head_dim + i, next());
      }
      for (int64_t i = 0; i < kShape.group * kShape.head_dim; ++i) {
        Put(q, (h * T() + t) * kShape.group * kShape.head_dim + i, next());
        Put(dout, (t * kShape.kv_heads + h) * kShape.group * kShape.head_dim + i,
            times * ToFloat(ToBfloat16(next())));
      }
    }
  }
  void Run() const {
    AttentionForward(shape, q.tensor(), sequences, out.tensor(), lse.tensor());
    AttentionBackward(shape, dout.tensor(), q.tensor(), sequences, lse.tensor(), dq.tensor(),
                      dk.tensor(), dv.tensor());
  }
};

// (K, T, ...) f32 by row name, copies added.
std::map<RowName, std::vector<double>> ByName(const Layout& layout, const Buffer& gradient) {
  const int64_t width = gradient.tensor().size() / (kShape.kv_heads * layout.T());
  std::map<RowName, std::vector<double>> sums;
  for (int64_t t = 0; t < layout.T(); ++t) {
    std::vector<double>& sum = sums[layout.rows[static_cast<size_t>(t)]];
    sum.resize(static_cast<size_t>(kShape.kv_heads * width));
    for (int64_t h = 0; h < kShape.kv_heads; ++h) {
      for (int64_t i = 0; i < width; ++i) {
        sum[static_cast<size_t>(h * width + i)] +=
            gradient.tensor().as<float>()[(h * layout.T() + t) * width + i];
      }
    }
  }
  return sums;
}

// Largest ||a - b|| / ||b|| of a row.
double LargestError(const std::map<RowName, std::vector<double>>& a,
                    const std::map<RowName, std::vector<double>>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (const auto& [name, expected] : b) {
    double error = 0, norm = 1e-20;
    for (size_t i = 0; i < expected.size(); ++i) {
      error += std::pow(a.at(name)[i] - expected[i], 2);
      norm += std::pow(expected[i], 2);
    }
    largest = std::max(largest, std::sqrt(error / norm));
  }
  return largest;
}

class AttentionPrefixTest : public ::testing::Test {
 protected:
  void TearDown() override { SetNumThreads(threads_); }
  int threads_ = NumThreads();
  std::vector<DType> dtypes_ = HasNativeBf16() ? std::vector<DType>{DType::kF32, DType::kBF16}
                                               : std::vector<DType>{DType::kF32};
  // Prefixes around blocks and pieces of keys; sequences without one between them; members enough
  // for several shares; own rows over several blocks and pieces.
  const std::vector<Family> families_ = {
      {1, {1, 40}},   {63, {2, 1}},        {0, {70}},         {64, {5, 66}},
      {65, {1, 128}}, {127, {33, 33, 33}}, {200, {32, 8, 1}}, {511, {2, 70}},
      {512, {3, 64}}, {513, {600, 1}},     {0, {1, 300}},     {300, std::vector<int64_t>(20, 31)},
      {20, {520, 90}}};
};

// Compares every row of the outputs with the same row of whole sequences.
void ExpectForwardBits(const Layout& shared, const Layout& whole) {
  const DType dtype = whole.out.tensor().dtype;
  std::map<RowName, int64_t> at;
  for (int64_t t = 0; t < shared.T(); ++t) at[shared.rows[static_cast<size_t>(t)]] = t;
  for (int64_t t = 0; t < whole.T(); ++t) {
    const RowName& name = whole.rows[static_cast<size_t>(t)];
    const int64_t s = at.at(name);
    ASSERT_EQ(std::memcmp(At(whole.out, t * kWidth), At(shared.out, s * kWidth),
                          static_cast<size_t>(DTypeBytes(dtype, kWidth))),
              0)
        << DTypeName(dtype) << " window " << whole.shape.window << " family " << name.family
        << " position " << name.position;
    for (int64_t h = 0; h < kShape.kv_heads; ++h) {
      ASSERT_EQ(std::memcmp(At(whole.lse, (h * whole.T() + t) * kShape.group),
                            At(shared.lse, (h * shared.T() + s) * kShape.group),
                            static_cast<size_t>(kShape.group) * 4),
                0);
    }
  }
}

TEST_F(AttentionPrefixTest, ForwardHasTheBitsOfWholeSequences) {
  for (const DType dtype : dtypes_) {
    for (const int64_t window : kWindows) {
      const Layout whole(dtype, families_, false, window), shared(dtype, families_, true, window);
      whole.Run();
      shared.Run();
      ExpectForwardBits(shared, whole);
    }
  }
}

TEST_F(AttentionPrefixTest, GradientsAreThoseOfWholeSequencesSummed) {
  for (const DType dtype : dtypes_) {
    for (const int64_t window : kWindows) {
      const Layout whole(dtype, families_, false, window), shared(dtype, families_, true, window);
      whole.Run();
      shared.Run();
      const double tolerance = dtype == DType::kF32 ? 3e-6 : 2e-2;
      // With one key a probability is 1 whatever the score: dq and dk are 0.
      if (window != 1) {
        EXPECT_LT(LargestError(ByName(shared, shared.dq), ByName(whole, whole.dq)), tolerance);
        EXPECT_LT(LargestError(ByName(shared, shared.dk), ByName(whole, whole.dk)), tolerance);
      }
      EXPECT_LT(LargestError(ByName(shared, shared.dv), ByName(whole, whole.dv)), tolerance);
    }
  }
}

TEST_F(AttentionPrefixTest, ThreadsDoNotChangeBits) {
  for (const DType dtype : dtypes_) {
    for (const int64_t window : {0, 65}) {
      SetNumThreads(1);
      const Layout one(dtype, families_, true, window);
      one.Run();
      for (const int threads : {2, 3}) {
        SetNumThreads(threads);
        const Layout many(dtype, families_, true, window);
        many.Run();
        for (const auto& [a, b] : {std::pair(&one.out, &many.out),
                                   {&one.dq, &many.dq},
                                   {&one.dk, &many.dk},
                                   {&one.dv, &many.dv}}) {
          EXPECT_EQ(std::memcmp(a->tensor().data, b->tensor().data,
                                static_cast<size_t>(a->tensor().bytes())),
                    0)
              << DTypeName(dtype) << " " << threads;
        }
      }
    }
  }
}

}  // namespace
}  // namespace lorikeet
