#include "kernels/cast.h"

#include <algorithm>
#include <cstring>

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cast.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

#ifndef LORIKEET_KERNELS_CAST_CC_ONCE_
#define LORIKEET_KERNELS_CAST_CC_ONCE_
namespace lorikeet {
namespace {
constexpr int64_t kBlockRows = 32, kBlockCols = 256;
// Rows [r, r + rows) and columns [c, c + cols) of a matrix, at most kBlockRows by kBlockCols.
struct Block {
  int64_t r, c, rows, cols;
};
}  // namespace
}  // namespace lorikeet
#endif

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

template <class To>
void ConvertTo(const Tensor& from, To* to, int64_t begin, int64_t n) {
  if (from.dtype == DType::kF32) {
    ConvertRow(from.as<float>() + begin, n, to + begin);
  } else if (from.dtype == DType::kBF16) {
    ConvertRow(from.as<bfloat16>() + begin, n, to + begin);
  } else {
    ConvertRow(from.as<float16>() + begin, n, to + begin);
  }
}
void ConvertRange(const Tensor& from, const Tensor& to, int64_t begin, int64_t n) {
  if (to.dtype == DType::kF32) {
    ConvertTo(from, to.as<float>(), begin, n);
  } else {
    ConvertTo(from, to.as<bfloat16>(), begin, n);
  }
}

void AddRange(float* dst, const float* src, int64_t n) {
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    lanes.Store(hn::Add(lanes.Load(dst + i), lanes.Load(src + i)), dst + i);
  });
}

void ScaleRange(float* x, float factor, int64_t n) {
  const Vec scale = Set(factor);
  ForVectors(n, [=](auto lanes, int64_t i)
                    HWY_ATTR { lanes.Store(hn::Mul(lanes.Load(x + i), scale), x + i); });
}

// Columns [begin, begin + n): 64 rows into a line of their own, the lines one after the other.
template <class T>
void SumColumnsOf(const T* x, int64_t rows, int64_t cols, int64_t begin, int64_t n, float* sums) {
  constexpr int64_t kBlock = 512, kRows = 64;
  HWY_ALIGN float line[kBlock];
  for (int64_t c = begin; c < begin + n; c += kBlock) {
    const int64_t width = HWY_MIN(kBlock, begin + n - c);
    for (int64_t first = 0; first < rows; first += kRows) {
      std::fill_n(line, width, 0.0F);
      for (int64_t r = first; r < HWY_MIN(rows, first + kRows); ++r) {
        const T* row = x + r * cols + c;
        ForVectors(width, [&](auto lanes, int64_t i) HWY_ATTR {
          lanes.Store(hn::Add(lanes.Load(line + i), lanes.Load(row + i)), line + i);
        });
      }
      AddRange(sums + c, line, width);
    }
  }
}
void SumColumns(const Tensor& x, int64_t begin, int64_t n, float* sums) {
  if (x.dtype == DType::kF32) {
    SumColumnsOf(x.as<float>(), x.rows(), x.cols(), begin, n, sums);
  } else {
    SumColumnsOf(x.as<bfloat16>(), x.rows(), x.cols(), begin, n, sums);
  }
}

// One register-sized square, by the perfect shuffle: interleaving row i with row i + half rotates
// the bits of every element's (row, column) by one; as many rounds as a row has bits swap the two.
#if HWY_TARGET == HWY_SCALAR  // has nothing to interleave
template <class C>
void TransposeSquare(const C* in, int64_t in_stride, C* out, int64_t out_stride) {
  constexpr int64_t kSquare = 16 / sizeof(C);
  for (int64_t i = 0; i < kSquare * kSquare; ++i) {
    out[i % kSquare * out_stride + i / kSquare] = in[i / kSquare * in_stride + i % kSquare];
  }
}
#else
void TransposeSquare(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  const hn::CappedTag<float, 4> d;
  const auto a0 = hn::LoadU(d, in), a1 = hn::LoadU(d, in + in_stride);
  const auto a2 = hn::LoadU(d, in + 2 * in_stride), a3 = hn::LoadU(d, in + 3 * in_stride);
  const auto b0 = hn::InterleaveLower(d, a0, a2), b1 = hn::InterleaveUpper(d, a0, a2);
  const auto b2 = hn::InterleaveLower(d, a1, a3), b3 = hn::InterleaveUpper(d, a1, a3);
  hn::StoreU(hn::InterleaveLower(d, b0, b2), d, out);
  hn::StoreU(hn::InterleaveUpper(d, b0, b2), d, out + out_stride);
  hn::StoreU(hn::InterleaveLower(d, b1, b3), d, out + 2 * out_stride);
  hn::StoreU(hn::InterleaveUpper(d, b1, b3), d, out + 3 * out_stride);
}
void TransposeSquare(const bfloat16* in, int64_t in_stride, bfloat16* out, int64_t out_stride) {
  const hn::CappedTag<uint16_t, 8> d;
  hn::Vec<decltype(d)> a[8], b[8];
  const auto shuffle = [&](const auto* from, auto* to) HWY_ATTR {
    for (int i = 0; i < 4; ++i) {
      to[2 * i] = hn::InterleaveLower(d, from[i], from[i + 4]);
      to[2 * i + 1] = hn::InterleaveUpper(d, from[i], from[i + 4]);
    }
  };
  for (int i = 0; i < 8; ++i) {
    a[i] = hn::LoadU(d, reinterpret_cast<const uint16_t*>(in + i * in_stride));
  }
  shuffle(a, b);
  shuffle(b, a);
  shuffle(a, b);
  for (int i = 0; i < 8; ++i) {
    hn::StoreU(b[i], d, reinterpret_cast<uint16_t*>(out + i * out_stride));
  }
}

