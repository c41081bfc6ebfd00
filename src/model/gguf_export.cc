#include "model/gguf_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "checkpoint/quantise.h"
#include "checkpoint/text_names.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/finite.h"
#include "core/parallel.h"
#include "core/text.h"
#include "kernels/cast.h"

namespace lorikeet {
namespace {

constexpr int64_t kPiece = int64_t{1} << 20;  // elements in memory at once
constexpr const char* kHead = "lm_head.weight";
constexpr const char* kSharedGate = ".ffn_gate_inp_shexp.weight";  // a vector in the file

struct TypesRow {
  GgufTypes types;
  const char* name;
  uint32_t file_type;  // LLAMA_FTYPE of llama.cpp
  DType dtype;         // of most matrices
};
constexpr TypesRow kTypes[] = {
    {GgufTypes::kF32, "f32", 0, DType::kF32},     {GgufTypes::kF16, "f16", 1, DType::kF16},
    {GgufTypes::kBF16, "bf16", 32, DType::kBF16}, {GgufTypes::kQ8_0, "q8_0", 7, DType::kQ8_0},
    {GgufTypes::kQ4_0, "q4_0", 2, DType::kQ4_0},  {GgufTypes::kQ4_K_M, "q4_k_m", 15, DType::kQ4_K}};

const TypesRow& RowOf(GgufTypes types) {
  return *std::ranges::find(kTypes, types, &TypesRow::types);
}

// Layer of "blk.3.attn_v.weight"; -1 for tensors outside of the layers.
int64_t LayerOf(std::string_view name) {
  int64_t layer = -1;
  if (name.starts_with("blk.")) {
    std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  }
  return layer;
}

// The layers that get more bits in Q4_K_M: the first and last eighth, and every third between.
bool MoreBits(int64_t layer, int64_t layers) {
  const int64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

// Llama 2 and 3 70B and Qwen2 72B, where eight heads share each attn_v.
bool IsSize70B(const ModelConfig& config) {
  const bool grouped = config.num_attention_heads != config.num_key_value_heads;
  const std::string& type = config.model_type;
  return config.num_hidden_layers == 80 &&
         (type == "qwen2" || ((type == "llama" || type == "mistral") && grouped));
}

// llama.cpp treats mixtures of eight experts apart.
DType TypeInMixture(std::string_view name, const ModelConfig& config) {
  const bool eight = config.num_experts == 8;
  const bool more = MoreBits(LayerOf(name), config.num_hidden_layers);
  if (name.ends_with("attn_v.weight") || name.ends_with("attn_qkv.weight")) {
    if (eight) return DType::kQ8_0;
    if (more) return DType::kQ6_K;
    return IsSize70B(config) ? DType::kQ5_K : DType::kQ4_K;
  }
  if (name.ends_with("attn_k.weight") && eight) return DType::kQ8_0;
  if (name.ends_with("attn_output.weight") && eight) return DType::kQ5_K;
  if (name.find("ffn_down") != name.npos && more) return DType::kQ6_K;
  return DType::kQ4_K;
}

// A type of smaller blocks for rows that are not whole blocks.
DType Fallback(DType dtype, int64_t cols) {
  if (cols % DTypeBlock(dtype) == 0) return dtype;
  DType smaller = DType::kF16;
  if (dtype == DType::kQ4_K) smaller = DType::kQ5_0;
  if (dtype == DType::kQ5_K || dtype == DType::kQ6_K) smaller = DType::kQ8_0;
  return cols % DTypeBlock(smaller) == 0 ? smaller : DType::kF16;
}

DType TypeOf(const std::string& name, const std::vector<int64_t>& shape, const ModelConfig& config,
             GgufTypes types) {
  const bool matrix = shape.size() > 1 && name.ends_with(".weight");
  if (!matrix || name.ends_with("_norm.weight") || name.ends_with("ffn_gate_inp.weight")) {
    return DType::kF32;
  }
  const DType dtype = RowOf(types).dtype;
  if (!IsQuantised(dtype)) return dtype;
  const bool head =
      name == "output.weight" || (config.tie_word_embeddings && name == "token_embd.weight");
  if (head && dtype != DType::kQ8_0) {
    const bool whole = shape.back() % DTypeBlock(dtype) == 0;
    return Fallback(whole ? DType::kQ6_K : DType::kQ8_0, shape.back());
  }
  const bool mixture = types == GgufTypes::kQ4_K_M;
  return Fallback(mixture ? TypeInMixture(name, config) : dtype, shape.back());
}

int64_t HeadsOf(std::string_view hf_name, const ModelConfig& config) {
  if (hf_name.find(".q_proj.") != hf_name.npos) return config.num_attention_heads;
  if (hf_name.find(".k_proj.") != hf_name.npos) return config.num_key_value_heads;
  return 0;
}

// Order in the file: embedding, layers, what follows them.
int64_t Place(const GgufTensor& tensor) {
  const int64_t layer = LayerOf(tensor.name);
  if (layer >= 0) return layer;
  return tensor.name == "token_embd.weight" ? -1 : INT64_MAX;
}

// Adds an expert's matrix to the tensor of all of them; they need not come in order.
void AddToStack(const ModelSource& source, const GgufStack& stack, const ModelSource::Entry& entry,
                const GgufExperts& experts, const ModelConfig& config,
                std::vector<GgufTensor>* tensors) {
  const std::string name = stack.GgufTensor();
  if (std::ranges::find(*tensors, name, &GgufTensor::name) != tensors->end()) return;
  GgufTensor tensor = {.name = name, .shape = {config.num_experts}};
  tensor.shape.insert(tensor.shape.end(), entry.shape.begin(), entry.shape.end());
  for (int64_t e = 0; e < config.num_experts; ++e) {
    tensor.from.push_back(stack.HfTensor(experts, e));
    const ModelSource::Entry* expert = source.Find(tensor.from.back());
    if (expert != nullptr && expert->shape == entry.shape) continue;
    Fail(ErrorCode::kCorruptFile, "{}: tensor {} is missing, or has another shape than {}",
         source.path(), QuotedName(tensor.from.back()), QuotedName(entry.name));
  }
  tensors->push_back(std::move(tensor));
}

// The tensors of the file that hold one of the source's.
void AddTensors(const ModelSource& source, const ModelSource::Entry& entry,
                const ModelConfig& config, const GgufArchitecture& architecture,
                std::vector<GgufTensor>* tensors) {
  const std::vector<std::string> names = GgufNamesOfHf(architecture, entry.name);
  const auto parts = std::ssize(names);
  if (names.empty()) {
    Fail(ErrorCode::kUnsupported, "{}: tensor {} has no name in a GGUF file of architecture {}",
         source.path(), QuotedName(entry.name), architecture.name);
  }
  if (parts > 1 && (entry.shape.size() != 2 || entry.shape[0] % parts != 0)) {
    Fail(ErrorCode::kCorruptFile, "{}: the rows of {} are not {} equal parts", source.path(),
         QuotedName(entry.name), parts);
  }
  for (int64_t part = 0; part < parts; ++part) {
    GgufTensor tensor = {.name = names[static_cast<size_t>(part)],
                         .shape = entry.shape,
                         .from = {entry.name},
                         .part = part,
                         .parts = parts};
    tensor.shape[0] /= parts;
    if (tensor.name.ends_with(kSharedGate)) tensor.shape = {entry.shape.back()};
    if (architecture.interleaved) tensor.interleaved_heads = HeadsOf(entry.name, config);
    if (architecture.norms_plus_one && entry.name.ends_with("norm.weight")) tensor.add = 1;
    tensors->push_back(std::move(tensor));
  }
}

// Rows of one source tensor in f32, in the order of the file.
class RowReader {
 public:
  RowReader(const ModelSource& source, const std::string& name, const GgufTensor& tensor,
            const ChangeTensor& change)
      : source_(source), name_(name), tensor_(tensor), change_(change) {
    const ModelSource::Entry& entry = *source.Find(name);
    matrix_ = entry.shape.size() == 2;
    rows_ = matrix_ ? entry.shape[0] / tensor.parts : 1;
    cols_ = entry.shape.back();
    first_ = tensor.part * rows_;
    if (!matrix_ && tensor.interleaved_heads > 0) std::swap(rows_, cols_);
    const int64_t heads = tensor.interleaved_heads;
    const int64_t unit = heads > 0 ? rows_ / heads : 1;  // rows that are permuted together
    if (heads > 0 && (rows_ % heads != 0 || unit % 2 != 0)) {
      Fail(ErrorCode::kCorruptFile, "{}: {} has {} rows, which are not {} heads", source.path(),
           QuotedName(name), rows_, heads);
    }
    unit_ = unit;
    const int64_t wanted = kPiece / std::max<int64_t>(1, cols_) / unit * unit;
    height_ = matrix_ ? std::clamp(wanted, unit, rows_) : rows_;
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t height() const { return height_; }  // rows of one piece at most

  // `scratch` and `out` (height, cols) f32. Result: a view of one of them.
  Tensor Read(int64_t begin, const Tensor& scratch, const Tensor& out) const {
    const int64_t count = std::min(height_, rows_ - begin);
    const Tensor read = scratch.Rows(0, count);
    if (matrix_) {
      source_.ReadRows(name_, first_ + begin, first_ + begin + count, DType::kF32, read.data);
    } else {
      source_.Read(name_, DType::kF32, read.data);
    }
    if (change_)
      change_(name_, first_ + begin,
              matrix_ ? read : Tensor(read.data, DType::kF32, {rows_ * cols_}));
    if (tensor_.add != 0) {
      for (int64_t i = 0; i < read.size(); ++i) read.as<float>()[i] += tensor_.add;
    }
    if (tensor_.interleaved_heads == 0) return read;
    const Tensor permuted = out.Rows(0, count);
    for (int64_t row = 0; row < count; ++row) {
      const int64_t head = row / unit_ * unit_, in_head = row % unit_;
      const int64_t to = head + in_head % (unit_ / 2) * 2 + in_head / (unit_ / 2);
      std::memcpy(permuted.as<float>() + to * cols_, read.as<float>() + row * cols_,
                  static_cast<size_t>(cols_) * sizeof(float));
    }
    return permuted;
  }

 private:
  const ModelSource& source_;
  const std::string& name_;
  const GgufTensor& tensor_;
  const ChangeTensor& change_;
  bool matrix_ = true;
  int64_t rows_ = 0, cols_ = 0, first_ = 0, unit_ = 1, height_ = 0;
};

// Whether blocks can hold the values: their scales are f16.
bool FitBlocks(const Tensor& values) {
  constexpr float kMax = 65504.0F * 7;
  const auto* v = values.as<float>();
  return std::all_of(v, v + values.size(), [](float x) { return std::abs(x) < kMax; });
}

// False for values that are not finite in `dtype`.
bool Store(const Tensor& values, DType dtype, std::byte* dst) {
  if (!IsQuantised(dtype)) {
    const Tensor to(dst, dtype, {values.rows(), values.cols()});
    Convert(values, to);
    return IsFinite(to);
  }
  if (!FitBlocks(values)) return false;
  const int64_t cols = values.cols(), bytes = DTypeBytes(dtype, cols);
  ParallelRanges(values.rows(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      QuantiseRow(dtype, values.as<float>() + row * cols, cols, dst + row * bytes);
    }
  });
  return true;
}

}  // namespace

GgufTypes ParseGgufTypes(const std::string& name) {
  for (const TypesRow& row : kTypes) {
    if (name == row.name) return row.types;
  }
  Fail(ErrorCode::kInvalidArgument, "dtype '{}' is not one of f32, f16, bf16, q8_0, q4_0, q4_k_m",
       name);
}

const char* GgufTypesName(GgufTypes types) { return RowOf(types).name; }
uint32_t GgufFileType(GgufTypes types) { return RowOf(types).file_type; }
bool IsQuantised(GgufTypes types) { return IsQuantised(RowOf(types).dtype); }

std::vector<GgufTensor> PlanGgufTensors(const ModelSource& source, const ModelConfig& config,
                                        const GgufArchitecture& architecture, GgufTypes types) {
  std::vector<GgufTensor> tensors;
  for (const ModelSource::Entry& entry : source.entries()) {
    // A vision tower; as in model/export.cc, a table that is computed and a copy of the embedding.
    if (entry.other_part || entry.name.ends_with(".rotary_emb.inv_freq")) continue;
    const std::string plain = WithoutWrapper(entry.name);
    if (config.tie_word_embeddings && plain == kHead) continue;
    if (architecture.experts != nullptr) {
      const auto stack = GgufStackOfHf(*architecture.experts, plain);
      if (stack) {
        AddToStack(source, *stack, entry, *architecture.experts, config, &tensors);
        continue;
      }
    }
    AddTensors(source, entry, config, architecture, &tensors);
  }
  for (GgufTensor& tensor : tensors) {
    tensor.dtype = TypeOf(tensor.name, tensor.shape, config, types);
  }
  std::ranges::stable_sort(tensors, {}, Place);
  return tensors;
}

void MakeGgufTensor(const ModelSource& source, const GgufTensor& tensor, const ChangeTensor& change,
                    const ByteSink& sink) {
  for (const std::string& name : tensor.from) {
    const RowReader reader(source, name, tensor, change);
    const int64_t height = reader.height(), cols = reader.cols();
    const Buffer scratch(DType::kF32, {height, cols}), permuted(DType::kF32, {height, cols});
    std::vector<std::byte> bytes(static_cast<size_t>(DTypeBytes(tensor.dtype, height * cols)));
    for (int64_t begin = 0; begin < reader.rows(); begin += height) {
      const Tensor values = reader.Read(begin, scratch.tensor(), permuted.tensor());
      if (!Store(values, tensor.dtype, bytes.data())) {
        Fail(ErrorCode::kCorruptFile,
             "{}: tensor {} would be written with a value that is not finite in {}; it is NaN or "
             "infinite in the files that were read, or too large for {}: get the files again, or "
             "give a wider --dtype",
             source.path(), QuotedName(name), DTypeName(tensor.dtype), DTypeName(tensor.dtype));
      }
      sink(bytes.data(), static_cast<size_t>(DTypeBytes(tensor.dtype, values.size())));
    }
  }
}

}  // namespace lorikeet
