#include "checkpoint/peft.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "checkpoint/adapter_pairs.h"
#include "checkpoint/fused_experts.h"
#include "checkpoint/model_source.h"
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
                           kSuffixMagnitude = ".lora_magnitude_vector";

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
    } else if (take(kSuffixMagnitude) || take(std::string(kSuffixMagnitude) + ".weight")) {
      pairs_[std::string(module)].magnitude = CheckedMagnitude(name, tensor);
    } else if (module.find("lora_") == std::string_view::npos &&
               (module.ends_with(".weight") || module.ends_with(".bias"))) {
      AddCopy(std::string(module), tensor);
    } else {
      Fail(ErrorCode::kUnsupported,
           "{}: tensor {} is neither lora_A nor lora_B of a linear layer; factors of embeddings, "
           "trained biases and tokens are not supported",
           path_, QuotedName(name));
    }
  }

  // "lm_head.base_layer.weight" -> "lm_head.weight": what an adapted layer was before.
  void AddCopy(std::string name, const Tensor& copy) {
    const std::string wrapped = ".base_layer.";
    if (const size_t at = name.find(wrapped); at != std::string::npos) {
      name.erase(at, wrapped.size() - 1);
    }
    if (!IsFloat(copy.dtype)) FailTensor(name, "not f32, f16 or bf16 numbers");
    if (!adapter_.base_copies.emplace(name, copy).second) FailTensor(name, "occurs twice");
  }

  Tensor CheckedMagnitude(const std::string& name, const Tensor& tensor) const {
    if (!adapter_.config.use_dora) {
      FailTensor(name, "a magnitude of DoRA, but the config does not say use_dora");
    }
    if (tensor.size() == 0 || tensor.size() != tensor.cols() || !IsFloat(tensor.dtype)) {
      FailTensor(name, "not a vector of f32, f16 or bf16 numbers");
    }
    return {tensor.data, tensor.dtype, {tensor.size()}};
  }

  Tensor Checked(const std::string& name, const Tensor& tensor) const {
    if (tensor.rank != 2 || tensor.size() == 0 || !IsFloat(tensor.dtype)) {
      FailTensor(name, "not a matrix of f32, f16 or bf16 numbers");
    }
    return tensor;
  }

  void Finish(const std::string& module, AdapterFile::Pair& pair) const {
    if (!pair.a && !pair.b) FailTensor(module, "has a magnitude but no factors");
    if (!pair.a) FailTensor(module, "has lora_B but no lora_A");
    if (!pair.b) FailTensor(module, "has lora_A but no lora_B");
    const std::string target = TargetOf(module);
    pair.module = module;
    pair.r = RankOf(adapter_.config, target);
    pair.alpha = AlphaOf(adapter_.config, target);
    if (pair.magnitude ? pair.magnitude.size() != pair.b.rows() : adapter_.config.use_dora) {
      FailTensor(module, pair.magnitude ? "its magnitude has another size than lora_B"
                                        : "has no lora_magnitude_vector, and the config says "
                                          "use_dora");
    }
    if (IsFused(module)) {  // split later
      if (pair.magnitude) FailTensor(module, "DoRA of experts' parameters is not supported");
      return;
    }
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
    FailTensor(
        module,
        "is not among the config's target_modules, or in a layer or module that it excludes");
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
    // The same targets in words that need neither key.
    if (adapter_.config.target_parameters.empty() && adapter_.config.modules_to_save.empty())
      return;
    std::ranges::sort(adapter_.pairs, {}, &AdapterFile::Pair::module);
    LoraConfig described = ConfigOfPairs(adapter_.pairs);
    described.base_model_name_or_path = adapter_.config.base_model_name_or_path;
    described.lora_dropout = adapter_.config.lora_dropout;
    described.use_rslora = adapter_.config.use_rslora;
    described.use_dora = adapter_.config.use_dora;
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

// Whether rows [begin, end) of a matrix, or all of a vector, are the base's in the copy's dtype.
bool SamePart(const ModelSource& base, const std::string& name, const Tensor& copy, int64_t begin,
              int64_t end) {
  const Tensor part = copy.rank == 2 ? copy.Rows(begin, end) : copy;
  const Buffer buffer(copy.dtype, {part.size()});
  const Tensor& read = buffer.tensor();
  if (copy.rank == 2) {
    base.ReadRows(name, begin, end, copy.dtype, read.data);
  } else {
    base.Read(name, copy.dtype, read.data);
  }
  return std::memcmp(read.data, part.data, static_cast<size_t>(part.bytes())) == 0;
}

bool SameValues(const ModelSource& base, const std::string& name, const Tensor& copy) {
  if (copy.rank != 2) return SamePart(base, name, copy, 0, 0);
  const int64_t step = std::max<int64_t>(1, (1 << 22) / std::max<int64_t>(copy.cols(), 1));
  for (int64_t row = 0; row < copy.rows(); row += step) {
    if (!SamePart(base, name, copy, row, std::min(copy.rows(), row + step))) return false;
  }
  return true;
}

}  // namespace

void CheckBaseCopies(const AdapterFile& adapter, const ModelSource& base,
                     const std::string& where) {
  for (const auto& [name, copy] : adapter.base_copies) {
    const auto refuse = [&, &name = name](const std::string& why) {
      Fail(
          ErrorCode::kUnsupported,
          "{}: its copy of {} {}: trained or resized modules beside the factors are not supported, "
          "only copies that equal the base's",
          where, QuotedName(name), why);
    };
    const bool tied = name == "lm_head.weight" && !base.Has(name);
    const std::string own = tied ? base.embedding_name() : name;
    const ModelSource::Entry* const entry = base.Find(own);
    if (entry == nullptr) refuse(fmt::format("has no counterpart in the base {}", base.path()));
    const std::vector<int64_t> shape(copy.shape.begin(), copy.shape.begin() + copy.rank);
    if (entry->shape != shape) {
      refuse(fmt::format("is {} where the base {} has {}", fmt::join(shape, " x "), base.path(),
                         fmt::join(entry->shape, " x ")));
    }
    if (!SameValues(base, own, copy)) refuse(fmt::format("differs from the base {}", base.path()));
  }
}

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
  adapter.config = ParseLoraConfig(ReadFile(config_path), config_path);
  adapter.file = OpenSafetensors(path);
  PairCollector(adapter, path).Collect();
  return adapter;
}

void WriteAdapter(const std::string& dir, const LoraConfig& config,
                  const std::vector<AdapterPairToWrite>& pairs, const MakeTensor& make) {
  std::vector<TensorToWrite> tensors;
  for (const auto& [module, a, b, magnitude] : pairs) {
    CHECK(static_cast<bool>(magnitude.rank) == config.use_dora);
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
  for (const auto& [module, a, b, magnitude] : pairs) {
    if (!config.use_dora) break;
    tensors.push_back({fmt::format("{}{}{}", kPrefix, module, kSuffixMagnitude),
                       magnitude.dtype,
                       {magnitude.size()},
                       magnitude.data});
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
