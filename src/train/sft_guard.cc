// What stops a run, or warns, before time or a good checkpoint is lost.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/error.h"
#include "train/sft_loop.h"

namespace lorikeet {
namespace {

bool AllZero(const Tensor& t) {
  const auto* x = t.as<float>();
  return std::all_of(x, x + t.size(), [](float value) { return value == 0; });
}

double NormOf(const Tensor& t) {
  double squares = 0;
  for (int64_t i = 0; i < t.size(); ++i) {
    const double x = t.as<float>()[i];
    squares += x * x;
  }
  return std::sqrt(squares);
}

}  // namespace

std::string SftLoop::Advice() const {
  const std::string lower = "a lower learning_rate, or warmup_steps, is the usual cure";
  return good_checkpoint_.empty()
             ? lower
             : fmt::format("{}; the last good state is {}", lower, good_checkpoint_);
}

std::string SftLoop::LargestGradient() const {
  std::string name;
  double largest = -1;
  for (const Param& param : run_.params()) {
    const double norm = NormOf(param.grad);
    if (norm <= largest) continue;
    largest = norm;
    name = param.name;
  }
  return name;
}

ForwardBackwardOutput SftLoop::GuardedForwardBackward(const std::vector<const Example*>& batch) {
  ForwardBackwardOutput output = run_.ForwardBackward(batch);
  const double loss = output.MeanLoss();
  if (!std::isfinite(loss)) {
    const std::string layer = run_.FirstNonFiniteLayer(batch);
    Fail(ErrorCode::kDiverged,
         "step {}: the loss is not finite ({}); the first output that is not finite is that of {}; "
         "{}",
         step_ + 1, loss, layer.empty() ? "lm_head" : layer, Advice());
  }
  const std::string wrong = divergence_.Add(loss);
  if (!wrong.empty()) {
    Fail(ErrorCode::kDiverged, "step {}: {}; the largest gradient is that of {}; {}", step_ + 1,
         wrong, LargestGradient(), Advice());
  }
  CheckGradientsArrive();
  return output;
}

OptimStepOutput SftLoop::GuardedOptimStep(const OptimParams& params, double loss) {
  OptimStepOutput output;
  try {
    output = run_.OptimStep(params);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kDiverged) throw;
    Fail(ErrorCode::kDiverged, "{}; {}", e.what(), Advice());
  }
  const std::string wrong = divergence_.AddGradient(output.grad_norm, loss);
  if (!wrong.empty()) Fail(ErrorCode::kDiverged, "step {}: {}; {}", step_ + 1, wrong, Advice());
  return output;
}

// In the first steps every parameter must get a gradient; else it is called trained and stands
// still. Only A of a pair whose B is still zero gets none, as it must be.
void SftLoop::CheckGradientsArrive() {
  constexpr int64_t kStepsChecked = 3;  // with warm-up the first step moves nothing
  if (step_ >= kStepsChecked || result_.steps_here != step_ || warned_of_gradients_) return;
  std::vector<std::string> without = run_.ParamsWithoutGradient();
  if (without.empty()) return;
  std::unordered_map<std::string, const Param*> params;
  for (const Param& param : run_.params()) params[param.name] = &param;
  std::erase_if(without, [&](const std::string& name) {
    if (!name.ends_with(".lora_A")) return false;
    const auto b = params.find(name.substr(0, name.size() - 1) + "B");
    return b != params.end() && AllZero(b->second->value);
  });
  if (without.empty()) return;
  warned_of_gradients_ = true;
  constexpr size_t kMost = 6;
  const size_t shown = std::min(without.size(), kMost);
  Note(fmt::format("warning: at step {} no gradient reaches {} of {} parameters: {}{}", step_ + 1,
                   without.size(), params.size(),
                   fmt::join(without.begin(), without.begin() + static_cast<int64_t>(shown), ", "),
                   without.size() > shown ? ", ..." : ""));
}

}  // namespace lorikeet
