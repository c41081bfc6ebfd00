#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <unordered_map>
#include <utility>

#include "checkpoint/file_sums.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr const char* kIndexSuffix = ".safetensors.index.json";

struct DTypeRow {
  const char* name;
  DType dtype;
};
constexpr DTypeRow kDTypes[] = {
    {"F32", DType::kF32},        {"F16", DType::kF16},        {"BF16", DType::kBF16},
    {"I32", DType::kI32},        {"I64", DType::kI64},        {"U8", DType::kU8},
    {"BOOL", DType::kBool},      {"I8", DType::kI8},          {"I16", DType::kI16},
    {"U16", DType::kU16},        {"U32", DType::kU32},        {"U64", DType::kU64},
    {"F64", DType::kF64},        {"F8_E4M3", DType::kF8E4M3}, {"F8_E5M2", DType::kF8E5M2},
    {"F8_E8M0", DType::kF8E8M0},
};

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (name == row.name) return row.dtype;
  }
  return std::nullopt;
}

const char* NameOfDType(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (dtype == row.dtype) return row.name;
  }
  CHECK(false && "dtype has no place in safetensors");
}

// One entry of a header, validated on its own.
struct HeaderEntry {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  uint64_t begin, end;  // offsets in bytes after the header
};

[[noreturn]] void FailTensor(const std::string& path, const std::string& name, const char* what) {
  Fail(ErrorCode::kCorruptFile, "{}: tensor {}: {}; the file is damaged, get it again", path,
       QuotedName(name), what);
}

std::vector<int64_t> ShapeFrom(const Json& json, const std::string& path, const std::string& name) {
  std::vector<int64_t> shape;
  for (const Json& dim : json) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > INT64_MAX) {
      FailTensor(path, name, "a dimension is not a whole number");
    }
    shape.push_back(dim.get<int64_t>());
  }
  if (shape.size() > std::tuple_size_v<decltype(Tensor::shape)>) {
    Fail(ErrorCode::kUnsupported, "{}: tensor {} has {} dimensions; at most {} are supported", path,
         QuotedName(name), shape.size(), std::tuple_size_v<decltype(Tensor::shape)>);
  }
  if (shape.empty()) shape.push_back(1);
  return shape;
}

// Size of a tensor in bytes; empty if it overflows.
std::optional<uint64_t> BytesOf(DType dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = DTypeBytes(dtype, 1);
  for (const int64_t dim : shape) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return static_cast<uint64_t>(bytes);
}

HeaderEntry EntryFrom(const std::string& name, const Json& json, const std::string& path) {
  if (!json.is_object()) FailTensor(path, name, "its header entry is not an object");
  const auto dtype = json.find("dtype"), shape = json.find("shape"),
             offsets = json.find("data_offsets");
  if (dtype == json.end() || !dtype->is_string()) FailTensor(path, name, "it has no dtype");
  if (shape == json.end() || !shape->is_array()) FailTensor(path, name, "it has no shape");
  if (offsets == json.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
    FailTensor(path, name, "data_offsets are not two whole numbers");
  }
  const auto& dtype_name = dtype->get_ref<const std::string&>();
  const std::optional<DType> type = DTypeFromName(dtype_name);
  if (!type) {
    Fail(ErrorCode::kUnsupported,
         "{}: tensor {} has dtype {}, which is not one of 8 or more bits that safetensors has",
         path, QuotedName(name), QuotedName(dtype_name));
  }
  HeaderEntry entry{name, *type, ShapeFrom(*shape, path, name), (*offsets)[0].get<uint64_t>(),
                    (*offsets)[1].get<uint64_t>()};
  const std::optional<uint64_t> bytes = BytesOf(entry.dtype, entry.shape);
  if (entry.begin > entry.end || !bytes || *bytes != entry.end - entry.begin) {
    FailTensor(path, name, "its bytes do not agree with its dtype and shape");
  }
  return entry;
}

