#include "kernels/heads.h"

#include "kernels/kernel_for_test.h"
#include "kernels/reference.h"

namespace lorikeet {
namespace {

constexpr float kEps = 1e-6F;
constexpr int64_t kT = 4, kK = 2, kG = 3, kH = kK * kG;
constexpr int64_t kHeadDims[] = {2, 6, 14, 16, 18, 32, 34, 64, 130};

// A projection's rows of kT tokens with all that a split may need; R rotary pairs.
struct Split {
  int64_t Dh, R;
  TestTensor in, out, cos, sin;
  HeadNorm norm;
  HeadRope rope;
  TestTensor w, xhat, rstd;

  Split(DType dtype, int64_t dim, int64_t pairs, int64_t T = kT)
      : Dh(dim),
        R(pairs),
        in(TestTensor::Random(DType::kF32, {T, kH * dim}, "in")),
        out(dtype, {kK, T, kG, dim}),
        cos(DType::kF32, {T, pairs}),
        sin(DType::kF32, {T, pairs}),
        w(TestTensor::Random(DType::kF32, {dim}, "w")),
        xhat(dtype, {T, kH * dim}),
        rstd(DType::kF32, {T, kH}) {
    for (int64_t i = 0; i < T * pairs; ++i) {
      cos.Set(i, std::cos(0.3F * static_cast<float>(i)));
      sin.Set(i, std::sin(0.3F * static_cast<float>(i)));
    }
    norm = {w, kEps, xhat, rstd};
    rope = {cos, sin};
  }
  // Offset of head h of token t in the split layout.
  int64_t At(int64_t t, int64_t h) const {
    const int64_t T = in.tensor().rows();
    return ((h / kG * T + t) * kG + h % kG) * Dh;
  }
  template <class T>
  std::vector<T> Reference(int64_t t, std::vector<T> x, const std::vector<T>& weight, bool normed,
                           bool turned) const {
    if (normed && !norm.after_rope) x = reference::RmsNorm(x, weight, kEps);
    if (turned) x = reference::Rotate(x, cos.RowValues(t), sin.RowValues(t));
    if (normed && norm.after_rope) x = reference::RmsNorm(x, weight, kEps);
    return x;
  }
};

// Test(normed, turned, split) over dtypes, head dimensions (whole and partial rotation), and parts.
template <class Test>
void ForEachSplit(const Test& test) {
  ForEachTarget([&] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t Dh : kHeadDims) {
        for (const int64_t R : {Dh / 2, (Dh + 2) / 4}) {
          for (int parts = 0; parts < 5; ++parts) {  // 4: both, the norm last
            SCOPED_TRACE(testing::Message()
                         << DTypeName(dtype) << " Dh " << Dh << " R " << R << " parts " << parts);
            Split split(dtype, Dh, R);
            split.norm.after_rope = parts == 4;
            test(parts != 0 && parts != 2, parts >= 2, split);
          }
        }
      }
    }
  });
}

TEST(Heads, ForwardIsTheFormula) {
  ForEachSplit([](bool normed, bool turned, const Split& s) {
    SplitHeadsForward(s.in, normed ? &s.norm : nullptr, turned ? &s.rope : nullptr, s.out.tensor());
    for (int64_t t = 0; t < kT; ++t) {
      for (int64_t h = 0; h < kH; ++h) {
        const auto expected =
            s.Reference(t, s.in.Values((t * kH + h) * s.Dh, s.Dh), s.w.Values(), normed, turned);
        EXPECT_LT(RelativeError(s.out.Values(s.At(t, h), s.Dh), expected),
                  Tolerance(s.out.dtype()));
      }
    }
  });
}

