#include "train/guarded_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/error.h"

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

std::string GuardedRun::Advice() const {
  return good_checkpoint_.empty()
             ? advice_
             : fmt::format("{}; the last good state is {}", advice_, good_checkpoint_);
}

void GuardedRun::Diverged(const std::string& what) const {
  Fail(ErrorCode::kDiverged, "step {}: {}; {}", step_, what, Advice());
}

std::string GuardedRun::LargestGradient() const {
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

void GuardedRun::BeginStep(int64_t step, bool check_gradients) {
  step_ = step;
  check_gradients_ = check_gradients && !warned_;
}

ForwardBackwardOutput GuardedRun::ForwardBackward(std::span<const Example* const> examples,
                                                  const LossConfig& loss) {
  ForwardBackwardOutput output = run_.ForwardBackward(examples, loss);
  if (!std::isfinite(output.loss_sum)) {
    const std::string layer = run_.FirstNonFiniteLayer(examples);
    Diverged(fmt::format(
        "the loss is not finite ({}); the first output that is not finite is that of {}",
        output.MeanLoss(), layer.empty() ? "lm_head" : layer));
  }
  if (check_gradients_) CheckGradientsArrive();
  check_gradients_ = false;
  return output;
}

OptimStepOutput GuardedRun::OptimStep(const OptimParams& params) {
  try {
    return run_.OptimStep(params);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kDiverged) throw;
    Fail(ErrorCode::kDiverged, "{}; {}", e.what(), Advice());
  }
}

// Warns of trained parameters without a gradient, which do not change. Only A of a pair whose B is
// still zero is expected to have none.
void GuardedRun::CheckGradientsArrive() {
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
  warned_ = true;
  if (!note_) return;
  constexpr size_t kMaxShown = 6;
  const size_t shown = std::min(without.size(), kMaxShown);
  note_(fmt::format("warning: at step {} no gradient reaches {} of {} parameters: {}{}", step_,
                    without.size(), params.size(),
                    fmt::join(without.begin(), without.begin() + static_cast<int64_t>(shown), ", "),
                    without.size() > shown ? ", ..." : ""));
}

}  // namespace lorikeet
