// Google Benchmark over single kernels at the shapes of SmolLM2-135M: those of a training step, the
// cases of `lorikeet bench kernels`, and those that no part of a step's profile times. The latter
// are bound by memory: read bytes_per_second against the line of Copy.
#include <benchmark/benchmark.h>

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

using Run = std::function<void()>;
using Prepare = std::function<Run(Operands&)>;

void Register(const std::string& name, const KernelCall& call) {
  const auto run = [call](benchmark::State& state) {
    Operands memory;
    const Run once = call.prepare(memory);
    for (auto _ : state) once();
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

void RegisterOther(const char* kernel, DType dtype, int64_t bytes, Prepare prepare) {
  Register(std::string(DTypeName(dtype)) + "/no part",
           {kernel, std::to_string(bytes) + " bytes", 0, static_cast<double>(bytes),
            std::move(prepare)});
}

// Whole matrices in, whole matrices out. C: the compute dtype.
void RegisterLayouts(DType C) {
  const ModelConfig c = SmolLm2Shapes();
  const int64_t T = kTokens, F = c.intermediate_size, K = c.num_key_value_heads;
  const int64_t G = c.group(), Dh = c.head_dim, width = DTypeBytes(C, 1);
  RegisterOther("Transpose", C, 2 * width * T * F, [=](Operands& memory) -> Run {
    const Tensor in = memory.Random(C, {T, F}), out = memory.Zero(C, {F, T});
    return [=] { Transpose(in, out); };
  });
  RegisterOther("ColumnSums", C, width * T * F, [=](Operands& memory) -> Run {
    const Tensor x = memory.Random(C, {T, F}), sums = memory.Zero(kF32, {F});
    return [=] { ColumnSums(x, sums); };
  });
  RegisterOther("MergeHeads", C, (4 + width) * T * K * G * Dh, [=](Operands& memory) -> Run {
    const Tensor in = memory.Random(kF32, {K, T, G, Dh}), out = memory.Zero(C, {T, K * G * Dh});
    return [=] { MergeHeads(in, out); };
  });
}

void RegisterRows() {
  const int64_t T = kTokens, F = SmolLm2Shapes().intermediate_size;
  RegisterOther("Copy", kF32, 8 * T * F, [=](Operands& memory) -> Run {
    const Tensor from = memory.Random(kF32, {T, F}), to = memory.Zero(kF32, {T, F});
    return [=] {
      ParallelRanges(T, 1, [&](int64_t begin, int64_t end) {
        std::memcpy(to.Rows(begin, end).data, from.Rows(begin, end).data,
                    static_cast<size_t>(from.Rows(begin, end).bytes()));
      });
    };
  });
  RegisterOther("AddInto", kF32, 12 * T * F, [=](Operands& memory) -> Run {
    const Tensor dst = memory.Zero(kF32, {T, F}), src = memory.Random(kF32, {T, F});
    return [=] { AddInto(dst, src); };
  });
  RegisterOther("AllFinite", kF32, 4 * T * F, [=](Operands& memory) -> Run {
    const Tensor x = memory.Random(kF32, {T, F});
    return [=] { benchmark::DoNotOptimize(AllFinite(x)); };
  });
  RegisterOther("RopeTable", kF32, 4 * T * SmolLm2Shapes().head_dim, [=](Operands& memory) -> Run {
    const int64_t Dh = SmolLm2Shapes().head_dim;
    const Tensor cos = memory.Zero(kF32, {T, Dh / 2}), sin = memory.Zero(kF32, {T, Dh / 2});
    std::vector<int32_t> positions(static_cast<size_t>(T));
    std::iota(positions.begin(), positions.end(), 0);
    return [=, table = RopeTable(Dh, 1e4, {})] { table.FillCosSin(positions, cos, sin); };
  });
}

void RegisterLogits() {
  const int64_t rows = kLogitRows, V = SmolLm2Shapes().vocab_size;
  RegisterOther("RowEntropy", kF32, 4 * rows * V, [=](Operands& memory) -> Run {
    const Tensor logits = memory.Random(kF32, {rows, V}), lse = memory.Random(kF32, {rows});
    const Tensor entropy = memory.Zero(kF32, {rows});
    return [=] { RowEntropy(logits, lse, entropy); };
  });
  RegisterOther("RowArgmax", kF32, 4 * rows * V, [=](Operands& memory) -> Run {
    const Tensor logits = memory.Random(kF32, {rows, V});
    const Tensor index = memory.Zero(DType::kI32, {rows});
    return [=] { RowArgmax(logits, {index.as<int32_t>(), static_cast<size_t>(rows)}); };
  });
}

void RegisterAll() {
  for (const DType compute : {kF32, DType::kBF16}) {
    if (compute == DType::kBF16 && !EngineHasNativeBf16()) continue;
    RegisterStep(compute);
    RegisterLayouts(compute);
  }
  RegisterRows();
  RegisterLogits();
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