TEST(Heads, BackwardIsTheComplexStep) {
  ForEachSplit([](bool normed, bool turned, const Split& s) {
    if (s.Dh > 34) return;
    const HeadNorm* norm = normed ? &s.norm : nullptr;
    const HeadRope* rope = turned ? &s.rope : nullptr;
    SplitHeadsForward(s.in, norm, rope, s.out.tensor());
    const TestTensor dout = TestTensor::Random(DType::kF32, {kK, kT, kG, s.Dh}, "dout");
    const TestTensor din(s.out.dtype(), {kT, kH * s.Dh}), dw(DType::kF32, {s.Dh});
    SplitHeadsBackward(dout, norm, rope, din, normed ? dw.tensor() : Tensor());
    std::vector<double> expected_dw(static_cast<size_t>(s.Dh));
    using Z = std::vector<std::complex<double>>;
    const auto w = s.w.Values();
    for (int64_t t = 0; t < kT; ++t) {
      for (int64_t h = 0; h < kH; ++h) {
        const auto x = s.in.Values((t * kH + h) * s.Dh, s.Dh);
        const auto d = dout.Values(s.At(t, h), s.Dh);
        const auto loss = [&](const Z& z, const Z& weight) {
          const Z y = s.Reference(t, z, weight, normed, turned);
          std::complex<double> sum = 0;
          for (int64_t i = 0; i < s.Dh; ++i) sum += y[i] * d[i];
          return sum;
        };
        const auto dx =
            reference::ComplexStep(x, [&](const Z& z) { return loss(z, Z(w.begin(), w.end())); });
        // Two elements of a normed pair determine each other: the gradient nearly cancels, so the
        // error is compared with the terms that it is the sum of.
        double scale = 0;
        for (int64_t i = 0; i < s.Dh; ++i) scale = std::max(scale, std::abs(d[i]));
        if (normed) scale *= 2.0 * s.rstd.Get(t * kH + h);
        for (int64_t i = 0; i < s.Dh; ++i) {
          EXPECT_NEAR(din.Get((t * kH + h) * s.Dh + i), dx[i],
                      2.0 * scale * Tolerance(s.out.dtype()));
        }
        if (!normed) continue;
        const auto row =
            reference::ComplexStep(w, [&](const Z& z) { return loss(Z(x.begin(), x.end()), z); });
        for (int64_t i = 0; i < s.Dh; ++i) expected_dw[i] += row[i];
      }
    }
    if (normed) {
      EXPECT_LT(RelativeError(dw.Values(), expected_dw), Tolerance(s.out.dtype()));
    }
  });
}

// In f32 exactly the norm of a weight that is one larger; in bf16 x * rstd is not rounded before.
TEST(Heads, ANormOfOnePlusTheWeight) {
  ForEachSplit([](bool normed, bool turned, const Split& s) {
    if (!normed) return;
    const HeadRope* rope = turned ? &s.rope : nullptr;
    const TestTensor larger = s.w.Copy(), dw(DType::kF32, {s.Dh}), dw_rms(DType::kF32, {s.Dh});
    for (int64_t i = 0; i < s.Dh; ++i) larger.Set(i, 1.0F + s.w.Get(i));
    HeadNorm plus = s.norm, rms = s.norm;
    plus.kind = NormKind::kRmsOnePlus;
    rms.w = larger;
    SplitHeadsForward(s.in, &plus, rope, s.out.tensor());
    const TestTensor out(s.out.dtype(), {kK, kT, kG, s.Dh});
    SplitHeadsForward(s.in, &rms, rope, out.tensor());
    const bool f32 = s.out.dtype() == DType::kF32;
    EXPECT_LT(RelativeError(s.out.Values(), out.Values()), f32 ? 1e-30 : 2e-2);
    if (!f32) {
      HeadNorm exact{larger, kEps, Tensor(), Tensor()};
      exact.after_rope = s.norm.after_rope;
      const TestTensor wide(DType::kF32, {kK, kT, kG, s.Dh});
      SplitHeadsForward(s.in, &exact, rope, wide.tensor());
      for (int64_t i = 0; i < wide.size(); ++i) {
        EXPECT_EQ(s.out.Get(i), ToFloat(ToBfloat16(wide.Get(i))));
      }
    }
    const TestTensor dout = TestTensor::Random(DType::kF32, {kK, kT, kG, s.Dh}, "dout");
    const TestTensor din(s.out.dtype(), {kT, kH * s.Dh}), din_rms = din.Copy();
    SplitHeadsBackward(dout, &plus, rope, din, dw);
    SplitHeadsBackward(dout, &rms, rope, din_rms, dw_rms);
    EXPECT_TRUE(SameBits(din, din_rms) && SameBits(dw, dw_rms));
  });
}

