#include "checkpoint/model_source.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "checkpoint/dequantise.h"
#include "checkpoint/fused_experts.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/hub_cache.h"
#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/text.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// Location of a model's weights and of the files beside them.
struct Location {
  std::string folder;
  std::string weights;  // for OpenSafetensors, or a .gguf file
};

[[noreturn]] void FailAdapter(const fs::path& folder) {
  const std::string path = (folder / "adapter_config.json").string();
  const Json config = ParseJson(ReadFile(path), path);
  const auto base = config.is_object() ? config.find("base_model_name_or_path") : config.end();
  Fail(ErrorCode::kInvalidArgument,
       "{}: an adapter, not a model; give its base model{} as the model and this folder as the "
       "adapter",
       folder.string(),
       config.is_object() && base != config.end() && base->is_string()
           ? fmt::format(" {}", QuotedName(base->get<std::string>()))
           : "");
}

// A name that cannot be a path (too long, for example) counts as a path that does not exist.
bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool HasSafetensors(const fs::path& folder) {
  return Exists(folder / "model.safetensors") || Exists(folder / "model.safetensors.index.json");
}

// The GGUF file of a folder that contains only this file, or only the parts of one model; it is
// used in place of the folder.
std::string OnlyGgufIn(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code unreadable;  // reported by the search for config.json
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    if (entry.path().extension() == ".gguf") found.push_back(entry.path().string());
  }
  for (const std::string& path : found) {
    if (IsFirstOfSplit(path, found.size())) return path;
  }
  if (found.size() > 1) {
    Fail(ErrorCode::kInvalidArgument, "{}: holds {} GGUF files; name one of them, e.g. {}",
         folder.string(), found.size(), found[0]);
  }
  return found.empty() ? "" : found[0];
}

Location Locate(const std::string& path_or_name) {
  const fs::path path = Exists(path_or_name) ? path_or_name : FindInHubCache(path_or_name);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    const fs::path parent = path.parent_path();
    return {parent.empty() ? "." : parent.string(), path.string()};
  }
  if (!HasSafetensors(path)) {
    if (Exists(path / "adapter_config.json")) FailAdapter(path);
    const std::string gguf = OnlyGgufIn(path);
    if (!gguf.empty()) return {path.string(), gguf};
  }
  return {path.string(), path.string()};
}

// Checks content as well as name: caches keep files under their hash.
bool LooksLikeGguf(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return false;
  if (path.ends_with(".gguf")) return true;
  const MappedFile file(path);
  return file.size() >= 4 && std::memcmp(file.data(), "GGUF", 4) == 0;
}

// Refuses weights packed by GPTQ, AWQ, bitsandbytes and the like, which are not plain tensors.
void RefuseQuantised(const Json& config, const std::string& path) {
  if (IsWrapper(config)) RefuseQuantised(config["text_config"], path);
  const auto quantised = config.find("quantization_config");
  if (quantised == config.end() || quantised->is_null()) return;
  if (quantised->is_object() && quantised->value("quant_method", Json()) == "fp8") {
    Fail(ErrorCode::kUnsupported,
         "{}: its weights are FP8 (quantization_config); take the bf16 version of the model, which "
         "its authors publish as well (of Ministral 3 under names that end in -BF16), or a GGUF "
         "file of it",
         path);
  }
  Fail(ErrorCode::kUnsupported,
       "{}: has a quantization_config; take the unquantised model, or a GGUF file of it", path);
}

// Pieces of about this many elements keep a thread's scratch in its cache.
constexpr int64_t kScratch = 8192;

template <class T>
void Narrow(const float* src, int64_t count, void* dst) {
  auto* out = static_cast<T*>(dst);
  for (int64_t i = 0; i < count; ++i) out[i] = FromFloat<T>(src[i]);
}