#endif

template <class C>
void TransposeBlock(const C* in, int64_t in_stride, int64_t rows, int64_t cols, C* out,
                    int64_t out_stride) {
  constexpr int64_t kSquare = 16 / sizeof(C);
  const int64_t whole_rows = rows - rows % kSquare, whole_cols = cols - cols % kSquare;
  for (int64_t c = 0; c < whole_cols; c += kSquare) {
    for (int64_t r = 0; r < whole_rows; r += kSquare) {
      TransposeSquare(in + r * in_stride + c, in_stride, out + c * out_stride + r, out_stride);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = r < whole_rows ? whole_cols : 0; c < cols; ++c) {
      out[c * out_stride + r] = in[r * in_stride + c];
    }
  }
}

template <class C>
void TransposeOf(const Tensor& in, const Tensor& out, const Block& b) {
  TransposeBlock(in.as<C>() + b.r * in.cols() + b.c, in.cols(), b.rows, b.cols,
                 out.as<C>() + b.c * out.cols() + b.r, out.cols());
}
void TransposeBlockOf(const Tensor& in, const Tensor& out, const Block& b) {
  const auto transpose = in.dtype == DType::kF32 ? TransposeOf<float> : TransposeOf<bfloat16>;
  transpose(in, out, b);
}

// Writes the rows of the block to `out` (to scratch memory if it is empty) and, while they are in
// the cache, from there to out_t.
template <class C>
void ScaleCastOf(const Tensor& in, float scale, const Tensor& out, const Tensor& out_t,
                 const Block& b) {
  HWY_ALIGN C scratch[kBlockRows * kBlockCols];
  const int64_t N = in.cols(), stride = out ? N : b.cols;
  C* rows = out ? out.as<C>() + b.r * N + b.c : scratch;
  const Vec factor = Set(scale);
  for (int64_t r = 0; r < b.rows; ++r) {
    const float* from = in.as<float>() + (b.r + r) * N + b.c;
    C* to = rows + r * stride;
    ForVectors(b.cols, [=](auto lanes, int64_t i) HWY_ATTR {
      lanes.Store(hn::Mul(lanes.Load(from + i), factor), to + i);
    });
  }
  if (!out_t) return;
  TransposeBlock(rows, stride, b.rows, b.cols, out_t.as<C>() + b.c * out_t.cols() + b.r,
                 out_t.cols());
}
void ScaleCastBlock(const Tensor& in, float scale, const Tensor& out, const Tensor& out_t,
                    const Block& b) {
  const DType dtype = out ? out.dtype : out_t.dtype;
  const auto cast = dtype == DType::kF32 ? ScaleCastOf<float> : ScaleCastOf<bfloat16>;
  cast(in, scale, out, out_t, b);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(ConvertRange);
HWY_EXPORT(AddRange);
HWY_EXPORT(ScaleRange);
HWY_EXPORT(SumColumns);
HWY_EXPORT(TransposeBlockOf);
HWY_EXPORT(ScaleCastBlock);

// Rare (export only), so without vectors.
void ConvertF16(const Tensor& from, float16* to, int64_t begin, int64_t n) {
  for (int64_t i = begin; i < begin + n; ++i) {
    to[i] = from.dtype == DType::kF32    ? ToFloat16(from.as<float>()[i])
            : from.dtype == DType::kBF16 ? ToFloat16(ToFloat(from.as<bfloat16>()[i]))
                                         : from.as<float16>()[i];
  }
}

// fn(block) over blocks whose columns, once transposed, fill whole cache lines.
template <class Fn>
void OverBlocks(int64_t rows, int64_t cols, const Fn& fn) {
  const int64_t across = (cols + kBlockCols - 1) / kBlockCols,
                down = (rows + kBlockRows - 1) / kBlockRows;
  ParallelRanges(across * down, 2, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i / across * kBlockRows, c = i % across * kBlockCols;
      fn(Block{r, c, std::min(kBlockRows, rows - r), std::min(kBlockCols, cols - c)});
    }
  });
}
}  // namespace

void Zero(const Tensor& x) {
  const Kernel here(
      [&] {
        return KernelCall{"Zero", "", {"{}", {x.size()}}, 0, BytesOf(x)};
      },
      [&] { return Replay([=](const Relocate& at) { Zero(at(x)); }); });
  if (here.dry()) return;
  if (x.size() > 0) std::memset(x.data, 0, static_cast<size_t>(x.bytes()));
}

