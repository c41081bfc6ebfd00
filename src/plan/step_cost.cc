#include "plan/step_cost.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "plan/dry_run.h"

namespace lorikeet {
namespace {

// The sizes in tokens of the micro-batches that first-fit packing makes (data/packer.h), and how
// many there are of each.
std::map<int64_t, double> MicroBatches(const TrainingShape& shape, int64_t tokens) {
  const int64_t S = std::min(shape.sequence_length, tokens);
  const int64_t budget = std::max(shape.tokens_per_microbatch, S);
  const int64_t each = budget / S, rest = tokens % S;  // sequences; tokens of the shorter one
  int64_t full = tokens / S / each, last = tokens / S % each * S;
  std::map<int64_t, double> batches;
  if (full > 0 && rest > 0 && each * S + rest <= budget) {
    batches[each * S + rest] += 1;  // the first batch has room for the shorter one
    --full;
  } else {
    last += rest;
  }
  if (full > 0) batches[each * S] += static_cast<double>(full);
  if (last > 0) batches[last] += 1;
  return batches;
}

std::vector<int64_t> LengthsOf(int64_t tokens, int64_t sequence_length) {
  std::vector<int64_t> lengths(static_cast<size_t>(tokens / sequence_length), sequence_length);
  if (tokens % sequence_length > 0) lengths.push_back(tokens % sequence_length);
  return lengths;
}

// Appends the recorded calls, `count` times.
void Append(const Recorder& recorder, double count, std::vector<StepCall>* calls) {
  for (const RecordedCall& recorded : recorder.calls()) {
    const KernelCall& kernel = recorded.call;
    if (*kernel.part == '\0') continue;
    StepCall step{kernel.part,
                  recorded.what,
                  recorded.modules,
                  {kernel.kernel, kernel.shape.Text(), static_cast<double>(kernel.flops),
                   static_cast<double>(kernel.bytes), recorded.replay},
                  0};
    auto at = std::find_if(calls->begin(), calls->end(),
                           [&](const StepCall& other) { return SameCall(step, other); });
    if (at == calls->end()) at = calls->insert(calls->end(), std::move(step));
    at->count += count * static_cast<double>(recorded.count);
    for (const std::string& name : recorded.modules) {
      if (std::find(at->modules.begin(), at->modules.end(), name) == at->modules.end()) {
        at->modules.push_back(name);
      }
    }
  }
}

}  // namespace

std::string StepCall::Name() const {
  if (what.empty()) return call.kernel;
  return fmt::format("{} {}", fmt::join(modules, ", "), what);
}

bool SameCall(const StepCall& a, const StepCall& b) {
  return a.part == b.part && a.what == b.what && a.call.kernel == b.call.kernel &&
         a.call.shape == b.call.shape;
}

std::vector<StepCall> StepCalls(const ModelConfig& config, const TrainingShape& shape,
                                int64_t tokens) {
  RunSkeleton run(config, shape);
  std::vector<StepCall> calls;
  for (const auto& [T, count] : MicroBatches(shape, tokens)) {
    const Recorder recorder(/*with_replays=*/true);
    run.ForwardBackward(LengthsOf(T, std::min(shape.sequence_length, T)), Recompute::kNone);
    Append(recorder, count, &calls);
  }
  const Recorder recorder(/*with_replays=*/true);
  run.OptimStep();
  Append(recorder, 1, &calls);
  return calls;
}

std::vector<PartCost> StepCost(const ModelConfig& config, const TrainingShape& shape,
                               int64_t tokens) {
  std::vector<PartCost> costs;
  for (const StepCall& step : StepCalls(config, shape, tokens)) {
    auto at = std::find_if(costs.begin(), costs.end(),
                           [&](const PartCost& cost) { return cost.part == step.part; });
    if (at == costs.end()) at = costs.insert(costs.end(), {step.part, 0, 0, 0});
    at->calls += step.count;
    at->flops += step.count * step.call.flops;
    at->bytes += step.count * step.call.bytes;
  }
  return costs;
}

RooflinePoint UnderRoofline(double flops, double bytes, double seconds, const Ceilings& ceilings) {
  const double computing = flops / (ceilings.matmul_gflops * 1e9);
  const double moving = bytes / (ceilings.read_gbs * 1e9);
  RooflinePoint point;
  point.gflops = flops / seconds * 1e-9;
  point.gbs = bytes / seconds * 1e-9;
  point.compute_bound = computing > moving;
  point.ideal_seconds = std::max(computing, moving);
  point.share_of_ceiling = point.ideal_seconds / seconds;
  return point;
}

}  // namespace lorikeet
