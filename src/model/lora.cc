#include "model/lora.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "checkpoint/adapter_formats.h"
#include "checkpoint/adapter_pairs.h"
#include "checkpoint/text_names.h"
#include "core/check.h"
#include "core/dry.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/cast.h"
#include "kernels/column_scale.h"
#include "kernels/matmul/matmul.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

// The named sets, as the module names that peft knows.
const std::vector<std::string>* SetNamed(const std::string& name) {
  static const std::vector<std::string> attention = {"q_proj", "k_proj", "v_proj", "qkv_proj",
                                                     "o_proj"};
  static const std::vector<std::string> mlp = {
      "gate_proj", "up_proj", "gate_up_proj", "down_proj",    "c_fc",         "c_proj",
      "w1",        "w3",      "w2",           "input_linear", "output_linear"};
  static const std::vector<std::string> router = {"gate"};
  if (name == "attention" || name == "attn") return &attention;
  if (name == "router") return &router;
  return name == "mlp" ? &mlp : nullptr;
}

// Module names hold letters, digits, dots, hyphens and underscores.
bool LooksLikeRegex(const std::string& target) {
  return target.find_first_of("*+?()[]{}|^$\\") != std::string::npos;
}

// The config that names the same modules without set names.
LoraConfig ForTarget(const std::string& target) {
  LoraConfig config;
  if (const std::vector<std::string>* set = SetNamed(target)) {
    config.target_modules = *set;
  } else if (target == "all-linear" || LooksLikeRegex(target)) {
    config.target_regex = target;
  } else if (target == "experts") {
    config.target_regex = ".*[.]experts[.].*";
  } else {
    config.target_modules = {target};
  }
  return config;
}

std::vector<std::string> ModulesOf(const Model& model) {
  std::vector<std::string> modules;
  ForEachLinear(model.weights(), [&](const Linear& linear) { modules.push_back(linear.name); });
  return modules;
}

// Modules that peft sees as well, such as those of a vision tower, by their weights.
std::vector<std::string> OtherModulesOf(const Model& model) {
  constexpr std::string_view kWeight = ".weight";
  std::vector<std::string> modules;
  if (!model.has_source()) return modules;
  for (const ModelSource::Entry& entry : model.source().entries()) {
    if (!entry.other_part || entry.shape.size() != 2 || !entry.name.ends_with(kWeight)) continue;
    modules.push_back(entry.name.substr(0, entry.name.size() - kWeight.size()));
  }
  return modules;
}

std::string LastPart(const std::string& module) { return module.substr(module.rfind('.') + 1); }
bool IsExpert(const std::string& module) { return module.find(".experts.") != std::string::npos; }
bool IsRouter(const std::string& module) { return LastPart(module) == "gate"; }

void InitialiseA(const LoraPair& pair, uint64_t seed, double init_a) {
  if (pair.shares_a) return;
  const RandomStream random(seed, "lora_a", pair.module);
  const double bound = init_a / std::sqrt(static_cast<double>(pair.a.cols()));
  float* a = pair.a.as<float>();
  for (int64_t i = 0; i < pair.a.size(); ++i) {
    a[i] = static_cast<float>(bound * (2 * random.Uniform(static_cast<uint64_t>(i)) - 1));
  }
}

// lengths (1, out) = |W + s B A|, row by row, in pieces of the weight that stay in the cache.
void AdaptedLengths(const LoraPair& pair, const Tensor& lengths) {
  const int64_t out = pair.bt.cols(), in = pair.a.cols();
  const int64_t piece = std::clamp<int64_t>((1 << 18) / in, 1, out);
  const Buffer sum(DType::kF32, {piece, in}), scaled(DType::kF32, {pair.r, piece});
  for (int64_t begin = 0; begin < out; begin += piece) {
    const int64_t n = std::min(piece, out - begin);
    const Tensor rows = sum.tensor().Rows(0, n);
    const Tensor b(scaled.tensor().data, DType::kF32, {pair.r, n});  // the rows' part of s B^T
    for (int64_t k = 0; k < pair.r; ++k) {
      const float* from = pair.bt.as<float>() + k * out + begin;
      std::transform(from, from + n, b.as<float>() + k * n,
                     [&](float value) { return pair.scale * value; });
    }
    Convert(pair.weight.Rows(begin, begin + n), rows);
    MatMul(b, pair.a, rows, MatMulKind::kTN, /*accumulate=*/true);
    RowLengths(rows, Tensor(lengths.as<float>() + begin, DType::kF32, {n}));
  }
}

