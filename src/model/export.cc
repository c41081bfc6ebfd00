#include "model/export.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "checkpoint/safetensors.h"
#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/finite.h"
#include "core/text.h"
#include "kernels/cast.h"
#include "kernels/column_scale.h"
#include "kernels/matmul/matmul.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

constexpr int64_t kShardBytes = int64_t{4} << 30;
constexpr int64_t kPiece = int64_t{1} << 20;  // elements in memory at once

struct TensorFrom {
  std::string name;  // for `change`
  std::string name_in_file;
  DType dtype;  // to write
  const ModelSource::Entry* entry;
};

int64_t SizeOf(const ModelSource::Entry& entry) {
  int64_t size = 1;
  for (const int64_t dim : entry.shape) size *= dim;
  return size;
}

// tied: the source's head is its embedding. untie_head: it gets a head of its own in the folder.
// Tensors of other parts keep their dtype.
std::vector<TensorFrom> TensorsToWrite(const ModelSource& source, DType dtype, bool tied,
                                       bool untie_head) {
  constexpr const char* kHead = "lm_head.weight";
  std::vector<TensorFrom> tensors;
  for (const ModelSource::Entry& entry : source.entries()) {
    if (entry.name.ends_with(".rotary_emb.inv_freq")) continue;
    // Some files hold a tied head again. After training it would differ from the embedding, and be
    // taken for a head of its own.
    if (tied && entry.name == kHead) continue;
    tensors.push_back(
        {entry.name, entry.NameInFile(), entry.other_part ? entry.dtype : dtype, &entry});
  }
  if (untie_head) {
    tensors.push_back({kHead, source.new_head_name(), dtype, source.Find(source.embedding_name())});
  }
  return tensors;
}

// Tensors cut into shards of at most kShardBytes each (a tensor is never cut).
std::vector<std::vector<TensorFrom>> Shards(const std::vector<TensorFrom>& tensors) {
  std::vector<std::vector<TensorFrom>> shards(1);
  int64_t filled = 0;
  for (const TensorFrom& tensor : tensors) {
    const int64_t bytes = DTypeBytes(tensor.dtype, SizeOf(*tensor.entry));
    if (filled > 0 && filled + bytes > kShardBytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(tensor);
    filled += bytes;
  }
  return shards;
}

// One tensor, made and given away in pieces of rows: a model never lies in memory a second time.
// A vector is one piece.
void MakePieces(const ModelSource& source, const ChangeTensor& change, const TensorFrom& from,
                const ByteSink& sink) {
  const ModelSource::Entry& entry = *from.entry;
  const DType dtype = from.dtype;
  if (entry.other_part) {
    const Tensor& stored = source.InFile(entry.name);
    sink(stored.data, static_cast<size_t>(stored.bytes()));
    return;
  }
  const bool matrix = entry.shape.size() == 2;
  const int64_t rows = matrix ? entry.shape[0] : 1;
  const int64_t cols = matrix ? entry.shape[1] : SizeOf(entry);
  const int64_t most = std::clamp<int64_t>(kPiece / std::max<int64_t>(cols, 1), 1, kPiece);
  const int64_t height = std::min(most, rows);
  const Buffer exact(DType::kF32, {height, cols}), rounded(dtype, {height, cols});
  for (int64_t begin = 0; begin < rows; begin += height) {
    const int64_t count = std::min(height, rows - begin);
    const Tensor to = rounded.tensor().Rows(0, count), f32 = exact.tensor().Rows(0, count);
    const Tensor& read = change ? f32 : to;
    if (matrix) {
      source.ReadRows(entry.name, begin, begin + count, read.dtype, read.data);
    } else {
      source.Read(entry.name, read.dtype, read.data);
    }
    if (change) {
      change(from.name, begin, matrix ? f32 : Tensor(f32.data, DType::kF32, {cols}));
      Convert(f32, to);
    }
    if (!IsFinite(to)) {
      Fail(
          ErrorCode::kCorruptFile,
          "{}: tensor {} would be written with a value that is not finite in {}; it is NaN or "
          "infinite in the files that were read, or too large for {}: get the files again, or give "
          "a wider --dtype",
          source.path(), QuotedName(from.name), DTypeName(dtype), DTypeName(dtype));
    }
    sink(to.data, static_cast<size_t>(to.bytes()));
  }
}

void WriteShard(const ModelSource& source, const ChangeTensor& change,
                const std::vector<TensorFrom>& from, const std::string& path) {
  std::vector<TensorToWrite> tensors;
  tensors.reserve(from.size());
  for (const TensorFrom& t : from) {
    tensors.push_back({t.name_in_file, t.dtype, t.entry->shape, nullptr});
  }
  WriteSafetensors(path, tensors, {{"format", "pt"}}, [&](size_t index, const ByteSink& sink) {
    MakePieces(source, change, from[index], sink);
  });
}

const char* TorchName(DType dtype) {
  return dtype == DType::kF32 ? "float32" : dtype == DType::kF16 ? "float16" : "bfloat16";
}

void WriteConfig(const ModelSource& source, DType dtype, bool tied, const std::string& dir) {
  Json config = source.config();
  const bool says_tied = ReadModelConfig(config, source.path()).tie_word_embeddings;
  const auto set = [&](Json& part) {
    if (says_tied && !tied) part["tie_word_embeddings"] = false;
    part.erase("quantization_config");
    const char* key = part.contains("dtype") ? "dtype" : "torch_dtype";
    if (&part == &config || part.contains(key)) part[key] = TorchName(dtype);
  };
  set(config);
  if (IsWrapper(config)) set(config["text_config"]);
  WriteFileAtomically(dir + "/config.json", config.dump(2) + "\n");
}

}  // namespace