// A fused product [other|in|other]: the bits are those of a matrix of its own.
TEST(Heads, ColumnsOfAWiderMatrix) {
  ForEachSplit([](bool normed, bool turned, const Split& s) {
    const HeadNorm* norm = normed ? &s.norm : nullptr;
    const HeadRope* rope = turned ? &s.rope : nullptr;
    const int64_t before = 3, width = kH * s.Dh, all = before + width + 5;
    const TestTensor wide = TestTensor::Random(DType::kF32, {kT, all}, "wide");
    const TestTensor din_wide(s.out.dtype(), {kT, all}), din(s.out.dtype(), {kT, width});
    for (int64_t i = 0; i < din_wide.size(); ++i) din_wide.Set(i, 7.0F);
    for (int64_t i = 0; i < s.in.size(); ++i) {
      wide.Set(i / width * all + before + i % width, s.in.Get(i));
    }
    SplitHeadsForward(s.in, norm, rope, s.out.tensor());
    const TestTensor out(s.out.dtype(), {kK, kT, kG, s.Dh});
    SplitHeadsForward(Columns(wide, before, width), norm, rope, out.tensor());
    EXPECT_TRUE(SameBits(s.out, out));
    const TestTensor dout = TestTensor::Random(DType::kF32, {kK, kT, kG, s.Dh}, "dout");
    SplitHeadsBackward(dout, norm, rope, din, Tensor());
    SplitHeadsBackward(dout, norm, rope, Columns(din_wide, before, width), Tensor());
    for (int64_t i = 0; i < din_wide.size(); ++i) {
      const int64_t column = i % all - before;
      const bool inside = 0 <= column && column < width;
      ASSERT_EQ(din_wide.Get(i), inside ? din.Get(i / all * width + column) : 7.0F);
    }
  });
}

// Pairs of neighbours: the same rotation after the elements are sorted into halves.
TEST(Heads, InterleavedPairs) {
  ForEachSplit([](bool normed, bool turned, const Split& s) {
    if (!turned) return;
    const auto place = [&](int64_t i) {  // of element i of a head, sorted into halves
      return i >= 2 * s.R ? i : i % 2 * s.R + i / 2;
    };
    HeadRope neighbours = s.rope;
    neighbours.interleaved = true;
    HeadNorm norm = s.norm, sorted_norm = s.norm;
    const TestTensor w = s.w.Copy(), in = s.in.Copy(), out = s.out.Copy();
    for (int64_t i = 0; i < s.Dh; ++i) w.Set(place(i), s.w.Get(i));
    for (int64_t i = 0; i < in.size(); ++i) in.Set(i / s.Dh * s.Dh + place(i % s.Dh), s.in.Get(i));
    sorted_norm.w = w;
    // The norm sums a head in another order.
    const double tolerance = normed ? Tolerance(s.out.dtype()) : 1e-30;
    SplitHeadsForward(s.in, normed ? &norm : nullptr, &neighbours, s.out.tensor());
    SplitHeadsForward(in, normed ? &sorted_norm : nullptr, &s.rope, out.tensor());
    const auto sorted = [&](const TestTensor& t) {
      std::vector<double> values(static_cast<size_t>(t.size()));
      for (int64_t i = 0; i < t.size(); ++i) {
        values[static_cast<size_t>(i / s.Dh * s.Dh + place(i % s.Dh))] = t.Get(i);
      }
      return values;
    };
    EXPECT_LT(RelativeError(sorted(s.out), out.Values()), tolerance);
    if (normed) return;
    const TestTensor dout = TestTensor::Random(DType::kF32, {kK, kT, kG, s.Dh}, "dout");
    const TestTensor dsorted = dout.Copy(), din(s.out.dtype(), {kT, kH * s.Dh}), din2 = din.Copy();
    for (int64_t i = 0; i < dout.size(); ++i) {
      dsorted.Set(i / s.Dh * s.Dh + place(i % s.Dh), dout.Get(i));
    }
    SplitHeadsBackward(dout, nullptr, &neighbours, din, Tensor());
    SplitHeadsBackward(dsorted, nullptr, &s.rope, din2, Tensor());
    EXPECT_EQ(sorted(din), din2.Values());
  });
}

TEST(Heads, KeepingNothingChangesNoBit) {
  ForEachSplit([](bool normed, bool turned, const Split& s) {
    if (!normed) return;
    const HeadRope* rope = turned ? &s.rope : nullptr;
    SplitHeadsForward(s.in, &s.norm, rope, s.out.tensor());
    const TestTensor out(s.out.dtype(), {kK, kT, kG, s.Dh});
    HeadNorm bare{s.w, kEps, Tensor(), Tensor()};
    bare.after_rope = s.norm.after_rope;
    SplitHeadsForward(s.in, &bare, rope, out.tensor());
    EXPECT_TRUE(SameBits(s.out, out));
  });
}