// The entries of a mapped file, in the order of their data, which they fill without gap or overlap.
std::vector<HeaderEntry> ReadHeader(const MappedFile& file, uint64_t* data_begin) {
  const std::string& path = file.path();
  uint64_t length = 0;
  if (file.size() < sizeof length) {
    Fail(ErrorCode::kCorruptFile, "{}: {} bytes are too short for a safetensors file", path,
         file.size());
  }
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeaderBytes || length > file.size() - sizeof length) {
    RefuseWebPage(file);
    Fail(ErrorCode::kCorruptFile,
         "{}: its header claims {} bytes of {}; not a safetensors file, or cut short", path, length,
         file.size());
  }
  *data_begin = sizeof length + length;
  const Json header =
      ParseJson({reinterpret_cast<const char*>(file.data()) + sizeof length, length}, path);
  if (!header.is_object()) {
    Fail(ErrorCode::kCorruptFile, "{}: its header is not a JSON object; not a safetensors file",
         path);
  }
  std::vector<HeaderEntry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name != "__metadata__") entries.push_back(EntryFrom(name, json, path));
  }
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t at = 0;
  for (const HeaderEntry& entry : entries) {
    if (entry.begin != at) FailTensor(path, entry.name, "its data leaves a gap or overlaps");
    at = entry.end;
  }
  if (at != file.size() - *data_begin) {
    Fail(ErrorCode::kCorruptFile,
         "{}: the header describes {} bytes of data and the file has {}; cut short or damaged, "
         "get it again",
         path, at, file.size() - *data_begin);
  }
  return entries;
}

class MappedTensors final : public TensorFile {
 public:
  void Add(const std::string& path) {
    const MappedFile& file = files_.emplace_back(path);
    CheckFileSum(file);
    uint64_t data_begin = 0;
    for (HeaderEntry& entry : ReadHeader(file, &data_begin)) {
      // Views are read-only by agreement: Tensor has no const form.
      auto* data = const_cast<std::byte*>(file.data()) + data_begin + entry.begin;
      AddTensor(std::move(entry), data, path);
    }
  }

  Tensor Find(std::string_view name) const override {
    const auto found = index_.find(std::string(name));
    return found == index_.end() ? Tensor() : tensors_[found->second].tensor;
  }
  const std::vector<NamedTensor>& tensors() const override { return tensors_; }
  void Forget(const Tensor& tensor) const override {
    for (const MappedFile& file : files_) {
      file.Forget(tensor.data, static_cast<size_t>(tensor.bytes()));
    }
  }

 private:
  void AddTensor(HeaderEntry entry, std::byte* data, const std::string& path) {
    const auto element = static_cast<uintptr_t>(DTypeBytes(entry.dtype, 1));
    if (reinterpret_cast<uintptr_t>(data) % element != 0) {
      const auto bytes = static_cast<int64_t>(entry.end - entry.begin);
      const Buffer& copy = copies_.emplace_back(DType::kU8, std::initializer_list<int64_t>{bytes});
      if (bytes > 0) std::memcpy(copy.tensor().data, data, static_cast<size_t>(bytes));
      data = static_cast<std::byte*>(copy.tensor().data);
    }
    Tensor tensor(data, entry.dtype, {});
    for (const int64_t dim : entry.shape) tensor.shape[tensor.rank++] = dim;
    if (!index_.emplace(entry.name, tensors_.size()).second) {
      FailTensor(path, entry.name, "another file of this model has it too");
    }
    tensors_.push_back({std::move(entry.name), tensor});
  }

  std::vector<MappedFile> files_;
  std::vector<Buffer> copies_;  // copies of unaligned tensors
  std::vector<NamedTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// The shards of an index, each once; fails unless every tensor is in the shard that the index
// names.
std::unique_ptr<TensorFile> OpenShards(const std::string& path) {
  const Json json = ParseJson(ReadFile(path), path);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object()) {
    Fail(ErrorCode::kCorruptFile, "{}: has no object 'weight_map'; get the file again", path);
  }
  std::map<std::string, std::vector<std::string>> shards;  // shard -> its tensors
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string() || shard.get<std::string>().empty() ||
        shard.get<std::string>().find('/') != std::string::npos) {
      Fail(ErrorCode::kCorruptFile, "{}: weight_map sends tensor {} to no file of this folder",
           path, QuotedName(name));
    }
    shards[shard.get<std::string>()].push_back(name);
  }
  auto file = std::make_unique<MappedTensors>();
  for (const auto& [shard, names] : shards) {
    const std::string shard_path = (fs::path(path).parent_path() / shard).string();
    file->Add(shard_path);
    for (const std::string& name : names) {
      if (!file->Find(name)) {
        Fail(ErrorCode::kCorruptFile, "{}: tensor {} is missing, which {} lists", shard_path,
             QuotedName(name), path);
      }
    }
  }
  return file;
}

