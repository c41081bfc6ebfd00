#include "plan/kernel_bench.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "plan/machine_probe.h"

namespace lorikeet {
namespace {

constexpr double kCaseSeconds = 0.005;
constexpr int kPeakRepetitions = 2;

double SecondsOf(const std::function<void()>& run, int64_t times) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < times; ++i) run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double SecondsOfCall(const SizedKernel& call) {
  const Relocate memory(call.replay);
  const auto run = [&] { call.replay(memory); };
  run();  // allocates the kernel's scratch memory, and touches the results
  const double once = SecondsOf(run, 1);
  if (once >= kCaseSeconds) return once;
  const auto times = static_cast<int64_t>(kCaseSeconds / std::max(once, 1e-7));
  return SecondsOf(run, times) / static_cast<double>(times);
}

// Parts in the order of their first call.
std::vector<KernelCase> ByPart(std::vector<KernelCase> cases) {
  std::map<std::string, size_t> order;
  for (const KernelCase& item : cases) order.emplace(item.step.part, order.size());
  std::stable_sort(cases.begin(), cases.end(), [&](const KernelCase& a, const KernelCase& b) {
    return order[a.step.part] < order[b.step.part];
  });
  return cases;
}

}  // namespace

ModelConfig SmolLm2Shapes() {
  return ReadModelConfig({{"model_type", "llama"},
                          {"hidden_size", 576},
                          {"intermediate_size", 1536},
                          {"num_hidden_layers", 30},
                          {"vocab_size", 49152},
                          {"num_attention_heads", 9},
                          {"num_key_value_heads", 3},
                          {"head_dim", 64},
                          {"tie_word_embeddings", true}},
                         "SmolLM2-135M");
}

std::vector<KernelCase> KernelCases(const ModelConfig& config, const TrainingShape& shape,
                                    int64_t tokens) {
  std::vector<KernelCase> cases;
  for (const Method method : {Method::kLora, Method::kFull}) {
    TrainingShape of_method = shape;
    of_method.method = method;
    for (const StepCall& step : StepCalls(config, of_method, tokens)) {
      auto at = std::find_if(cases.begin(), cases.end(),
                             [&](const KernelCase& other) { return SameCall(step, other.step); });
      if (at == cases.end()) at = cases.insert(cases.end(), KernelCase{step});
      (method == Method::kLora ? at->lora_calls : at->full_calls) = step.count;
    }
  }
  return ByPart(std::move(cases));
}

KernelTimes TimeKernels(const std::vector<KernelCase>& cases, DType compute, int rounds) {
  KernelTimes times;
  times.seconds.resize(cases.size());
  for (int round = 0; round < rounds; ++round) {
    times.peak_gflops.push_back(MeasureMatMulPeak(compute, kPeakRepetitions));
    times.read_gbs.push_back(MeasureReadBandwidth());
    for (size_t i = 0; i < cases.size(); ++i) {
      times.seconds[i].push_back(SecondsOfCall(cases[i].step.call));
    }
  }
  return times;
}

}  // namespace lorikeet