// In an expert, gate and up read the hidden state and down writes it.
bool HiddenSideIsB(const std::string& module) {
  const std::string name = LastPart(module);
  return name == "down_proj" || name == "w2";
}

// One name for a module that files name in several ways: Qwen3-MoE's for one of Mixtral's experts,
// the language model's own for one of a wrapper.
std::string CommonName(const std::string& given) {
  const std::string block = ".block_sparse_moe.", module = WithoutWrapper(given);
  const size_t at = module.find(block);
  if (at == std::string::npos) return module;
  std::string common = module.substr(0, at) + ".mlp." + module.substr(at + block.size());
  const std::string last = LastPart(common);
  const char* name = last == "w1" ? "gate_proj" : last == "w3" ? "up_proj" : "down_proj";
  if (IsExpert(common)) common.replace(common.size() - last.size(), last.size(), name);
  return common;
}

// "model.layers.0.mlp.experts.3.up_proj" -> "model.layers.0.mlp.experts.up_proj".
std::string WithoutExpert(const std::string& module) {
  const std::string experts = ".experts.";
  const size_t at = module.find(experts) + experts.size();
  return module.substr(0, at) + LastPart(module);
}

bool SameValues(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && a.size() == b.size() &&
         std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes())) == 0;
}

// Finds the layers whose experts share their factors on the hidden side in a file. Files do not
// record it, but only shared factors of gate and up are equal in all experts.
class SharedFactors {
 public:
  explicit SharedFactors(const std::unordered_map<std::string, const AdapterFile::Pair*>& pairs) {
    std::unordered_map<std::string, const AdapterFile::Pair*> first;
    std::unordered_map<std::string, bool> equal;
    for (const auto& [module, pair] : pairs) {
      if (!IsExpert(module)) continue;
      const std::string name = WithoutExpert(module);
      const bool down = HiddenSideIsB(module);
      const auto [at, is_first] = first.emplace(name, pair);
      const AdapterFile::Pair& other = *at->second;
      const bool same =
          is_first || (SameValues(down ? pair->b : pair->a, down ? other.b : other.a));
      const std::string experts = name.substr(0, name.rfind('.'));
      equal.try_emplace(experts, true);
      equal[experts] = equal[experts] && same;
      if (!down && !is_first) reads_.insert(experts);
    }
    for (const auto& [experts, all] : equal) {
      if (!all) reads_.erase(experts);
    }
  }
  bool In(const std::string& module) const {
    if (!IsExpert(module)) return false;
    const std::string name = WithoutExpert(module);
    return reads_.contains(name.substr(0, name.rfind('.')));
  }