// `count` elements of any stored dtype at src, less `subtract`, to `to` at dst.
void ConvertRow(DType from, const std::byte* src, int64_t count, float subtract, DType to,
                std::byte* dst) {
  if (from == to && subtract == 0) {
    std::memcpy(dst, src, static_cast<size_t>(DTypeBytes(from, count)));
    return;
  }
  float scratch[kScratch];
  for (int64_t at = 0; at < count; at += kScratch) {  // kScratch is whole blocks of every format
    const int64_t n = std::min(kScratch, count - at);
    std::byte* out = dst + DTypeBytes(to, at);
    DequantiseRow(from, src + DTypeBytes(from, at), n, scratch);
    if (subtract != 0) {
      for (int64_t i = 0; i < n; ++i) scratch[i] -= subtract;
    }
    switch (to) {
      case DType::kF32:
        Narrow<float>(scratch, n, out);
        break;
      case DType::kBF16:
        Narrow<bfloat16>(scratch, n, out);
        break;
      case DType::kF16:
        Narrow<float16>(scratch, n, out);
        break;
      default:
        CHECK(false && "weights are read as f32, bf16 or f16");
    }
  }
}

// Index of row `row` of a head-by-head matrix when the halves of each head are interleaved.
int64_t InterleavedRow(int64_t row, int64_t head_dim) {
  const int64_t head = row / head_dim, in_head = row % head_dim, half = head_dim / 2;
  return head * head_dim + in_head % half * 2 + in_head / half;
}

}  // namespace

ModelSource ModelSource::Open(const std::string& path_or_name) {
  const Location location = Locate(path_or_name);
  return LooksLikeGguf(location.weights) ? OpenGguf(location.weights)
                                         : OpenFolder(location.folder, location.weights);
}

ModelSource ModelSource::OpenGguf(const std::string& path) {
  ModelSource source;
  auto gguf = std::make_unique<GgufFile>(path);
  source.path_ = gguf->path();
  if (gguf->Has("general.type") && gguf->String("general.type") == "adapter") {
    Fail(ErrorCode::kInvalidArgument,
         "{}: an adapter, not a model; give its base as the model and this file as the adapter",
         path);
  }
  source.config_ = ConfigFromGguf(*gguf);
  for (const GgufWeight& weight : WeightsFromGguf(*gguf, source.config_)) {
    source.AddEntry(weight.hf_name, {weight.tensor, weight.interleaved_heads, weight.subtract});
  }
  source.gguf_ = gguf.get();
  source.file_ = std::move(gguf);
  return source;
}

ModelSource ModelSource::OpenFolder(const std::string& folder, const std::string& weights) {
  ModelSource source;
  source.path_ = folder;
  const std::string config_path = (fs::path(folder) / "config.json").string();
  if (!Exists(config_path)) {
    Fail(ErrorCode::kNotFound, "{}: not there; a model needs its config.json beside its weights",
         config_path);
  }
  source.config_ = ParseJson(ReadFile(config_path), config_path);
  if (!source.config_.is_object()) {
    Fail(ErrorCode::kCorruptFile, "{}: not a JSON object; get the file again", config_path);
  }
  RefuseQuantised(source.config_, config_path);
  source.file_ = OpenSafetensors(weights);
  IsWrapper(source.config_) ? source.AddWrappedTensors() : source.AddTensors(weights);
  return source;
}

void ModelSource::AddTensors(const std::string& weights) {
  const bool mixtral = config_.value("model_type", Json()) == "mixtral";
  for (const NamedTensor& stored : file_->tensors()) {
    for (const auto& [name, tensor] : SplitFusedExperts(stored, mixtral, weights)) {
      AddEntry(name, {tensor, 0, 0});
    }
  }
}

void ModelSource::AddWrappedTensors() {
  const TextNames names(file_->tensors());
  for (const NamedTensor& stored : file_->tensors()) {
    const std::string module = names.OfModule(stored.name);
    Entry& entry = AddEntry(module.empty() ? stored.name : module, {stored.tensor, 0, 0});
    entry.other_part = module.empty();
    entry.file_name = stored.name;
  }
  embedding_name_ = std::string(kWrappedPrefix) + "embed_tokens.weight";
  new_head_name_ = names.InFile("lm_head.weight");
}

ModelSource::Entry& ModelSource::AddEntry(const std::string& name, const Stored& stored) {
  const Tensor& tensor = stored.tensor;
  index_.emplace(name, entries_.size());
  entries_.push_back(
      {name, tensor.dtype, {tensor.shape.begin(), tensor.shape.begin() + tensor.rank}});
  stored_.push_back(stored);
  return entries_.back();
}

