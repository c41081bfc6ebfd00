// Google Benchmark over single kernels at the shapes of SmolLM2-135M: those of a training step, the
// cases of `lorikeet bench kernels`, and those that no part of a step's profile times. The latter
// are bound by memory: read bytes_per_second against the line of Copy.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>
#include <numeric>

#include "core/parallel.h"
#include "kernels/adamw.h"
#include "kernels/cast.h"
#include "kernels/cross_entropy.h"
#include "kernels/heads.h"
#include "kernels/rope.h"
#include "plan/kernel_bench.h"
#include "plan/machine_probe.h"

namespace lorikeet {
namespace {

constexpr int64_t kTokens = 2048, kLength = 512, kRank = 16, kLogitRows = 256;
constexpr DType kF32 = DType::kF32;

void Register(const std::string& name, const SizedKernel& call) {
  const auto run = [call](benchmark::State& state) {
    const Relocate memory(call.replay);
    for (auto _ : state) call.replay(memory);
    const auto rounds = static_cast<double>(state.iterations());
    state.SetBytesProcessed(static_cast<int64_t>(rounds * call.bytes));
    state.counters["FLOP/s"] = benchmark::Counter(rounds * call.flops, benchmark::Counter::kIsRate);
  };
  const std::string full_name = name + "/" + call.kernel + "/" + call.shape;
  benchmark::RegisterBenchmark(full_name.c_str(), run)->UseRealTime();
}

void RegisterStep(DType compute) {
  TrainingShape shape;
  shape.lora_r = kRank;
  shape.compute = compute;
  shape.tokens_per_microbatch = kTokens;
  shape.sequence_length = kLength;
  for (const KernelCase& item : KernelCases(SmolLm2Shapes(), shape, kTokens)) {
    Register(std::string(DTypeName(compute)) + "/" + item.step.part + "/" + item.step.Name(),
             item.step.call);
  }
}

// The kernel that `call` runs on tensors of a dry pool.
void RegisterOther(DType dtype, const std::function<void(TensorPool&)>& call) {
  const DryScope dry;
  TensorPool memory;
  const Recorder recorder(/*with_replays=*/true);
  call(memory);
  for (const RecordedCall& recorded : recorder.calls()) {
    const KernelCall& kernel = recorded.call;
    Register(std::string(DTypeName(dtype)) + "/no part",
             {kernel.kernel, kernel.shape.Text(), static_cast<double>(kernel.flops),
              static_cast<double>(kernel.bytes), recorded.replay});
  }
}

// Whole matrices in, whole matrices out. C: the compute dtype.
void RegisterLayouts(DType C) {
  const ModelConfig c = SmolLm2Shapes();
  const int64_t T = kTokens, F = c.intermediate_size, K = c.num_key_value_heads;
  const int64_t G = c.group(), Dh = c.head_dim;
  RegisterOther(C, [=](TensorPool& m) {
    Transpose(m.Take(C, {T, F}), m.Take(C, {F, T}));
    ColumnSums(m.Take(C, {T, F}), m.Take(kF32, {F}));
    MergeHeads(m.Take(kF32, {K, T, G, Dh}), m.Take(C, {T, K * G * Dh}));
  });
}

void RegisterCopy() {
  const int64_t T = kTokens, F = SmolLm2Shapes().intermediate_size;
  const DryScope dry;
  TensorPool m;
  const Tensor from = m.Take(kF32, {T, F}), to = m.Take(kF32, {T, F});
  const auto copy = [=](const Relocate& at) {
    const Tensor source = at(from), target = at(to);
    if (DryScope::active()) return;
    ParallelRanges(T, 1, [&](int64_t begin, int64_t end) {
      std::memcpy(target.Rows(begin, end).data, source.Rows(begin, end).data,
                  static_cast<size_t>(source.Rows(begin, end).bytes()));
    });
  };
  Register("f32/no part",
           {"Copy", fmt::format("{} x {}", T, F), 0, static_cast<double>(BytesOf(from, to)), copy});
}

void RegisterRows() {
  const ModelConfig c = SmolLm2Shapes();
  const int64_t T = kTokens, F = c.intermediate_size, half = c.head_dim / 2;
  const int64_t rows = kLogitRows, V = c.vocab_size;
  RegisterOther(kF32, [=](TensorPool& m) {
    AddInto(m.Take(kF32, {T, F}), m.Take(kF32, {T, F}));
    AllFinite(m.Take(kF32, {T, F}));
    std::vector<int32_t> positions(static_cast<size_t>(T));
    std::iota(positions.begin(), positions.end(), 0);
    RopeTable(c.head_dim, 1e4, {})
        .FillCosSin(positions, m.Take(kF32, {T, half}), m.Take(kF32, {T, half}));
    RowEntropy(m.Take(kF32, {rows, V}), m.Take(kF32, {rows}), m.Take(kF32, {rows}));
    std::vector<int32_t> index(static_cast<size_t>(rows));
    RowArgmax(m.Take(kF32, {rows, V}), index);
  });
}

void RegisterAll() {
  for (const DType compute : {kF32, DType::kBF16}) {
    if (compute == DType::kBF16 && !EngineHasNativeBf16()) continue;
    RegisterStep(compute);
    RegisterLayouts(compute);
  }
  RegisterCopy();
  RegisterRows();
}

}  // namespace
}  // namespace lorikeet

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  lorikeet::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