DType StoredDtype(const ModelSource& source) {
  for (const ModelSource::Entry& entry : source.entries()) {
    if (entry.shape.size() != 2 || entry.other_part) continue;
    if (IsQuantised(entry.dtype)) return DType::kBF16;
    if (IsFloat(entry.dtype)) return entry.dtype;
  }
  return DType::kBF16;
}

void WriteModel(const ModelSource& source, DType dtype, const ChangeTensor& change,
                const std::string& dir, bool untie_head) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16);
  const bool tied = ReadModelConfig(source).tie_word_embeddings;
  const auto shards = Shards(TensorsToWrite(source, dtype, tied, untie_head));
  if (shards.size() == 1) {
    WriteShard(source, change, shards[0], dir + "/model.safetensors");
  } else {
    Json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", Json::object()}};
    int64_t total = 0;
    for (size_t i = 0; i < shards.size(); ++i) {
      const std::string name =
          fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
      WriteShard(source, change, shards[i], dir + "/" + name);
      for (const TensorFrom& tensor : shards[i]) {
        index["weight_map"][tensor.name_in_file] = name;
        total += DTypeBytes(tensor.dtype, SizeOf(*tensor.entry));
      }
    }
    index["metadata"]["total_size"] = total;
    WriteFileAtomically(dir + "/model.safetensors.index.json", index.dump(2) + "\n");
  }
  WriteConfig(source, dtype, tied && !untie_head, dir);
}

ChangeTensor MergeAdapter(const LoraAdapter& adapter) {
  std::unordered_map<std::string, const LoraPair*> pairs;
  for (const LoraPair& pair : adapter.pairs()) pairs[pair.module + ".weight"] = &pair;
  return [pairs](const std::string& name, int64_t begin, const Tensor& values) {
    const auto found = pairs.find(name);
    if (found == pairs.end()) return;
    const LoraPair& pair = *found->second;
    const int64_t count = values.rows();
    const Buffer scaled(DType::kF32, {pair.r, count});  // the rows' part of B^T
    for (int64_t k = 0; k < pair.r; ++k) {
      std::memcpy(scaled.tensor().as<float>() + k * count,
                  pair.bt.as<float>() + k * pair.bt.cols() + begin,
                  static_cast<size_t>(count) * sizeof(float));
    }
    Scale(scaled.tensor(), pair.scale);
    MatMul(scaled.tensor(), pair.a, values, MatMulKind::kTN, /*accumulate=*/true);
    if (!pair.magnitude) return;
    const Buffer lengths(DType::kF32, {count});
    RowLengths(values, lengths.tensor());
    for (int64_t i = 0; i < count; ++i) {
      const float gain = pair.magnitude.as<float>()[begin + i] / lengths.tensor().as<float>()[i];
      Scale(values.Rows(i, i + 1), gain);
    }
  };
}

}  // namespace lorikeet
