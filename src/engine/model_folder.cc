#include "engine/model_folder.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "engine/other_files.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

bool IsWithin(const fs::path& path, const fs::path& folder) {
  const fs::path inner = fs::weakly_canonical(path), outer = fs::weakly_canonical(folder);
  const auto [end_of_outer, rest] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end_of_outer == outer.end();
}

bool IsEmptyFolder(const fs::path& path) { return fs::is_directory(path) && fs::is_empty(path); }

// Tensors of some checkpoints that `transformers` recomputes and this program does not write.
bool IsRotaryTable(const std::string& name) { return name.ends_with(".rotary_emb.inv_freq"); }

// Opens the written folder as a reader does.
FolderFacts Reopen(const ModelSource& written, const ModelSource& source,
                   const FolderToWrite& folder) {
  FolderFacts facts;
  if (folder.untie_head) {
    const ModelSource::Entry* head = written.Find("lm_head.weight");
    if (head == nullptr || written.config().value("tie_word_embeddings", true)) {
      Fail(ErrorCode::kIo, "{}: the head did not come back as it was written; check the disk",
           written.path());
    }
    if (source.Find("lm_head.weight") == nullptr) {
      facts.parameters += head->shape[0] * head->shape[1];
      ++facts.tensors;
    }
  }
  const bool tied = ReadModelConfig(source).tie_word_embeddings;
  for (const ModelSource::Entry& entry : source.entries()) {
    // A copy of the embedding is not written again.
    const bool is_copy = tied && !folder.untie_head && entry.name == "lm_head.weight";
    if (IsRotaryTable(entry.name) || is_copy) continue;
    const ModelSource::Entry* found = written.Find(entry.name);
    const DType dtype = entry.other_part ? entry.dtype : folder.dtype;
    if (found == nullptr || found->shape != entry.shape || found->dtype != dtype) {
      Fail(ErrorCode::kIo, "{}: tensor '{}' did not come back as it was written; check the disk",
           written.path(), entry.name);
    }
    int64_t size = 1;
    for (const int64_t dim : entry.shape) size *= dim;
    facts.parameters += size;
    ++facts.tensors;
  }
  return facts;
}

}  // namespace

DType ParseStoredDtype(const std::string& name, const ModelSource& source) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  CHECK(name == "auto");
  const DType stored = StoredDtype(source);
  if (stored != DType::kF32 && stored != DType::kF16 && stored != DType::kBF16) {
    Fail(ErrorCode::kUnsupported,
         "{}: weights are stored as {}, by a quantiser that this program does not know; give the "
         "model they were made from",
         source.path(), DTypeName(stored));
  }
  return stored;
}

void CheckOutputFolder(const std::string& dir, bool overwrite,
                       const std::vector<std::string>& inputs) {
  const fs::path path = fs::path(dir).lexically_normal();
  if (!fs::exists(path) || IsEmptyFolder(path)) return;
  if (!overwrite) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: exists already; give another folder, or --overwrite to replace it", dir);
  }
  if (!fs::exists(path / "config.json")) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: --overwrite replaces model folders only, and this one has no config.json; give "
         "another folder",
         dir);
  }
  for (const std::string& input : inputs) {
    if (!IsWithin(input, path)) continue;
    Fail(ErrorCode::kInvalidArgument,
         "{}: contains {}, which would be lost; give another folder to write to", dir, input);
  }
}

FolderFacts WriteModelFolder(const ModelSource& source, const FolderToWrite& folder) {
  std::string dir = fs::absolute(folder.dir).lexically_normal().string();
  while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
  FolderFacts facts;
  WriteFolderAtomically(dir, [&](const std::string& tmp) {
    WriteModel(source, folder.dtype, folder.change, tmp, folder.untie_head);
    WriteTextFiles(folder.text_files, tmp);
    if (folder.other_files) CopyOtherFiles(source, tmp);
    facts = Reopen(ModelSource::Open(tmp), source, folder);
  });
  for (const auto& file : fs::recursive_directory_iterator(dir)) {
    if (!file.is_regular_file()) continue;
    facts.bytes += static_cast<int64_t>(file.file_size());
    facts.files.push_back(fs::relative(file.path(), dir).string());
  }
  std::sort(facts.files.begin(), facts.files.end());
  return facts;
}

}  // namespace lorikeet
