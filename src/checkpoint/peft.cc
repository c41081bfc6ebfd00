#include "checkpoint/peft.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "checkpoint/adapter_pairs.h"
#include "checkpoint/fused_experts.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kWeightsName = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight", kSuffixB = ".lora_B.weight",
                           kSuffixBase = ".base_layer.weight";

// Sorts the tensors of an adapter's file into pairs.
class PairCollector {
 public:
  PairCollector(AdapterFile& adapter, const std::string& path) : adapter_(adapter), path_(path) {}

  void Collect() {
    for (const auto& [name, tensor] : adapter_.file->tensors()) Add(name, tensor);
    for (auto& [module, pair] : pairs_) {
      Finish(module, pair);
      adapter_.pairs.push_back(std::move(pair));
    }
    SplitFused();
    if (adapter_.pairs.empty()) {
      Fail(ErrorCode::kCorruptFile, "{}: holds no LoRA factors", path_);
    }
    for (const auto& [module, copy] : adapter_.base_copies) {
      if (!pairs_.contains(module)) FailTensor(module, "a base weight without LoRA factors");
    }
  }

 private:
  [[noreturn]] void FailTensor(std::string_view name, const std::string& what) const {
    Fail(ErrorCode::kCorruptFile, "{}: {}: {}", path_, QuotedName(name), what);
  }

  void Add(const std::string& name, const Tensor& tensor) {
    std::string_view module = name;
    if (!module.starts_with(kPrefix)) FailTensor(name, "not a tensor of a peft adapter");
    module.remove_prefix(kPrefix.size());
    const auto take = [&](std::string_view suffix) {
      if (!module.ends_with(suffix) || module.size() == suffix.size()) return false;
      module.remove_suffix(suffix.size());
      return true;
    };
    if (take(kSuffixA)) {
      pairs_[std::string(module)].a = Checked(name, tensor);
    } else if (take(kSuffixB)) {
      pairs_[std::string(module)].b = Checked(name, tensor);
    } else if (take(kSuffixBase)) {
      adapter_.base_copies[std::string(module)] = Checked(name, tensor);
    } else {
      Fail(ErrorCode::kUnsupported,
           "{}: tensor {} is neither lora_A nor lora_B of a linear layer; DoRA, trained biases, "
           "embeddings and modules_to_save are not supported",
           path_, QuotedName(name));
    }
  }

  Tensor Checked(const std::string& name, const Tensor& tensor) const {
    if (tensor.rank != 2 || tensor.size() == 0 || !IsFloat(tensor.dtype)) {
      FailTensor(name, "not a matrix of f32, f16 or bf16 numbers");
    }
    return tensor;
  }

  void Finish(const std::string& module, AdapterFile::Pair& pair) const {
    if (!pair.a) FailTensor(module, "has lora_B but no lora_A");
    if (!pair.b) FailTensor(module, "has lora_A but no lora_B");
    const std::string target = TargetOf(module);
    pair.module = module;
    pair.r = RankOf(adapter_.config, target);
    pair.alpha = AlphaOf(adapter_.config, target);
    if (IsFused(module)) return;  // split later
    if (pair.a.rows() != pair.r || pair.b.cols() != pair.r) {
      FailTensor(module, fmt::format("lora_A has {} rows and lora_B {} columns where the config "
                                     "gives rank {}",
                                     pair.a.rows(), pair.b.cols(), pair.r));
    }
  }

  // peft wraps the module of the experts, once for each of its parameters: gate_up_proj first.
  static bool IsFused(std::string_view module) {
    return module.ends_with(".experts") || module.ends_with(".experts.base_layer");
  }