ModelSource ModelSource::Rebuilt(Json config, const std::vector<Part>& parts,
                                 std::vector<Buffer> storage) const {
  ModelSource source;
  source.path_ = path_;
  source.config_ = std::move(config);
  source.file_ = file_;
  source.storage_ = std::make_shared<const std::vector<Buffer>>(std::move(storage));
  source.gguf_ = gguf_;
  for (const Part& part : parts) {
    if (part.made) {
      source.AddEntry(part.name, {part.made, 0, 0});
    } else {
      source.AddEntry(part.name, Get(part.from));
    }
  }
  return source;
}

const ModelSource::Entry* ModelSource::Find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

const ModelSource::Stored& ModelSource::Get(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  if (found == index_.end()) {
    Fail(ErrorCode::kNotFound, "{}: has no tensor {}; the model's config and weights disagree",
         path_, QuotedName(name));
  }
  return stored_[found->second];
}

Tensor ModelSource::Mapped(std::string_view name) const {
  const Stored& stored = Get(name);
  const bool as_stored = stored.interleaved_heads == 0 && stored.subtract == 0;
  return IsFloat(stored.tensor.dtype) && as_stored ? stored.tensor : Tensor();
}

void ModelSource::Read(std::string_view name, DType to, void* dst) const {
  const Stored& stored = Get(name);
  const int64_t width = WidthOf(stored);
  ReadPart(stored, 0, width == 0 ? 0 : stored.tensor.size() / width, to, dst);
}

void ModelSource::ReadRows(std::string_view name, int64_t begin, int64_t end, DType to,
                           void* dst) const {
  const Stored& stored = Get(name);
  CHECK(stored.tensor.rank == 2 && 0 <= begin && begin <= end && end <= stored.tensor.rows());
  ReadPart(stored, begin, end, to, dst);
}

// A bias has rows of one element if its rows are permuted, and is one row otherwise.
int64_t ModelSource::WidthOf(const Stored& stored) {
  return stored.tensor.rank == 1 && stored.interleaved_heads > 0 ? 1 : stored.tensor.cols();
}

void ModelSource::ReadPart(const Stored& stored, int64_t begin, int64_t end, DType to,
                           void* dst) const {
  const Tensor& tensor = stored.tensor;
  if (!IsFloat(tensor.dtype) && !IsQuantised(tensor.dtype)) {
    const auto index = static_cast<size_t>(&stored - stored_.data());
    Fail(ErrorCode::kUnsupported, "{}: tensor {} holds {} numbers, not weights", path_,
         QuotedName(entries_[index].name), DTypeName(tensor.dtype));
  }
  if (tensor.size() == 0) return;
  const int64_t width = WidthOf(stored), heads = stored.interleaved_heads;
  const int64_t head_dim = heads > 0 ? tensor.size() / width / heads : 0;
  const auto* src = static_cast<const std::byte*>(tensor.data);
  auto* out = static_cast<std::byte*>(dst);
  const int64_t from_bytes = DTypeBytes(tensor.dtype, width), to_bytes = DTypeBytes(to, width);
  ParallelRanges(end - begin, std::max<int64_t>(1, kScratch / width), [&](int64_t a, int64_t b) {
    for (int64_t row = begin + a; row < begin + b; ++row) {
      const int64_t from = heads > 0 ? InterleavedRow(row, head_dim) : row;
      ConvertRow(tensor.dtype, src + from * from_bytes, width, stored.subtract, to,
                 out + (row - begin) * to_bytes);
    }
  });
  if (storage_ != nullptr && std::ranges::any_of(*storage_, [&](const Buffer& buffer) {
        return buffer.tensor().data == tensor.data;
      })) {
    return;
  }
  file_->Forget(
      Tensor(tensor.data, tensor.dtype, {tensor.size()}).Rows(begin * width, end * width));
}

std::string ModelSource::TextFile(const std::string& name) const {
  if (IsGguf()) return "";
  const std::string path = (fs::path(path_) / name).string();
  return Exists(path) ? ReadFile(path) : "";
}

}  // namespace lorikeet