 private:
  std::unordered_set<std::string> reads_;  // with equal factors of gate or up
};

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
      if (target == "all-linear" && IsRouter(modules[i])) continue;
      chosen[i] = any = true;
    }
    if (!any) {
      Fail(ErrorCode::kInvalidArgument,
           "target_modules: '{}' matches no module; use all-linear, attention, mlp, experts, "
           "router, "
           "lm_head, names such as q_proj, or a regular expression for whole paths such as {}",
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

std::vector<std::string> PeftTargets(const std::vector<std::string>& modules,
                                     const std::vector<std::string>& targets) {
  std::unordered_map<std::string, int64_t> left;  // modules of a name that are not adapted
  for (const std::string& module : modules) ++left[LastPart(module)];
  for (const std::string& target : targets) --left[LastPart(target)];
  std::vector<std::string> written;
  std::unordered_set<std::string> known;
  for (const std::string& target : targets) {
    const std::string name = LastPart(target);
    const std::string& entry = left[name] == 0 ? name : target;
    if (known.insert(entry).second) written.push_back(entry);
  }
  return written;
}

int ExpertRank(const LoraConfig& config, const ModelConfig& model) {
  if (config.expert_r > 0) return config.expert_r;
  return std::max(1, config.r / static_cast<int>(model.num_experts_per_tok));
}

LoraAdapter::LoraAdapter(const Model& model, LoraConfig config)
    : config_(std::move(config)),
      compute_(model.compute()),
      storage_(std::make_shared<TensorPool>()),
      weights_(std::make_shared<LoraWeights>(ModulesOf(model).size(), compute_, storage_)),
      model_(model.lifetime()) {}

Tensor LoraAdapter::Allocate(DType dtype, int64_t rows, int64_t cols) {
  const Tensor tensor = storage_->Take(dtype, {rows, cols});
  bytes_ += static_cast<size_t>(tensor.bytes());
  return tensor;
}

LoraPair& LoraAdapter::AddPair(const Linear& linear, int64_t r, float alpha,
                               const LoraPair* shared_from) {
  LoraPair pair;
  pair.module = linear.name;
  pair.slot = linear.lora_slot;
  pair.r = r;
  pair.alpha = alpha;
  const auto rank = static_cast<float>(r);
  pair.scale = alpha / (config_.use_rslora ? std::sqrt(rank) : rank);
  const bool down = HiddenSideIsB(linear.name);
  pair.shares_a = shared_from != nullptr && !down;
  pair.shares_b = shared_from != nullptr && down;
  LoraFactors factors{pair.r, pair.scale, {}, {}};
  const LoraFactors* from = nullptr;
  if (shared_from != nullptr) {
    from = &weights_->slots()[static_cast<size_t>(shared_from->slot)];
  }
  const auto working = [&](const Tensor& master) {
    return compute_ == DType::kF32 ? master : Allocate(compute_, r, master.cols());
  };
  pair.a = pair.shares_a ? shared_from->a : Allocate(DType::kF32, r, linear.in_features());
  factors.a = pair.shares_a ? from->a : working(pair.a);
  pair.bt = pair.shares_b ? shared_from->bt : Allocate(DType::kF32, r, linear.out_features());
  factors.bt = pair.shares_b ? from->bt : working(pair.bt);
  if (config_.use_dora) {
    pair.weight = linear.weight;
    pair.magnitude = Allocate(DType::kF32, 1, linear.out_features());
    factors.gain = Allocate(DType::kF32, 1, linear.out_features());
    factors.inverse_norm = Allocate(DType::kF32, 1, linear.out_features());
  }
  weights_->Set(linear, factors);
  pairs_.push_back(std::move(pair));
  return pairs_.back();
}

// Sets the fields of peft's file for this adapter. When peft fuses the pairs of experts it takes
// the config's r as their rank, so r is that of the experts, and the other modules' ranks are in
// rank_pattern.
void LoraAdapter::Describe(const std::vector<std::string>& modules,
                           const std::vector<std::string>& targets) {
  const int r = config_.r;
  config_.target_modules = PeftTargets(modules, targets);
  config_.target_regex.clear();
  config_.expert_r = 0;
  config_.shared_outer = false;
  std::unordered_set<std::string> expert_names;
  for (const LoraPair& pair : pairs_) {
    if (!IsExpert(pair.module)) continue;
    expert_names.insert(LastPart(pair.module));
    config_.r = static_cast<int>(pair.r);
  }
  if (config_.r == r) return;
  for (const LoraPair& pair : pairs_) {
    if (IsExpert(pair.module) || pair.r == config_.r) continue;
    const std::string name = LastPart(pair.module);
    const std::string& key = expert_names.contains(name) ? pair.module : name;
    SetPattern(&config_.rank_pattern, key, static_cast<int>(pair.r));
    // peft sees a router as a parameter of this name.
    if (IsRouter(pair.module)) {
      SetPattern(&config_.rank_pattern, name + ".weight", static_cast<int>(pair.r));
    }
  }
}

void LoraAdapter::RewriteConfig() {
  std::vector<AdapterFile::Pair> described;
  for (const LoraPair& pair : pairs_) {
    described.push_back({pair.module, {}, {}, pair.alpha, static_cast<int>(pair.r)});
  }
  LoraConfig config = ConfigOfPairs(described);
  config.base_model_name_or_path = config_.base_model_name_or_path;
  config.lora_dropout = config_.lora_dropout;
  config.use_rslora = config_.use_rslora;
  config.use_dora = config_.use_dora;
  config_ = std::move(config);
}

LoraAdapter LoraAdapter::Create(const Model& model, const LoraConfig& config, uint64_t seed,
                                double init_a) {
  if (config.r < 1)
    Fail(ErrorCode::kInvalidArgument, "lora_r is {}; it must be at least 1", config.r);
  LoraAdapter adapter(model, config);
  adapter.init_a_ = init_a;
  std::vector<std::string> modules = ModulesOf(model);
  const std::vector<std::string> targets = MatchTargets(modules, config);
  const std::unordered_set<std::string> chosen(targets.begin(), targets.end());
  adapter.pairs_.reserve(targets.size());  // shared pairs stay where they are
  std::unordered_map<std::string, const LoraPair*> first_of;
  ForEachLinear(model.weights(), [&](const Linear& linear) {
    if (!chosen.contains(linear.name)) return;
    const bool expert = IsExpert(linear.name);
    const int r = expert ? ExpertRank(config, model.config()) : RankOf(config, linear.name);
    const LoraPair** shared_pair =
        expert && config.shared_outer ? &first_of[WithoutExpert(linear.name)] : nullptr;
    const LoraPair& pair = adapter.AddPair(linear, r, AlphaOf(config, linear.name),
                                           shared_pair == nullptr ? nullptr : *shared_pair);
    if (shared_pair != nullptr && *shared_pair == nullptr) *shared_pair = &pair;
  });
  if (!DryScope::active()) {
    ParallelDynamic(static_cast<int64_t>(adapter.pairs_.size()), [&](int64_t i) {
      const LoraPair& pair = adapter.pairs_[static_cast<size_t>(i)];
      InitialiseA(pair, seed, init_a);
      if (pair.magnitude) AdaptedLengths(pair, pair.magnitude);  // B is zero: those of W
    });
  }
  const std::vector<std::string> others = OtherModulesOf(model);
  modules.insert(modules.end(), others.begin(), others.end());
  adapter.Describe(modules, targets);
  if (model.has_source()) adapter.config_.base_model_name_or_path = model.source().path();
  adapter.RefreshWorkingCopies();
  return adapter;
}

LoraAdapter LoraAdapter::Load(const Model& model, const std::string& dir) {
  const ModelConfig& model_config = model.config();
  const AdapterFile file =
      ReadAnyAdapter(dir, {model_config.num_attention_heads, model_config.num_key_value_heads});
  CheckBaseCopies(file, model.source(), dir);
  LoraAdapter adapter(model, file.config);
  std::string& base = adapter.config_.base_model_name_or_path;
  if (base.empty()) base = model.source().path();
  std::unordered_map<std::string, const AdapterFile::Pair*> found;
  for (const auto& pair : file.pairs) found[CommonName(pair.module)] = &pair;
  const SharedFactors shared(found);
  bool renamed = false;  // the file calls experts otherwise than the model does
  adapter.pairs_.reserve(file.pairs.size());
  std::unordered_map<std::string, const LoraPair*> first_of;
  ForEachLinear(model.weights(), [&](const Linear& linear) {
    const auto at = found.find(CommonName(linear.name));
    if (at == found.end()) return;
    const AdapterFile::Pair& stored = *at->second;
    found.erase(at);
    if (stored.a.cols() != linear.in_features() || stored.b.rows() != linear.out_features()) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: adapter of {} is for a {} x {} layer, the model's is {} x {}; was it trained on "
           "another model? (its base: {})",
           dir, linear.name, stored.b.rows(), stored.a.cols(), linear.out_features(),
           linear.in_features(), file.config.base_model_name_or_path);
    }
    renamed = renamed || stored.module != linear.name;
    const LoraPair** shared_pair =
        shared.In(CommonName(linear.name)) ? &first_of[WithoutExpert(linear.name)] : nullptr;
    const LoraPair& pair = adapter.AddPair(linear, stored.r, stored.alpha,
                                           shared_pair == nullptr ? nullptr : *shared_pair);
    if (shared_pair != nullptr && *shared_pair == nullptr) *shared_pair = &pair;
    Convert(stored.a, pair.a);
    const Buffer b(DType::kF32, {stored.b.rows(), stored.b.cols()});
    Convert(stored.b, b.tensor());
    Transpose(b.tensor(), pair.bt);
    if (pair.magnitude) Convert(stored.magnitude, pair.magnitude);
  });
  for (const auto& pair : file.pairs) {
    if (!found.contains(CommonName(pair.module))) continue;
    Fail(ErrorCode::kInvalidArgument, "{}: the adapter has '{}', which is not in model {}", dir,
         pair.module, model.source().path());
  }
  if (renamed) adapter.RewriteConfig();
  adapter.RefreshWorkingCopies();
  return adapter;
}

