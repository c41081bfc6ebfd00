#include "checkpoint/gguf_adapter.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "checkpoint/adapter_pairs.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_architecture.h"
#include "checkpoint/gguf_writer.h"
#include "core/error.h"
#include "core/float16.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr const char* kAlphaKey = "adapter.lora.alpha";
constexpr const char* kBaseKey = "general.base_model.0.name";
constexpr std::string_view kWeight = ".weight";

int64_t HeadsOf(const std::string& module, const AttentionHeads& heads) {
  if (module.ends_with(".q_proj")) return heads.query;
  return module.ends_with(".k_proj") ? heads.key_value : 0;
}

bool IsQueryOrKey(const std::string& module) {
  return module.ends_with(".q_proj") || module.ends_with(".k_proj");
}

// llama.cpp has row i Dh/2 + j of a head (i = 0, 1) at 2j + i.
enum class Permute : uint8_t { kToGguf, kFromGguf };
Tensor PermuteRows(const Tensor& b, int64_t heads, Permute way, std::vector<Buffer>* storage) {
  storage->emplace_back(b.dtype, std::initializer_list<int64_t>{b.rows(), b.cols()});
  const Tensor& to = storage->back().tensor();
  const int64_t head_dim = b.rows() / heads, half = head_dim / 2;
  const auto bytes = static_cast<size_t>(DTypeBytes(b.dtype, b.cols()));
  for (int64_t row = 0; row < b.rows(); ++row) {
    const int64_t head = row / head_dim * head_dim, in_head = row % head_dim;
    const int64_t other = head + in_head % half * 2 + in_head / half;  // index in GGUF's order
    const bool to_gguf = way == Permute::kToGguf;
    std::memcpy(to.Rows(to_gguf ? other : row, b.rows()).data,
                b.Rows(to_gguf ? row : other, b.rows()).data, bytes);
  }
  return to;
}

void CheckHeads(const std::string& module, const Tensor& b, int64_t heads,
                const std::string& path) {
  if (heads > 0 && b.rows() % heads == 0 && b.rows() / heads % 2 == 0) return;
  Fail(ErrorCode::kInvalidArgument, "{}: {}: lora_b has {} rows, which are not {} heads", path,
       QuotedName(module), b.rows(), heads);
}

class Reader {
 public:
  Reader(const std::string& path, const AttentionHeads& heads)
      : file_(std::make_unique<GgufFile>(path)), path_(path), heads_(heads), pairs_(path) {}

  AdapterFile Read() {
    CheckKind();
    FindHeads();
    for (const auto& [name, tensor] : file_->tensors()) Add(name, tensor);
    adapter_.pairs = pairs_.Finish();
    const double alpha = file_->FloatOr(kAlphaKey, 0);
    if (!std::isfinite(static_cast<float>(alpha))) {
      Fail(ErrorCode::kCorruptFile, "{}: {} is not a finite number", path_, kAlphaKey);
    }
    for (AdapterFile::Pair& pair : adapter_.pairs) {
      // llama.cpp: without alpha, or with 0, the scale is 1.
      pair.alpha = alpha == 0 ? static_cast<float>(pair.r) : static_cast<float>(alpha);
      if (architecture_->interleaved && IsQueryOrKey(pair.module)) Straighten(&pair);
    }
    adapter_.config = ConfigOfPairs(adapter_.pairs);
    adapter_.config.base_model_name_or_path = file_->StringOr(kBaseKey, "");
    adapter_.file = std::move(file_);
    return std::move(adapter_);
  }

 private:
  void CheckKind() const {
    if (file_->StringOr("general.type", "") != "adapter") {
      Fail(ErrorCode::kInvalidArgument, "{}: a GGUF file, but not of an adapter", path_);
    }
    const std::string type = file_->String("adapter.type");
    if (type != "lora" || file_->Has("adapter.alora.invocation_tokens")) {
      Fail(ErrorCode::kUnsupported, "{}: an adapter of type {}; only plain lora is supported",
           path_, QuotedName(type == "lora" ? "activated lora" : type));
    }
  }

  // Files of this program contain the heads; for others they come from the model.
  void FindHeads() {
    const std::string architecture = file_->String("general.architecture");
    architecture_ = &GgufArchitectureNamed(architecture, /*experts=*/false, path_);
    const AttentionHeads own = {file_->IntOr(architecture + ".attention.head_count", 0),
                                file_->IntOr(architecture + ".attention.head_count_kv", 0)};
    const auto choose = [&](int64_t given, int64_t recorded) {
      if (given > 0 && recorded > 0 && given != recorded) {
        Fail(ErrorCode::kInvalidArgument,
             "{}: made for {} attention heads where the model has {}; was it trained on another "
             "model?",
             path_, recorded, given);
      }
      return given > 0 ? given : recorded;
    };
    heads_ = {choose(heads_.query, own.query), choose(heads_.key_value, own.key_value)};
  }

  void Add(const std::string& name, const Tensor& tensor) {
    const bool a = name.ends_with(".lora_a");
    const std::string hf = a || name.ends_with(".lora_b") ? HfName(name) : "";
    if (!hf.ends_with(kWeight) || hf == "model.embed_tokens.weight") {
      Fail(ErrorCode::kUnsupported,
           "{}: tensor {} is neither lora_a nor lora_b of a linear layer of {}; embeddings, norms "
           "and biases are not supported",
           path_, QuotedName(name), QuotedName(file_->String("general.architecture")));
    }
    const bool number = tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 ||
                        tensor.dtype == DType::kBF16 || IsQuantised(tensor.dtype);
    if (tensor.rank != 2 || tensor.size() == 0 || !number) {
      Fail(ErrorCode::kCorruptFile, "{}: {}: not a matrix of numbers", path_, QuotedName(name));
    }
    const std::string module = hf.substr(0, hf.size() - kWeight.size());
    a ? pairs_.AddA(module, Plain(tensor)) : pairs_.AddB(module, Plain(tensor));
  }

