// The elementwise and reduction kernels at the sizes of SmolLM2-135M: they are bound by memory, so
// read bytes_per_second against the line of BM_Copy. ns/el is wall time per element of the op.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/adamw.h"
#include "kernels/cast.h"
#include "kernels/cross_entropy.h"
#include "kernels/embedding.h"
#include "kernels/heads.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"

namespace lorikeet {
namespace {

constexpr int64_t kT = 2048, kD = 576, kF = 1536, kV = 49152, kH = 9, kK = 3, kDh = 64, kR = 16;
constexpr int64_t kRows = 256;  // of logits
constexpr DType kF32 = DType::kF32, kBF16 = DType::kBF16;

// Every value of a page differs; pages repeat.
Buffer Filled(DType dtype, std::initializer_list<int64_t> shape) {
  Buffer buffer(dtype, shape);
  const Tensor& t = buffer.tensor();
  const RandomStream random(1, "bench");
  std::vector<float> page(4096);
  for (size_t i = 0; i < page.size(); ++i) page[i] = static_cast<float>(random.Uniform(i)) - 0.5F;
  for (int64_t i = 0; i < t.size(); ++i) {
    if (dtype == kF32) {
      t.as<float>()[i] = page[i % 4096];
    } else {
      t.as<bfloat16>()[i] = ToBfloat16(page[i % 4096]);
    }
  }
  return buffer;
}

DType Compute(const benchmark::State& state) { return state.range(0) == 0 ? kF32 : kBF16; }
int64_t Width(DType dtype) { return DTypeBytes(dtype, 1); }

// Elements of the op and bytes that it must read or write for each.
void Report(benchmark::State& state, int64_t elements, double bytes_per_element) {
  const double total = static_cast<double>(elements) * static_cast<double>(state.iterations());
  state.SetBytesProcessed(static_cast<int64_t>(total * bytes_per_element));
  state.counters["ns/el"] =
      benchmark::Counter(total * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void BM_Copy(benchmark::State& state) {
  const Buffer from = Filled(kF32, {kT, kF}), to = Filled(kF32, {kT, kF});
  for (auto _ : state) {
    ParallelRanges(kT, 1, [&](int64_t begin, int64_t end) {
      std::memcpy(to.tensor().as<float>() + begin * kF, from.tensor().as<float>() + begin * kF,
                  static_cast<size_t>((end - begin) * kF) * 4);
    });
  }
  Report(state, kT * kF, 8);
}

void BM_RmsNormForward(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer x = Filled(kF32, {kT, kD}), w = Filled(kF32, {kD}), xhat = Filled(c, {kT, kD});
  const Buffer y = Filled(c, {kT, kD}), rstd = Filled(kF32, {kT});
  for (auto _ : state) {
    RmsNormForward(x.tensor(), w.tensor(), 1e-5F, xhat.tensor(), y.tensor(), rstd.tensor());
  }
  Report(state, kT * kD, 4.0 + 2.0 * Width(c));
}

void BM_RmsNormBackward(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer dy = Filled(kF32, {kT, kD}), w = Filled(kF32, {kD}), xhat = Filled(c, {kT, kD});
  const Buffer dx = Filled(kF32, {kT, kD}), rstd = Filled(kF32, {kT}), dw = Filled(kF32, {kD});
  const Tensor weight = state.range(1) != 0 ? dw.tensor() : Tensor();
  for (auto _ : state) {
    RmsNormBackward(dy.tensor(), xhat.tensor(), w.tensor(), rstd.tensor(), dx.tensor(), weight);
  }
  Report(state, kT * kD, 12.0 + Width(c));
}

void BM_SwigluForward(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer gate = Filled(kF32, {kT, kF}), up = Filled(kF32, {kT, kF});
  const Buffer g = Filled(c, {kT, kF}), u = Filled(c, {kT, kF}), h = Filled(c, {kT, kF});
  for (auto _ : state) {
    SwigluForward(gate.tensor(), up.tensor(), g.tensor(), u.tensor(), h.tensor());
  }
  Report(state, kT * kF, 8.0 + 3.0 * Width(c));
}

void BM_SwigluBackward(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer dh = Filled(kF32, {kT, kF}), g = Filled(c, {kT, kF}), u = Filled(c, {kT, kF});
  const Buffer dg = Filled(c, {kT, kF}), du = Filled(c, {kT, kF}), h = Filled(c, {kT, kF});
  for (auto _ : state) {
    SwigluBackward(dh.tensor(), g.tensor(), u.tensor(), dg.tensor(), du.tensor(), h.tensor());
  }
  Report(state, kT * kF, 4.0 + 5.0 * Width(c));
}

void BM_SplitHeads(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer in = Filled(kF32, {kT, kH * kDh}), out = Filled(c, {kK, kT, kH / kK, kDh});
  const Buffer cos = Filled(kF32, {kT, kDh / 2}), sin = Filled(kF32, {kT, kDh / 2});
  const Buffer w = Filled(kF32, {kDh}), xhat = Filled(c, {kT, kH * kDh});
  const Buffer rstd = Filled(kF32, {kT, kH});
  const HeadNorm norm{w.tensor(), 1e-6F, xhat.tensor(), rstd.tensor()};
  const HeadRope rope{cos.tensor(), sin.tensor()};
  const HeadNorm* with_norm = state.range(1) != 0 ? &norm : nullptr;
  for (auto _ : state) SplitHeadsForward(in.tensor(), with_norm, &rope, out.tensor());
  Report(state, kT * kH * kDh, 4.0 + Width(c) * (state.range(1) != 0 ? 2.0 : 1.0));
}

void BM_SplitHeadsBackward(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer dout = Filled(kF32, {kK, kT, kH / kK, kDh}), din = Filled(c, {kT, kH * kDh});
  const Buffer cos = Filled(kF32, {kT, kDh / 2}), sin = Filled(kF32, {kT, kDh / 2});
  const HeadRope rope{cos.tensor(), sin.tensor()};
  for (auto _ : state) {
    SplitHeadsBackward(dout.tensor(), nullptr, &rope, din.tensor(), Tensor());
  }
  Report(state, kT * kH * kDh, 4.0 + Width(c));
}

void BM_MergeHeads(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer in = Filled(kF32, {kK, kT, kH / kK, kDh}), out = Filled(c, {kT, kH * kDh});
  for (auto _ : state) MergeHeads(in.tensor(), out.tensor());
  Report(state, kT * kH * kDh, 4.0 + Width(c));
}

void BM_RopeFill(benchmark::State& state) {
  const RopeTable table(kDh, 1e4, {});
  const Buffer cos = Filled(kF32, {kT, kDh / 2}), sin = Filled(kF32, {kT, kDh / 2});
  std::vector<int32_t> positions(kT);
  for (int32_t t = 0; t < kT; ++t) positions[t] = t;
  for (auto _ : state) table.FillCosSin(positions, cos.tensor(), sin.tensor());
  Report(state, kT * kDh / 2, 8.0);
}

struct Logits {
  Buffer logits = Filled(kF32, {kRows, kV}), logprob = Filled(kF32, {kRows});
  Buffer lse = Filled(kF32, {kRows}), g = Filled(kF32, {kRows});
  std::vector<int32_t> targets = std::vector<int32_t>(kRows, 17);
};

void BM_TargetLogprobs(benchmark::State& state) {
  const Logits l;
  for (auto _ : state) {
    TargetLogprobs(l.logits.tensor(), l.targets, l.logprob.tensor(), l.lse.tensor());
  }
  Report(state, kRows * kV, 4.0);
}

void BM_LogprobBackward(benchmark::State& state) {
  const DType c = Compute(state);
  const Logits l;
  const Buffer d = Filled(c, {kRows, kV});
  TargetLogprobs(l.logits.tensor(), l.targets, l.logprob.tensor(), l.lse.tensor());
  for (auto _ : state) {
    LogprobBackward(l.logits.tensor(), l.targets, l.lse.tensor(), l.g.tensor(), d.tensor());
  }
  Report(state, kRows * kV, 4.0 + Width(c));
}

void BM_RowEntropy(benchmark::State& state) {
  const Logits l;
  for (auto _ : state) RowEntropy(l.logits.tensor(), l.lse.tensor(), l.logprob.tensor());
  Report(state, kRows * kV, 4.0);
}

void BM_RowArgmax(benchmark::State& state) {
  const Logits l;
  std::vector<int32_t> index(kRows);
  for (auto _ : state) RowArgmax(l.logits.tensor(), index);
  Report(state, kRows * kV, 4.0);
}

void BM_EmbeddingForward(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer table = Filled(c, {kV, kD}), residual = Filled(kF32, {kT, kD});
  std::vector<int32_t> tokens(kT);
  const RandomStream random(1, "tokens");
  for (int64_t t = 0; t < kT; ++t) tokens[t] = static_cast<int32_t>(random.Below(t, kV));
  for (auto _ : state) EmbeddingForward(tokens, table.tensor(), residual.tensor());
  Report(state, kT * kD, 4.0 + Width(c));
}

void BM_EmbeddingBackward(benchmark::State& state) {
  const Buffer dtable = Filled(kF32, {kV, kD}), d = Filled(kF32, {kT, kD});
  std::vector<int32_t> tokens(kT);
  const RandomStream random(1, "tokens");
  for (int64_t t = 0; t < kT; ++t) tokens[t] = static_cast<int32_t>(random.Below(t, kV));
  for (auto _ : state) EmbeddingBackward(tokens, d.tensor(), dtable.tensor());
  Report(state, kT * kD, 12.0);
}

void BM_Convert(benchmark::State& state) {
  const Buffer from = Filled(kF32, {kT, kF}), to = Filled(kBF16, {kT, kF});
  for (auto _ : state) Convert(from.tensor(), to.tensor());
  Report(state, kT * kF, 6.0);
}

void BM_Transpose(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer in = Filled(c, {kT, kF}), out = Filled(c, {kF, kT});
  for (auto _ : state) Transpose(in.tensor(), out.tensor());
  Report(state, kT * kF, 2.0 * Width(c));
}

void BM_ScaleCastTranspose(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer in = Filled(kF32, {kT, kR}), out = Filled(c, {kT, kR}), out_t = Filled(c, {kR, kT});
  for (auto _ : state) ScaleCastTranspose(in.tensor(), 2.0F, out.tensor(), out_t.tensor());
  Report(state, kT * kR, 4.0 + 2.0 * Width(c));
}

void BM_AddInto(benchmark::State& state) {
  const Buffer dst = Filled(kF32, {kT, kD}), src = Filled(kF32, {kT, kD});
  for (auto _ : state) AddInto(dst.tensor(), src.tensor());
  Report(state, kT * kD, 12.0);
}

void BM_ColumnSums(benchmark::State& state) {
  const DType c = Compute(state);
  const Buffer x = Filled(c, {kT, kF}), sums = Filled(kF32, {kF});
  for (auto _ : state) ColumnSums(x.tensor(), sums.tensor());
  Report(state, kT * kF, static_cast<double>(Width(c)));
}

void BM_AdamW(benchmark::State& state) {
  const Buffer p = Filled(kF32, {kT, kF}), g = Filled(kF32, {kT, kF}), m = Filled(kF32, {kT, kF});
  const Buffer v(kF32, {kT, kF}), copy = Filled(kBF16, {kT, kF});
  for (auto _ : state) {
    AdamWUpdate(p.tensor(), g.tensor(), m.tensor(), v.tensor(), {.learning_rate = 1e-6},
                copy.tensor());
  }
  Report(state, kT * kF, 30.0);
}

void BM_SumOfSquares(benchmark::State& state) {
  const Buffer x = Filled(kF32, {kT, kF});
  for (auto _ : state) benchmark::DoNotOptimize(SumOfSquares(x.tensor()));
  Report(state, kT * kF, 4.0);
}

void BM_AllFinite(benchmark::State& state) {
  const Buffer x = Filled(kF32, {kT, kF});
  for (auto _ : state) benchmark::DoNotOptimize(AllFinite(x.tensor()));
  Report(state, kT * kF, 4.0);
}

// First argument: 0 = f32, 1 = bf16. Second: with dw, or with the norm of the head.
BENCHMARK(BM_Copy)->UseRealTime();
BENCHMARK(BM_RmsNormForward)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_RmsNormBackward)->ArgsProduct({{0, 1}, {0, 1}})->UseRealTime();
BENCHMARK(BM_SwigluForward)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_SwigluBackward)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_SplitHeads)->ArgsProduct({{0, 1}, {0, 1}})->UseRealTime();
BENCHMARK(BM_SplitHeadsBackward)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_MergeHeads)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_RopeFill)->UseRealTime();
BENCHMARK(BM_TargetLogprobs)->UseRealTime();
BENCHMARK(BM_LogprobBackward)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_RowEntropy)->UseRealTime();
BENCHMARK(BM_RowArgmax)->UseRealTime();
BENCHMARK(BM_EmbeddingForward)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_EmbeddingBackward)->UseRealTime();
BENCHMARK(BM_Convert)->UseRealTime();
BENCHMARK(BM_Transpose)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_ScaleCastTranspose)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_AddInto)->UseRealTime();
BENCHMARK(BM_ColumnSums)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(BM_AdamW)->UseRealTime();
BENCHMARK(BM_SumOfSquares)->UseRealTime();
BENCHMARK(BM_AllFinite)->UseRealTime();

}  // namespace
}  // namespace lorikeet

BENCHMARK_MAIN();