bool HasFile(const fs::path& folder, const char* name) {
  std::error_code ignored;
  return fs::exists(folder / name, ignored);
}

bool IsDirectory(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// The file to open in a folder, in the search order of transformers.
std::string PathInFolder(const fs::path& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json"}) {
    if (HasFile(folder, name)) return (folder / name).string();
  }
  const bool pickled =
      HasFile(folder, "pytorch_model.bin") || HasFile(folder, "pytorch_model.bin.index.json");
  Fail(ErrorCode::kNotFound, "{}: holds no model.safetensors and no model.safetensors.index.json{}",
       folder.string(),
       pickled ? "; convert its pytorch_model.bin with transformers' "
                 "save_pretrained(safe_serialization=True)"
               : "");
}

struct Planned {
  const TensorToWrite* tensor;
  uint64_t begin, end;
};

// Largest elements first, so that every tensor is aligned once the first one is.
std::vector<Planned> PlanLayout(const std::vector<TensorToWrite>& tensors,
                                const std::string& path) {
  std::vector<Planned> plan;
  for (const TensorToWrite& tensor : tensors) plan.push_back({&tensor, 0, 0});
  std::sort(plan.begin(), plan.end(), [](const Planned& a, const Planned& b) {
    const int64_t size_a = DTypeBytes(a.tensor->dtype, 1), size_b = DTypeBytes(b.tensor->dtype, 1);
    return size_a != size_b ? size_a > size_b : a.tensor->name < b.tensor->name;
  });
  uint64_t at = 0;
  for (Planned& planned : plan) {
    const std::optional<uint64_t> bytes = BytesOf(planned.tensor->dtype, planned.tensor->shape);
    if (!bytes) {
      Fail(ErrorCode::kInvalidArgument, "{}: tensor {} is too large to write", path,
           QuotedName(planned.tensor->name));
    }
    planned.begin = at;
    planned.end = at += *bytes;
  }
  return plan;
}

std::string HeaderFor(const std::vector<Planned>& plan,
                      const std::map<std::string, std::string>& metadata) {
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (const Planned& planned : plan) {
    CHECK(!header.contains(planned.tensor->name));  // a name written twice
    header[planned.tensor->name] = {{"dtype", NameOfDType(planned.tensor->dtype)},
                                    {"shape", planned.tensor->shape},
                                    {"data_offsets", {planned.begin, planned.end}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

std::unique_ptr<TensorFile> OpenSafetensors(const std::string& path) {
  const std::string file_path = IsDirectory(path) ? PathInFolder(path) : path;
  if (file_path.ends_with(kIndexSuffix)) return OpenShards(file_path);
  auto file = std::make_unique<MappedTensors>();
  file->Add(file_path);
  return file;
}

void WriteSafetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  WriteSafetensors(path, tensors, metadata, [&](size_t index, const ByteSink& sink) {
    const TensorToWrite& tensor = tensors[index];
    sink(tensor.data, BytesOf(tensor.dtype, tensor.shape).value());
  });
}

void WriteSafetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                      const std::map<std::string, std::string>& metadata, const MakeTensor& make) {
  const std::vector<Planned> plan = PlanLayout(tensors, path);
  const std::string header = HeaderFor(plan, metadata);
  const uint64_t length = header.size();
  WriteFileAtomically(path, [&](int fd) {
    WriteAll(fd, &length, sizeof length, path);
    WriteAll(fd, header.data(), header.size(), path);
    for (const Planned& planned : plan) {
      uint64_t written = 0;
      make(static_cast<size_t>(planned.tensor - tensors.data()),
           [&](const void* data, size_t bytes) {
             WriteAll(fd, data, bytes, path);
             written += bytes;
           });
      CHECK(written == planned.end - planned.begin);
    }
  });
}

}  // namespace lorikeet
