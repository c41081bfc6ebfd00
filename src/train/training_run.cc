#include "train/training_run.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/yield.h"
#include "data/packer.h"
#include "kernels/adamw.h"
#include "kernels/cast.h"
#include "kernels/copy.h"
#include "model/export.h"
#include "model/transformer.h"
#include "plan/memory_plan.h"

namespace lorikeet {
namespace {

constexpr const char* kStateFile = "/training_state.safetensors";

TensorToWrite ToWrite(const std::string& name, const Tensor& t) {
  return {name, t.dtype, {t.shape.begin(), t.shape.begin() + t.rank}, t.data};
}

}  // namespace

TrainingRun::TrainingRun(const Model& model, LoraAdapter adapter, const RunOptions& options)
    : model_(model), lora_(std::move(adapter)), options_(options) {
  optimizer_ = AdamWOptimizer(lora_->params());
  Init(options);
}

TrainingRun::TrainingRun(Model& model, const RunOptions& options)
    : model_(model), trained_model_(&model), options_(options) {
  optimizer_ = AdamWOptimizer(model.MakeTrainable());
  Init(options);
}

TrainingRun::~TrainingRun() = default;

void TrainingRun::Init(const RunOptions& options) {
  const size_t bytes = TrainingArenaBytes(model_, lora_ ? &*lora_ : nullptr, options.recompute,
                                          options.tokens_per_microbatch);
  workspace_ = options.workspace != nullptr ? options.workspace : std::make_shared<Arena>(0);
  workspace_->Reserve(bytes);
}

ForwardBackwardOutput TrainingRun::Run(const Policy& policy,
                                       std::span<const Example* const> examples,
                                       const LossConfig& loss, bool backward) {
  ForwardBackwardOutput output;
  output.logprobs.resize(examples.size());
  const LoraTraining* training = backward && lora_ ? &*lora_ : nullptr;
  for (const PackedBatch& packed : Pack(examples, options_.tokens_per_microbatch)) {
    YieldPoint(Yield::kMicroBatch);
    const ArenaScope scope(*workspace_);
    Activations kept;
    kept.recompute = options_.recompute;
    ForwardOptions options;
    options.adapter = policy.adapter;
    options.keep = backward ? &kept : nullptr;
    const Tensor hidden = lorikeet::Forward(policy.model, packed.batch, options, *workspace_);
    const LossHeadOutput head = LossHead(policy.model, policy.adapter,
                                         {.hidden = hidden,
                                          .targets = packed.targets,
                                          .weights = packed.weights,
                                          .temperature = loss.temperature,
                                          .training = training},
                                         MakeLoss(loss, packed), backward, *workspace_);
    // A loss that is not finite must not reach the gradients.
    if (backward && std::isfinite(head.loss_sum)) {
      Backward(model_, packed.batch, training, kept, head.dhidden, *workspace_);
    }
    output.loss_sum += head.loss_sum;
    output.tokens += packed.batch.num_tokens();
    for (const float weight : packed.weights) {
      output.weight_sum += weight;
      output.trained_tokens += weight != 0 ? 1 : 0;
    }
    packed.Scatter(head.logprobs, output.logprobs);
  }
  return output;
}

ForwardBackwardOutput TrainingRun::Forward(std::span<const Example* const> examples,
                                           const LossConfig& loss) {
  return Run({model_, weights()}, examples, loss, /*backward=*/false);
}

ForwardBackwardOutput TrainingRun::ForwardReference(std::span<const Example* const> examples,
                                                    const LossConfig& loss) {
  CHECK(has_reference());
  const Model& model = reference_ != nullptr ? *reference_ : model_;
  return Run({model, nullptr}, examples, loss, /*backward=*/false);
}

void TrainingRun::SetReference(const Model* reference) {
  CHECK(reference->config().hidden_size == model_.config().hidden_size &&
        reference->config().num_hidden_layers == model_.config().num_hidden_layers);
  reference_ = reference;
}

ForwardBackwardOutput TrainingRun::ForwardBackward(std::span<const Example* const> examples,
                                                   const LossConfig& loss) {
  return Run({model_, weights()}, examples, loss, /*backward=*/true);
}

OptimStepOutput TrainingRun::OptimStep(const OptimParams& params) {
  const OptimStepOutput output = optimizer_.Step(params);
  ValuesChanged();
  return output;
}

void TrainingRun::ValuesChanged() {
  if (lora_) lora_->ValuesChanged();
  if (trained_model_ != nullptr) trained_model_->ValuesChanged();
}

int64_t TrainingRun::NumTrainable() const { return optimizer_.NumParameters(); }

void TrainingRun::SaveState(const std::string& dir) const {
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < params().size(); ++i) {
    tensors.push_back(ToWrite(params()[i].name, params()[i].value));
    tensors.push_back(ToWrite(params()[i].name + ".exp_avg", optimizer_.first_moment(i)));
    tensors.push_back(ToWrite(params()[i].name + ".exp_avg_sq", optimizer_.second_moment(i)));
  }
  const auto steps = static_cast<int32_t>(optimizer_.steps());
  tensors.push_back({"optim_steps", DType::kI32, {1}, &steps});
  WriteSafetensors(dir + kStateFile, tensors, {{"format", "lorikeet training state"}});
}