  std::string HfName(const std::string& name) const {
    constexpr int64_t kAnyLayer = std::numeric_limits<int64_t>::max();
    return HfNameOfGguf(*architecture_, name.substr(0, name.size() - 7), kAnyLayer);
  }

  Tensor Plain(const Tensor& tensor) {
    if (!IsQuantised(tensor.dtype)) return tensor;
    adapter_.storage.emplace_back(DType::kF32,
                                  std::initializer_list<int64_t>{tensor.rows(), tensor.cols()});
    WidenInto(tensor, adapter_.storage.back().tensor());
    return adapter_.storage.back().tensor();
  }

  void Straighten(AdapterFile::Pair* pair) {
    const int64_t heads = HeadsOf(pair->module, heads_);
    if (heads == 0) {
      Fail(ErrorCode::kInvalidArgument,
           "{}: its rows of q and k are ordered by attention heads, and it does not say how many "
           "there are; give its base model too",
           path_);
    }
    CheckHeads(pair->module, pair->b, heads, path_);
    pair->b = PermuteRows(pair->b, heads, Permute::kFromGguf, &adapter_.storage);
  }

  std::unique_ptr<GgufFile> file_;
  const std::string& path_;
  AttentionHeads heads_;
  const GgufArchitecture* architecture_ = nullptr;
  PairsOfFile pairs_;
  AdapterFile adapter_;
};

Tensor AsDtype(const Tensor& from, DType dtype, std::vector<Buffer>* storage) {
  if (from.dtype == dtype) return from;
  storage->emplace_back(DType::kF32, std::initializer_list<int64_t>{from.rows(), from.cols()});
  const Tensor wide = storage->back().tensor();
  WidenInto(from, wide);
  if (dtype == DType::kF32) return wide;
  storage->emplace_back(dtype, std::initializer_list<int64_t>{from.rows(), from.cols()});
  const Tensor& narrow = storage->back().tensor();
  for (int64_t i = 0; i < wide.size(); ++i) {
    narrow.as<float16>()[i] = ToFloat16(wide.as<float>()[i]);
  }
  return narrow;
}

std::string GgufNameOf(const std::string& module, const GgufBase& base,
                       const GgufArchitecture& architecture, const std::string& path) {
  if (module == "lm_head" && base.tied_head) {
    Fail(ErrorCode::kUnsupported,
         "{}: adapts lm_head, which the base shares with its embedding: llama.cpp has no tensor "
         "for it; merge the adapter instead (lorikeet merge)",
         path);
  }
  std::string name = GgufNameOfHf(architecture, module + std::string(kWeight));
  if (name.empty()) {
    Fail(ErrorCode::kUnsupported, "{}: module {} has no name in GGUF", path, QuotedName(module));
  }
  return name;
}

}  // namespace

bool IsGgufAdapter(const std::string& path) {
  return GgufFile(path).StringOr("general.type", "") == "adapter";
}

AdapterFile ReadGgufAdapter(const std::string& path, const AttentionHeads& heads) {
  return Reader(path, heads).Read();
}

int64_t WriteGgufAdapter(const std::string& path, const AdapterFile& adapter, const GgufBase& base,
                         DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF16);
  const GgufArchitecture& architecture = GgufArchitectureOf(base.model_type, path);
  const FoldedAdapter folded = FoldScales(adapter, OneNumber::kAlpha);
  std::vector<Buffer> storage;
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    const Tensor t = AsDtype(tensor, dtype, &storage);
    tensors.push_back({name, dtype, {t.rows(), t.cols()}, t.data});
  };
  for (const auto& [module, a, b, magnitude] : folded.pairs) {
    const std::string name = GgufNameOf(module, base, architecture, path);
    Tensor rows = b;
    if (architecture.interleaved && IsQueryOrKey(module)) {
      const int64_t heads = HeadsOf(module, base.heads);
      CheckHeads(module, b, heads, path);
      rows = PermuteRows(b, heads, Permute::kToGguf, &storage);
    }
    add(name + ".lora_a", a);
    add(name + ".lora_b", rows);
  }
  const std::string prefix = architecture.name;
  GgufMetadata metadata = {
      {"general.architecture", architecture.name},
      {"general.type", "adapter"},
      {"adapter.type", "lora"},
      {kAlphaKey, static_cast<float>(folded.number)},
      {prefix + ".attention.head_count", static_cast<uint32_t>(base.heads.query)},
      {prefix + ".attention.head_count_kv", static_cast<uint32_t>(base.heads.key_value)}};
  if (!adapter.config.base_model_name_or_path.empty()) {
    metadata.emplace_back("general.base_model.count", 1U);
    metadata.emplace_back(kBaseKey, adapter.config.base_model_name_or_path);
  }
  WriteGguf(path, metadata, tensors);
  return folded.folded;
}

std::string BaseNamedByGguf(const std::string& path) {
  return GgufFile(path).StringOr(kBaseKey, "");
}

}  // namespace lorikeet
