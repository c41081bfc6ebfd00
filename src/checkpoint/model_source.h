// A `ModelSource` is a model on disk in Hugging Face terms (config.json keys, weight names), for
// any container.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/gguf.h"
#include "checkpoint/safetensors.h"
#include "core/arena.h"
#include "core/json.h"
#include "core/tensor.h"

namespace lorikeet {

class ModelSource {
 public:
  // `path_or_name`: a Hugging Face folder, a .safetensors file with config.json beside it, a .gguf
  // file, or a name "org/name[@revision]" in the Hugging Face cache. Throws Error; for an unknown
  // name it lists the searched folders, for an adapter folder it names the base model.
  static ModelSource Open(const std::string& path_or_name);

  const std::string& path() const { return path_; }  // resolved: a folder, or the GGUF file
  // The content of config.json; for GGUF the same keys made from the metadata (gguf_model.h).
  const Json& config() const { return config_; }

  struct Entry {
    std::string name;  // as in Hugging Face checkpoints, "model.layers.0.self_attn.q_proj.weight"
    DType dtype;       // as stored
    std::vector<int64_t> shape;
    std::string file_name = {};  // the name in the files of a wrapper (text_names.h)
    bool other_part = false;     // belongs to the vision tower of one, which is not computed here
    const std::string& NameInFile() const { return file_name.empty() ? name : file_name; }
  };
  const std::vector<Entry>& entries() const { return entries_; }
  // The name of the embedding, and that in the files which a head would have that is not in them.
  const std::string& embedding_name() const { return embedding_name_; }
  const std::string& new_head_name() const { return new_head_name_; }
  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  const Entry* Find(std::string_view name) const;  // null if absent
  // The tensor in the mapped file, if it can be used there: f32, f16 or bf16 and in Hugging Face's
  // row order. Else empty; use Read(). Throws Error if the tensor does not exist.
  Tensor Mapped(std::string_view name) const;
  // The tensor as it lies in the file, of any dtype.
  const Tensor& InFile(std::string_view name) const { return Get(name).tensor; }
  // Writes the whole tensor to dst (f32, f16 or bf16), rounded to nearest even and with its rows in
  // Hugging Face's order. Throws Error if the tensor does not exist or has integers. The pages of
  // the file that were read do not stay resident, so that the data is not in memory twice.
  void Read(std::string_view name, DType to, void* dst) const;
  // The same for rows [begin, end) of a matrix.
  void ReadRows(std::string_view name, int64_t begin, int64_t end, DType to, void* dst) const;

  // A source of the same files with other tensors and another config: each part is a tensor of this
  // source under another name, or memory of `storage`.
  struct Part {
    std::string name, from;
    Tensor made;  // instead of `from`
  };
  ModelSource Rebuilt(Json config, const std::vector<Part>& parts,
                      std::vector<Buffer> storage) const;

  // A file beside the weights ("tokenizer.json"), "" if absent; always "" for GGUF, see gguf().
  std::string TextFile(const std::string& name) const;
  bool IsGguf() const { return gguf_ != nullptr; }
  const GgufFile* gguf() const { return gguf_; }  // null unless IsGguf()

 private:
  struct Stored {
    Tensor tensor;
    int64_t interleaved_heads;  // number of heads as in gguf_model.h; 0: Hugging Face's row order
    float subtract;             // from every value, as in gguf_model.h
  };
  static ModelSource OpenGguf(const std::string& path);
  static ModelSource OpenFolder(const std::string& folder, const std::string& weights);
  const Stored& Get(std::string_view name) const;
  static int64_t WidthOf(const Stored& stored);  // elements that are permuted as one row
  void ReadPart(const Stored& stored, int64_t begin, int64_t end, DType to, void* dst) const;
  Entry& AddEntry(const std::string& name, const Stored& stored);
  void AddTensors(const std::string& weights);
  void AddWrappedTensors();

  std::string path_;
  Json config_;
  std::shared_ptr<TensorFile> file_;
  std::shared_ptr<const std::vector<Buffer>> storage_;  // memory of tensors in no file; null: none
  const GgufFile* gguf_ = nullptr;                      // file_ if it is a GGUF file
  std::vector<Entry> entries_;
  std::string embedding_name_ = "model.embed_tokens.weight", new_head_name_ = "lm_head.weight";
  std::vector<Stored> stored_;  // parallel to entries_
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace lorikeet