  // Name in the config: the module, or the adapted parameter.
  std::string TargetOf(const std::string& module) const {
    const LoraConfig& config = adapter_.config;
    if (IsFused(module)) {
      const std::string experts = module.substr(0, module.rfind(".experts") + 8);
      const bool both = IsTargetParameter(config, experts + ".gate_up_proj") &&
                        IsTargetParameter(config, experts + ".down_proj");
      for (const char* parameter : {".gate_up_proj", ".down_proj"}) {
        if (both && (parameter == std::string_view(".gate_up_proj")) != (module != experts))
          continue;
        if (IsTargetParameter(config, experts + parameter)) return experts + parameter;
      }
      FailTensor(module, "is not among the config's target_parameters");
    }
    if (IsTarget(config, module)) return module;
    if (IsTargetParameter(config, module + ".weight")) return module + ".weight";
    FailTensor(module, "is not among the config's target_modules");
  }

  void SplitFused() {
    std::vector<AdapterFile::Pair> pairs;
    for (AdapterFile::Pair& pair : adapter_.pairs) {
      if (!IsFused(pair.module)) {
        pairs.push_back(std::move(pair));
        continue;
      }
      const std::string module = std::exchange(pair.module, TargetOf(pair.module));
      try {
        for (auto& one : SplitFusedPair(pair, adapter_.config.use_rslora, &adapter_.storage))
          pairs.push_back(std::move(one));
      } catch (const std::invalid_argument& e) {
        FailTensor(module, e.what());
      }
    }
    adapter_.pairs = std::move(pairs);
    if (adapter_.config.target_parameters.empty()) return;
    std::ranges::sort(adapter_.pairs, {}, &AdapterFile::Pair::module);
    LoraConfig described = ConfigOfPairs(adapter_.pairs);
    described.base_model_name_or_path = adapter_.config.base_model_name_or_path;
    described.lora_dropout = adapter_.config.lora_dropout;
    described.use_rslora = adapter_.config.use_rslora;
    adapter_.config = described;
  }

  AdapterFile& adapter_;
  const std::string& path_;
  std::map<std::string, AdapterFile::Pair> pairs_;
};

TensorToWrite Named(const std::string& module, std::string_view suffix, const Tensor& tensor) {
  return {fmt::format("{}{}{}", kPrefix, module, suffix),
          tensor.dtype,
          {tensor.shape[0], tensor.shape[1]},
          tensor.data};
}

}  // namespace

AdapterFile ReadAdapter(const std::string& dir) {
  const std::string config_path = (fs::path(dir) / kConfigName).string();
  const std::string path = (fs::path(dir) / kWeightsName).string();
  std::error_code ignored;
  if (!fs::exists(path, ignored) && fs::exists(fs::path(dir) / "adapter_model.bin", ignored)) {
    Fail(ErrorCode::kUnsupported,
         "{}: holds adapter_model.bin, which only Python can read; load the adapter with peft and "
         "save it again: save_pretrained(dir) writes {}",
         dir, kWeightsName);
  }
  AdapterFile adapter;
  adapter.config = ParseLoraConfig(ParseJson(ReadFile(config_path), config_path), config_path);
  adapter.file = OpenSafetensors(path);
  PairCollector(adapter, path).Collect();
  return adapter;
}

void WriteAdapter(const std::string& dir, const LoraConfig& config,
                  const std::vector<AdapterPairToWrite>& pairs, const MakeTensor& make) {
  std::vector<TensorToWrite> tensors;
  for (const auto& [module, a, b] : pairs) {
    CHECK(a.rank == 2 && b.rank == 2 && a.rows() == b.cols());
    if (a.rows() != RankOf(config, module) || !IsTarget(config, module)) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: module {} of rank {} is not what the adapter's config describes; write it with "
           "matching target_modules and rank_pattern",
           dir, QuotedName(module), a.rows());
    }
    tensors.push_back(Named(module, kSuffixA, a));
    tensors.push_back(Named(module, kSuffixB, b));
  }
  CreateFolders(dir);
  const std::string path = (fs::path(dir) / kWeightsName).string();
  if (make) {
    WriteSafetensors(path, tensors, {{"format", "pt"}}, make);
  } else {
    WriteSafetensors(path, tensors, {{"format", "pt"}});
  }
  WriteFileAtomically((fs::path(dir) / kConfigName).string(), LoraConfigText(config));
}

}  // namespace lorikeet