void Convert(const Tensor& from, const Tensor& to) {
  const Kernel here(
      [&] {
        return KernelCall{
            "Convert", "casts", {"{} x {}", {from.rows(), from.cols()}}, 0, BytesOf(from, to)};
      },
      [&] { return Replay([=](const Relocate& at) { Convert(at(from), at(to)); }); });
  CHECK(from.size() == to.size());
  CHECK(IsCompute(from) || from.dtype == DType::kF16);
  CHECK(IsCompute(to) || to.dtype == DType::kF16);
  if (here.dry()) return;
  ParallelElements(from.size(), [&](int64_t begin, int64_t n) {
    if (IsCompute(to)) {
      HWY_DYNAMIC_DISPATCH(ConvertRange)(from, to, begin, n);
    } else {
      ConvertF16(from, to.as<float16>(), begin, n);
    }
  });
}

void Transpose(const Tensor& in, const Tensor& out) {
  const Kernel here(
      [&] {
        return KernelCall{
            "Transpose", "", {"{} x {}", {in.rows(), in.cols()}}, 0, BytesOf(in, out)};
      },
      [&] { return Replay([=](const Relocate& at) { Transpose(at(in), at(out)); }); });
  CHECK(in.rank == 2 && out.rank == 2 && in.rows() == out.cols() && in.cols() == out.rows());
  CHECK(IsCompute(in) && in.dtype == out.dtype);
  if (here.dry()) return;
  OverBlocks(in.rows(), in.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(TransposeBlockOf)(in, out, block);
  });
}

void ScaleCastTranspose(const Tensor& in, float scale, const Tensor& out, const Tensor& out_t) {
  const Kernel here(
      [&] {
        return KernelCall{"ScaleCastTranspose",
                          "low-rank casts",
                          {"{} x {}", {in.rows(), in.cols()}},
                          in.size(),
                          BytesOf(in, out, out_t)};
      },
      [&] {
        return Replay(
            [=](const Relocate& at) { ScaleCastTranspose(at(in), scale, at(out), at(out_t)); });
      });
  CHECK(in.rank == 2 && in.dtype == DType::kF32);
  CHECK(!out || (SameShape(in, out) && IsCompute(out)));
  CHECK(!out_t || (out_t.rank == 2 && out_t.rows() == in.cols() && out_t.cols() == in.rows()));
  CHECK(!out_t || (IsCompute(out_t) && (!out || out.dtype == out_t.dtype)));
  if (here.dry() || (!out && !out_t)) return;
  OverBlocks(in.rows(), in.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(ScaleCastBlock)(in, scale, out, out_t, block);
  });
}

void AddBias(const Tensor& y, const Tensor& bias) {
  const Kernel here(
      [&] {
        return KernelCall{
            "AddBias", "", {"{} x {}", {y.rows(), y.cols()}}, y.size(), BytesOf(y, y, bias)};
      },
      [&] { return Replay([=](const Relocate& at) { AddBias(at(y), at(bias)); }); });
  CHECK(y.rank == 2 && bias.size() == y.cols());
  if (here.dry()) return;
  float* rows = y.as<float>();
  const float* b = bias.as<float>();
  const int64_t N = y.cols();
  ParallelRanges(y.rows(), RowGrain(N), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) HWY_DYNAMIC_DISPATCH(AddRange)(rows + t * N, b, N);
  });
}

void AddInto(const Tensor& dst, const Tensor& src) {
  const Kernel here(
      [&] {
        return KernelCall{"AddInto", "", {"{}", {dst.size()}}, dst.size(), BytesOf(dst, dst, src)};
      },
      [&] { return Replay([=](const Relocate& at) { AddInto(at(dst), at(src)); }); });
  CHECK(dst.size() == src.size());
  if (here.dry()) return;
  float* to = dst.as<float>();
  const float* from = src.as<float>();
  ParallelElements(dst.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(AddRange)(to + begin, from + begin, n);
  });
}

void Scale(const Tensor& x, float factor) {
  const Kernel here(
      [&] {
        return KernelCall{"Scale", "", {"{}", {x.size()}}, x.size(), BytesOf(x, x)};
      },
      [&] { return Replay([=](const Relocate& at) { Scale(at(x), factor); }); });
  if (here.dry()) return;
  float* data = x.as<float>();
  ParallelElements(x.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(ScaleRange)(data + begin, factor, n);
  });
}

void ColumnSums(const Tensor& x, const Tensor& sums) {
  const Kernel here(
      [&] {
        return KernelCall{
            "ColumnSums", "", {"{} x {}", {x.rows(), x.cols()}}, x.size(), BytesOf(x, sums, sums)};
      },
      [&] { return Replay([=](const Relocate& at) { ColumnSums(at(x), at(sums)); }); });
  CHECK(x.rank == 2 && sums.size() == x.cols() && IsCompute(x));
  if (here.dry()) return;
  float* to = sums.as<float>();
  ParallelColumns(x.cols(), x.rows(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(SumColumns)(x, begin, n, to);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
