#include "model/lora.h"

#include <algorithm>
#include <cmath>

#include "checkpoint/adapter_formats.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/cast.h"

namespace lorikeet {
namespace {

// The named sets, as the module names that peft knows.
const std::vector<std::string>* SetNamed(const std::string& name) {
  static const std::vector<std::string> attention = {"q_proj", "k_proj", "v_proj", "o_proj"};
  static const std::vector<std::string> mlp = {"gate_proj", "up_proj", "down_proj"};
  if (name == "attention" || name == "attn") return &attention;
  return name == "mlp" ? &mlp : nullptr;
}

// The config that names the same modules without set names.
LoraConfig ForTarget(const std::string& target) {
  LoraConfig config;
  if (const std::vector<std::string>* set = SetNamed(target)) {
    config.target_modules = *set;
  } else if (target == "all-linear") {
    config.target_regex = target;
  } else {
    config.target_modules = {target};
  }
  return config;
}

std::vector<std::string> ModulesOf(Model& model) {
  std::vector<std::string> modules;
  ForEachLinear(model.weights(), [&](Linear& linear) { modules.push_back(linear.name); });
  return modules;
}

// What adapter_config.json lists, since peft knows no set names: the last part of a path where
// every module of that name is adapted, else the whole path.
std::vector<std::string> PeftTargets(const std::vector<std::string>& modules,
                                     const std::vector<std::string>& targets) {
  std::vector<std::string> written;
  for (const std::string& target : targets) {
    const std::string name = target.substr(target.rfind('.') + 1);
    const LoraConfig by_name = ForTarget(name);
    const auto count = [&](const std::vector<std::string>& in) {
      return std::count_if(in.begin(), in.end(),
                           [&](const std::string& module) { return IsTarget(by_name, module); });
    };
    const std::string& entry = count(targets) == count(modules) ? name : target;
    if (std::find(written.begin(), written.end(), entry) == written.end()) written.push_back(entry);
  }
  return written;
}

void InitialiseA(const LoraPair& pair, uint64_t seed, double init_a) {
  const RandomStream random(seed, "lora_a", pair.module);
  const double bound = init_a / std::sqrt(static_cast<double>(pair.a.cols()));
  float* a = pair.a.as<float>();
  for (int64_t i = 0; i < pair.a.size(); ++i) {
    a[i] = static_cast<float>(bound * (2 * random.Uniform(static_cast<uint64_t>(i)) - 1));
  }
}

}  // namespace

std::vector<std::string> MatchTargets(const std::vector<std::string>& modules,
                                      const LoraConfig& config) {
  if (config.target_regex.empty() && config.target_modules.empty()) {
    Fail(ErrorCode::kInvalidArgument, "target_modules is empty");
  }
  std::vector<bool> chosen(modules.size(), false);
  const auto choose = [&](const LoraConfig& by, const std::string& target) {
    bool any = false;
    for (size_t i = 0; i < modules.size(); ++i) {
      if (!IsTarget(by, modules[i])) continue;
      chosen[i] = any = true;
    }
    if (!any) {
      Fail(
          ErrorCode::kInvalidArgument,
          "target_modules: '{}' matches no module; use all-linear, attention, mlp, lm_head, module "
          "names such as q_proj, or a regular expression for whole paths such as {}",
          target, modules.front());
    }
  };
  if (!config.target_regex.empty()) choose(config, config.target_regex);
  for (const std::string& target : config.target_modules) choose(ForTarget(target), target);
  std::vector<std::string> result;
  for (size_t i = 0; i < modules.size(); ++i) {
    if (chosen[i]) result.push_back(modules[i]);
  }
  return result;
}

LoraAdapter::LoraAdapter(Model& model, LoraConfig config)
    : config_(std::move(config)), compute_(model.compute()) {
  slots_.assign(static_cast<size_t>(7 * model.config().num_hidden_layers + 1), -1);
}

Tensor LoraAdapter::Own(DType dtype, int64_t rows, int64_t cols) {
  const Tensor tensor = storage_.Take(dtype, {rows, cols});
  bytes_ += static_cast<size_t>(tensor.bytes());
  return tensor;
}

void LoraAdapter::AddPair(const Linear& linear, int64_t r, float alpha) {
  LoraPair pair;
  pair.module = linear.name;
  pair.r = r;
  pair.alpha = alpha;
  const auto rank = static_cast<float>(r);
  pair.scale = alpha / (config_.use_rslora ? std::sqrt(rank) : rank);
  pair.a = Own(DType::kF32, r, linear.in_features());
  pair.bt = Own(DType::kF32, r, linear.out_features());
  const bool copies = compute_ != DType::kF32;
  pair.a_c = copies ? Own(compute_, r, linear.in_features()) : pair.a;
  pair.bt_c = copies ? Own(compute_, r, linear.out_features()) : pair.bt;
  slots_[static_cast<size_t>(linear.lora_slot)] = static_cast<int>(pairs_.size());
  pairs_.push_back(std::move(pair));
}

LoraAdapter LoraAdapter::Create(Model& model, const LoraConfig& config, uint64_t seed,
                                double init_a) {
  if (config.r < 1)
    Fail(ErrorCode::kInvalidArgument, "lora_r is {}; it must be at least 1", config.r);
  LoraAdapter adapter(model, config);
  const std::vector<std::string> targets = MatchTargets(ModulesOf(model), config);
  ForEachLinear(model.weights(), [&](Linear& linear) {
    if (std::find(targets.begin(), targets.end(), linear.name) == targets.end()) return;
    adapter.AddPair(linear, RankOf(config, linear.name), AlphaOf(config, linear.name));
  });
  ParallelDynamic(static_cast<int64_t>(adapter.pairs_.size()), [&](int64_t i) {
    InitialiseA(adapter.pairs_[static_cast<size_t>(i)], seed, init_a);
  });
  adapter.config_.target_modules = PeftTargets(ModulesOf(model), targets);
  adapter.config_.target_regex.clear();
  adapter.config_.base_model_name_or_path = model.source().path();
  adapter.RefreshWorkingCopies();
  return adapter;
}

LoraAdapter LoraAdapter::Load(Model& model, const std::string& dir) {
  const ModelConfig& model_config = model.config();
  const AdapterFile file =
      ReadAnyAdapter(dir, {model_config.num_attention_heads, model_config.num_key_value_heads});
  LoraAdapter adapter(model, file.config);
  std::string& base = adapter.config_.base_model_name_or_path;
  if (base.empty()) base = model.source().path();
  size_t used = 0;
  ForEachLinear(model.weights(), [&](Linear& linear) {
    const auto found = std::find_if(file.pairs.begin(), file.pairs.end(),
                                    [&](const auto& pair) { return pair.module == linear.name; });
    if (found == file.pairs.end()) return;
    if (found->a.cols() != linear.in_features() || found->b.rows() != linear.out_features()) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: adapter of {} is for a {} x {} layer, the model's is {} x {}; was it trained on "
           "another model? (its base: {})",
           dir, linear.name, found->b.rows(), found->a.cols(), linear.out_features(),
           linear.in_features(), file.config.base_model_name_or_path);
    }
    adapter.AddPair(linear, found->r, found->alpha);
    const LoraPair& pair = adapter.pairs_.back();
    Convert(found->a, pair.a);
    const Buffer b(DType::kF32, {found->b.rows(), found->b.cols()});
    Convert(found->b, b.tensor());
    Transpose(b.tensor(), pair.bt);
    ++used;
  });
  if (used != file.pairs.size()) {
    const std::vector<std::string> modules = ModulesOf(model);
    for (const auto& pair : file.pairs) {
      if (std::find(modules.begin(), modules.end(), pair.module) != modules.end()) continue;
      Fail(ErrorCode::kInvalidArgument, "{}: the adapter has '{}', which the model {} has not", dir,
           pair.module, model.source().path());
    }
  }
  adapter.RefreshWorkingCopies();
  return adapter;
}