void TrainingRun::LoadState(const std::string& dir) {
  const std::string path = dir + kStateFile;
  const std::unique_ptr<TensorFile> file = OpenSafetensors(path);
  const auto find = [&](const std::string& name, DType dtype, int64_t size) {
    const Tensor t = file->Find(name);
    if (!t) Fail(ErrorCode::kCorruptFile, "{}: tensor '{}' is missing", path, name);
    if (t.dtype != dtype || t.size() != size) {
      Fail(
          ErrorCode::kInvalidArgument,
          "{}: tensor '{}' has {} elements of {}, this run needs {} of {}; was the checkpoint made "
          "with other settings?",
          path, name, t.size(), DTypeName(t.dtype), size, DTypeName(dtype));
    }
    return t;
  };
  const int32_t steps = find("optim_steps", DType::kI32, 1).as<int32_t>()[0];
  if (file->tensors().size() != 3 * params().size() + 1) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: {} tensors, this run needs {}; was the checkpoint made with other settings?", path,
         file->tensors().size(), 3 * params().size() + 1);
  }
  for (size_t i = 0; i < params().size(); ++i) {
    const Param& param = params()[i];
    const int64_t n = param.value.size();
    const auto copy = [&](const std::string& name, const Tensor& to) {
      const Tensor from = find(name, DType::kF32, n);
      std::memcpy(to.data, from.data, static_cast<size_t>(to.bytes()));
      file->Forget(from);
    };
    copy(param.name, param.value);
    copy(param.name + ".exp_avg", optimizer_.first_moment(i));
    copy(param.name + ".exp_avg_sq", optimizer_.second_moment(i));
    if (param.working) Convert(param.value, param.working);
  }
  optimizer_.set_steps(steps);
  ValuesChanged();
  ZeroGradients();
}

void TrainingRun::SaveWeights(const std::string& dir) const {
  if (lora_) {
    lora_->adapter().Save(dir);
    return;
  }
  const ChangeTensor masters = [this](const std::string& name, int64_t begin,
                                      const Tensor& values) {
    for (const Param& param : params()) {
      if (param.name != name) continue;
      const Tensor rows = param.value.Rows(begin, begin + values.rows());
      std::memcpy(values.data, rows.data, static_cast<size_t>(values.bytes()));
    }
  };
  WriteModel(model_.source(), StoredDtype(model_.source()), masters, dir);
}

std::vector<std::string> TrainingRun::ParamsWithoutGradient() const {
  std::vector<std::string> names;
  for (const Param& param : params()) {
    if (SumOfSquares(param.grad) == 0) names.push_back(param.name);
  }
  return names;
}

std::string TrainingRun::FirstNonFiniteLayer(std::span<const Example* const> examples) {
  for (const PackedBatch& packed : Pack(examples, options_.tokens_per_microbatch)) {
    const ArenaScope scope(*workspace_);
    std::string found;
    ForwardOptions options;
    options.adapter = weights();
    options.on_layer = [&](int64_t layer, const Tensor& residual) {
      if (found.empty() && !AllFinite(residual)) found = "model.layers." + std::to_string(layer);
    };
    const Tensor hidden = lorikeet::Forward(model_, packed.batch, options, *workspace_);
    if (!found.empty()) return found;
    const LossHeadOutput head =
        LossHead(model_, weights(), {hidden, packed.targets, packed.weights}, MakeLoss({}, packed),
                 false, *workspace_);
    if (!std::isfinite(head.loss_sum)) return "lm_head";
  }
  return "";
}

}  // namespace lorikeet