TEST(Heads, ACacheTakesEachTokenAtItsRowWithTheSameBits) {
  ForEachTarget([] {
    const int64_t Dh = 34, S = 11;
    const Split s(DType::kBF16, Dh, Dh / 2);
    SplitHeadsForward(s.in, &s.norm, &s.rope, s.out.tensor());
    const TestTensor cache(DType::kBF16, {kK, S, kG, Dh});
    for (int64_t i = 0; i < cache.size(); ++i) cache.Set(i, 7.0F);
    const std::vector<int64_t> rows = {9, 3, 10, 0};
    SplitHeadsForward(s.in, &s.norm, &s.rope, HeadRows(cache, rows));
    int64_t untouched = 0;
    for (int64_t i = 0; i < cache.size(); ++i) untouched += cache.Get(i) == 7.0F ? 1 : 0;
    EXPECT_EQ(untouched, cache.size() - s.out.size());
    for (int64_t t = 0; t < kT; ++t) {
      for (int64_t h = 0; h < kH; ++h) {
        EXPECT_EQ(cache.Values(((h / kG * S + rows[t]) * kG + h % kG) * Dh, Dh),
                  s.out.Values(s.At(t, h), Dh));
      }
    }
  });
}

TEST(Heads, PaddingRowsStayUntouched) {
  const Split s(DType::kF32, 6, 3);
  const TestTensor space(DType::kF32, {kH, kT + 2, 6});  // kH kv heads, G = 1
  SplitHeadsForward(s.in, nullptr, nullptr, HeadRows(space, kT));
  for (int64_t h = 0; h < kH; ++h) {
    for (int64_t t = 0; t < kT + 2; ++t) {
      const auto expected = t < kT ? s.in.Values((t * kH + h) * 6, 6) : std::vector<double>(6, 0.0);
      EXPECT_EQ(space.Values((h * (kT + 2) + t) * 6, 6), expected);
    }
  }
}

TEST(Heads, MergeUndoesSplit) {
  ForEachTarget([] {
    for (const DType dtype : kComputeTypes) {
      for (const int64_t Dh : kHeadDims) {
        const Split s(dtype, Dh, 1);
        SplitHeadsForward(s.in, nullptr, nullptr, s.out.tensor());
        const TestTensor back(dtype, {kT, kH * Dh}), from_f32(dtype, {kT, kH * Dh});
        MergeHeads(s.out, back);
        const TestTensor wide(DType::kF32, {kK, kT, kG, Dh});
        for (int64_t i = 0; i < wide.size(); ++i) wide.Set(i, s.out.Get(i));
        MergeHeads(wide, from_f32);
        EXPECT_TRUE(SameBits(back, from_f32));
        for (int64_t i = 0; i < back.size(); ++i) {
          const float x = s.in.Get(i);
          ASSERT_EQ(back.Get(i), dtype == DType::kF32 ? x : ToFloat(ToBfloat16(x)));
        }
      }
    }
  });
}

TEST(Heads, ARowHasTheSameBitsInAnyBatchAndOnAnyThreads) {
  const int64_t T = 300, Dh = 34;
  const Split s(DType::kBF16, Dh, 17, T);
  SplitHeadsForward(s.in, &s.norm, &s.rope, s.out.tensor());
  for (const int64_t t : {0, 7, 299}) {
    const TestTensor one(DType::kBF16, {kK, 1, kG, Dh});
    const HeadNorm norm{s.w, kEps, Tensor(), Tensor()};
    const HeadRope rope{s.cos.tensor().Rows(t, t + 1), s.sin.tensor().Rows(t, t + 1)};
    SplitHeadsForward(s.in.tensor().Rows(t, t + 1), &norm, &rope, one.tensor());
    for (int64_t h = 0; h < kH; ++h) {
      EXPECT_EQ(one.Values(h * Dh, Dh), s.out.Values(s.At(t, h), Dh));
    }
  }
  const TestTensor dout = TestTensor::Random(DType::kF32, {kK, T, kG, Dh}, "dout");
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor din(DType::kBF16, {T, kH * Dh}), dw(DType::kF32, {Dh});
    SplitHeadsBackward(dout, &s.norm, &s.rope, din, dw);
    return dw;
  });
}

}  // namespace
}  // namespace lorikeet