int64_t LoraAdapter::NumParameters() const {
  int64_t count = 0;
  for (const LoraPair& pair : pairs_) {
    count += (pair.shares_a ? 0 : pair.a.size()) + (pair.shares_b ? 0 : pair.bt.size());
    count += pair.magnitude.size();
  }
  return count;
}

void LoraAdapter::RefreshWorkingCopies() {
  weights_->ValuesChanged();
  if (DryScope::active()) return;
  RefreshLengths();
  if (compute_ == DType::kF32) return;
  ParallelDynamic(static_cast<int64_t>(pairs_.size()), [&](int64_t i) {
    const LoraPair& pair = pairs_[static_cast<size_t>(i)];
    const LoraFactors& factors = weights_->slots()[static_cast<size_t>(pair.slot)];
    if (!pair.shares_a) Convert(pair.a, factors.a);
    if (!pair.shares_b) Convert(pair.bt, factors.bt);
  });
}

void LoraAdapter::RefreshLengths() {
  if (!config_.use_dora) return;
  CHECK(!model_.expired());  // pair.weight is a view of its memory
  const Kernel here([&] {
    KernelCall call{"RefreshLengths", "low-rank products", {"{} modules", {std::ssize(pairs_)}}};
    for (const LoraPair& pair : pairs_) {
      call.flops += 2 * (pair.r + 1) * pair.weight.size();
      call.bytes += BytesOf(pair.weight, pair.a, pair.bt, pair.magnitude);
    }
    return call;
  });
  ParallelDynamic(static_cast<int64_t>(pairs_.size()), [&](int64_t i) {
    const LoraPair& pair = pairs_[static_cast<size_t>(i)];
    const LoraFactors& factors = weights_->slots()[static_cast<size_t>(pair.slot)];
    AdaptedLengths(pair, factors.inverse_norm);
    const float* m = pair.magnitude.as<float>();
    auto *gain = factors.gain.as<float>(), *inverse = factors.inverse_norm.as<float>();
    for (int64_t n = 0; n < pair.magnitude.size(); ++n) {
      gain[n] = m[n] / inverse[n];
      inverse[n] = 1 / inverse[n];
    }
  });
}

void LoraAdapter::Save(const std::string& dir) const {
  std::vector<AdapterPairToWrite> pairs;
  for (const LoraPair& pair : pairs_) {
    pairs.push_back({pair.module,
                     {nullptr, DType::kF32, {pair.r, pair.a.cols()}},
                     {nullptr, DType::kF32, {pair.bt.cols(), pair.r}}});
    if (pair.magnitude) pairs.back().magnitude = {nullptr, DType::kF32, {pair.magnitude.size()}};
  }
  WriteAdapter(dir, config_, pairs, [this](size_t index, const ByteSink& sink) {
    if (index >= 2 * pairs_.size()) {
      const Tensor& magnitude = pairs_[index - 2 * pairs_.size()].magnitude;
      sink(magnitude.data, static_cast<size_t>(magnitude.bytes()));
      return;
    }
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
