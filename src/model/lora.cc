#include "model/lora.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>
#include <string_view>

#include "core/error.h"
#include "core/random.h"
#include "kernels/cast.h"

namespace lorikeet {
namespace {

constexpr std::array<std::string_view, 4> kAttention = {"q_proj", "k_proj", "v_proj", "o_proj"};
constexpr std::array<std::string_view, 3> kMlp = {"gate_proj", "up_proj", "down_proj"};

bool IsOneOf(std::string_view module, std::span<const std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    return module.size() > name.size() && module.ends_with(name) &&
           module[module.size() - name.size() - 1] == '.';
  });
}

// peft's rule for a list: the whole path, or a suffix of it after a dot.
bool MatchesName(std::string_view module, const std::string& target) {
  if (target == "all-linear") return IsOneOf(module, kAttention) || IsOneOf(module, kMlp);
  if (target == "attention" || target == "attn") return IsOneOf(module, kAttention);
  if (target == "mlp") return IsOneOf(module, kMlp);
  return module == target || module.ends_with("." + target);
}

std::regex CompileTarget(const std::string& pattern) {
  try {
    return std::regex(pattern, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& e) {
    Fail(ErrorCode::kInvalidArgument, "target_modules '{}' is not a valid regular expression: {}",
         pattern, e.what());
  }
}

// peft's rule for rank_pattern and alpha_pattern: a regex that ends the path, after a dot or alone.
template <class T>
T PatternValue(const std::map<std::string, T>& pattern, const std::string& module, T fallback) {
  for (const auto& [key, value] : pattern) {
    if (std::regex_match(module, CompileTarget("(?:.*\\.)?(?:" + key + ")"))) return value;
  }
  return fallback;
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
    const auto count = [&](const std::vector<std::string>& in) {
      return std::count_if(in.begin(), in.end(),
                           [&](const std::string& module) { return MatchesName(module, name); });
    };
    const std::string& entry = count(targets) == count(modules) ? name : target;
    if (std::find(written.begin(), written.end(), entry) == written.end()) written.push_back(entry);
  }
  return written;
}

}  // namespace

std::vector<std::string> MatchTargets(const std::vector<std::string>& modules,
                                      const LoraConfig& config) {
  std::vector<bool> chosen(modules.size(), false);
  const auto choose = [&](const std::string& target, const auto& matches) {
    bool any = false;
    for (size_t i = 0; i < modules.size(); ++i) {
      if (!matches(modules[i])) continue;
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
  if (!config.target_regex.empty() && config.target_regex != "all-linear") {
    const std::regex regex = CompileTarget(config.target_regex);
    choose(config.target_regex, [&](const std::string& m) { return std::regex_match(m, regex); });
  } else {
    std::vector<std::string> targets = config.target_modules;
    if (!config.target_regex.empty()) targets.push_back(config.target_regex);
    if (targets.empty()) Fail(ErrorCode::kInvalidArgument, "target_modules is empty");
    for (const std::string& target : targets) {
      choose(target, [&](const std::string& m) { return MatchesName(m, target); });
    }
  }
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
  storage_.emplace_back(dtype, std::initializer_list<int64_t>{rows, cols});
  bytes_ += static_cast<size_t>(storage_.back().tensor().bytes());
  return storage_.back().tensor();
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

LoraAdapter LoraAdapter::Create(Model& model, const LoraConfig& config, uint64_t seed) {
  if (config.r < 1)
    Fail(ErrorCode::kInvalidArgument, "lora_r is {}; it must be at least 1", config.r);
  LoraAdapter adapter(model, config);
  const std::vector<std::string> targets = MatchTargets(ModulesOf(model), config);
  ForEachLinear(model.weights(), [&](Linear& linear) {
    if (std::find(targets.begin(), targets.end(), linear.name) == targets.end()) return;
    adapter.AddPair(linear, PatternValue(config.rank_pattern, linear.name, config.r),
                    PatternValue(config.alpha_pattern, linear.name, config.lora_alpha));
    const LoraPair& pair = adapter.pairs_.back();
    const RandomStream random(seed, "lora_a", linear.name);
    const double bound = 1.0 / std::sqrt(static_cast<double>(linear.in_features()));
    for (int64_t i = 0; i < pair.a.size(); ++i) {
      pair.a.as<float>()[i] =
          static_cast<float>(bound * (2 * random.Uniform(static_cast<uint64_t>(i)) - 1));
    }
  });
  adapter.config_.target_modules = PeftTargets(ModulesOf(model), targets);
  adapter.config_.target_regex.clear();
  adapter.config_.base_model_name_or_path = model.source().path();
  adapter.RefreshWorkingCopies();
  return adapter;
}

LoraAdapter LoraAdapter::Load(Model& model, const std::string& dir) {
  const AdapterFile file = ReadAdapter(dir);
  LoraAdapter adapter(model, file.config);
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
  for (const LoraPair& pair : pairs_) {
    Convert(pair.a, pair.a_c);
    Convert(pair.bt, pair.bt_c);
  }
}

void LoraAdapter::Save(const std::string& dir) const {
  std::vector<Buffer> transposed;
  std::vector<AdapterPairToWrite> pairs;
  for (const LoraPair& pair : pairs_) {
    transposed.emplace_back(DType::kF32, std::initializer_list<int64_t>{pair.bt.cols(), pair.r});
    Transpose(pair.bt, transposed.back().tensor());
    pairs.push_back({pair.module, pair.a, transposed.back().tensor()});
  }
  WriteAdapter(dir, config_, pairs);
}

}  // namespace lorikeet
