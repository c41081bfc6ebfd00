#include "model/export.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/file.h"
#include "kernels/cast.h"
#include "kernels/matmul.h"

namespace lorikeet {
namespace {

constexpr int64_t kShardBytes = int64_t{4} << 30;

int64_t SizeOf(const ModelSource::Entry& entry) {
  int64_t size = 1;
  for (const int64_t dim : entry.shape) size *= dim;
  return size;
}

// Entries cut into shards of at most kShardBytes each (an entry is never cut).
std::vector<std::vector<const ModelSource::Entry*>> Shards(const ModelSource& source, DType dtype) {
  std::vector<std::vector<const ModelSource::Entry*>> shards(1);
  int64_t filled = 0;
  for (const ModelSource::Entry& entry : source.entries()) {
    if (entry.name.ends_with(".rotary_emb.inv_freq")) continue;
    const int64_t bytes = DTypeBytes(dtype, SizeOf(entry));
    if (filled > 0 && filled + bytes > kShardBytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&entry);
    filled += bytes;
  }
  return shards;
}

void WriteShard(const ModelSource& source, DType dtype, const ChangeTensor& change,
                const std::vector<const ModelSource::Entry*>& entries, const std::string& path) {
  std::vector<Buffer> values;
  std::vector<TensorToWrite> tensors;
  for (const ModelSource::Entry* entry : entries) {
    const int64_t size = SizeOf(*entry);
    values.emplace_back(dtype, std::initializer_list<int64_t>{size});
    const Tensor rounded = values.back().tensor();
    if (change) {
      const Buffer exact(DType::kF32, {size});
      source.Read(entry->name, DType::kF32, exact.tensor().data);
      change(entry->name, exact.tensor().as<float>());
      Convert(exact.tensor(), rounded);
    } else {
      source.Read(entry->name, dtype, rounded.data);
    }
    tensors.push_back({entry->name, dtype, entry->shape, rounded.data});
  }
  WriteSafetensors(path, tensors, {{"format", "pt"}});
}

const char* TorchName(DType dtype) {
  return dtype == DType::kF32 ? "float32" : dtype == DType::kF16 ? "float16" : "bfloat16";
}

void WriteConfig(const ModelSource& source, DType dtype, const std::string& dir) {
  Json config = source.config();
  config.erase("quantization_config");
  const char* key = config.contains("dtype") ? "dtype" : "torch_dtype";
  config[key] = TorchName(dtype);
  WriteFileAtomically(dir + "/config.json", config.dump(2) + "\n");
}

}  // namespace

DType StoredDtype(const ModelSource& source) {
  for (const ModelSource::Entry& entry : source.entries()) {
    if (entry.shape.size() == 2) return IsQuantised(entry.dtype) ? DType::kBF16 : entry.dtype;
  }
  return DType::kBF16;
}

void WriteModel(const ModelSource& source, DType dtype, const ChangeTensor& change,
                const std::string& dir) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16);
  const auto shards = Shards(source, dtype);
  if (shards.size() == 1) {
    WriteShard(source, dtype, change, shards[0], dir + "/model.safetensors");
  } else {
    Json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", Json::object()}};
    int64_t total = 0;
    for (size_t i = 0; i < shards.size(); ++i) {
      const std::string name =
          fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
      WriteShard(source, dtype, change, shards[i], dir + "/" + name);
      for (const ModelSource::Entry* entry : shards[i]) {
        index["weight_map"][entry->name] = name;
        total += DTypeBytes(dtype, SizeOf(*entry));
      }
    }
    index["metadata"]["total_size"] = total;
    WriteFileAtomically(dir + "/model.safetensors.index.json", index.dump(2) + "\n");
  }
  WriteConfig(source, dtype, dir);
}

ChangeTensor MergeAdapter(const LoraAdapter& adapter) {
  std::unordered_map<std::string, const LoraPair*> pairs;
  for (const LoraPair& pair : adapter.pairs()) pairs[pair.module + ".weight"] = &pair;
  return [pairs](const std::string& name, float* values) {
    const auto found = pairs.find(name);
    if (found == pairs.end()) return;
    const LoraPair& pair = *found->second;
    const int64_t out = pair.bt.cols(), in = pair.a.cols();
    const Buffer scaled(DType::kF32, {pair.r, out});
    Convert(pair.bt, scaled.tensor());
    Scale(scaled.tensor(), pair.scale);
    MatMul(scaled.tensor(), pair.a, Tensor(values, DType::kF32, {out, in}), MatMulKind::kTN,
           /*accumulate=*/true);
  };
}

}  // namespace lorikeet