int64_t LoraAdapter::NumParameters() const {
  int64_t count = 0;
  for (const LoraPair& pair : pairs_) count += pair.a.size() + pair.bt.size();
  return count;
}

std::vector<Param> LoraAdapter::MakeTrainable() {
  std::vector<Param> params;
  for (LoraPair& pair : pairs_) {
    CHECK(!pair.da);
    pair.da = Own(DType::kF32, pair.r, pair.a.cols());
    pair.dbt = Own(DType::kF32, pair.r, pair.bt.cols());
    const bool copies = compute_ != DType::kF32;
    params.push_back({pair.module + ".lora_A", pair.a, pair.da, copies ? pair.a_c : Tensor()});
    params.push_back({pair.module + ".lora_B", pair.bt, pair.dbt, copies ? pair.bt_c : Tensor()});
  }
  return params;
}

void LoraAdapter::RefreshWorkingCopies() {
  if (compute_ == DType::kF32) return;
  ParallelDynamic(static_cast<int64_t>(pairs_.size()), [&](int64_t i) {
    const LoraPair& pair = pairs_[static_cast<size_t>(i)];
    Convert(pair.a, pair.a_c);
    Convert(pair.bt, pair.bt_c);
  });
}

void LoraAdapter::Save(const std::string& dir) const {
  std::vector<AdapterPairToWrite> pairs;
  for (const LoraPair& pair : pairs_) {
    pairs.push_back({pair.module,
                     {nullptr, DType::kF32, {pair.r, pair.a.cols()}},
                     {nullptr, DType::kF32, {pair.bt.cols(), pair.r}}});
  }
  WriteAdapter(dir, config_, pairs, [this](size_t index, const ByteSink& sink) {
    const LoraPair& pair = pairs_[index / 2];
    if (index % 2 == 0) {
      sink(pair.a.data, static_cast<size_t>(pair.a.bytes()));
      return;
    }
    const Buffer b(DType::kF32, {pair.bt.cols(), pair.r});
    Transpose(pair.bt, b.tensor());
    sink(b.tensor().data, static_cast<size_t>(b.tensor().bytes()));
  });
}

}  // namespace lorikeet
