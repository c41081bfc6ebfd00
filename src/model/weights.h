// The weights of a model, under their Hugging Face names, so that a weight has one name in the
// file, in the code and in a debugger. DeclareWeights is the only list of them.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_source.h"
#include "core/arena.h"
#include "core/version.h"
#include "model/block.h"
#include "model/config.h"
#include "model/declaration.h"
#include "model/linear.h"
#include "model/param.h"

namespace lorikeet {

struct Weights {
  Tensor embed_tokens;   // (V, D) C
  Tensor dembed_tokens;  // (V, D) f32; empty when frozen
  std::vector<LayerWeights> layers;
  Norm norm;       // (D)
  Linear lm_head;  // (V, D); embed_tokens itself when tied
};

// fn(linear) in order of lora_slot: the layers' linears, then lm_head.
template <MaybeConst<Weights> W, class Fn>
void ForEachLinear(W& weights, const Fn& fn) {
  for (auto& layer : weights.layers) ForEachLinear(layer, fn);
  fn(weights.lm_head);
}
template <MaybeConst<Weights> W, class Fn>
void ForEachNorm(W& weights, const Fn& fn) {
  for (auto& layer : weights.layers) ForEachNorm(layer, fn);
  fn(weights.norm);
}

// Calls `visit` for every weight but the embedding, in order of lora_slot, with its name set in
// *weights, which gets the layers that the configuration asks for. A tied lm_head is left out.
void DeclareWeights(const ModelConfig& config, const WeightVisitor& visit, Weights* weights);

// Number of parameters, from the configuration alone. A tied head counts once.
int64_t CountParameters(const ModelConfig& config);

enum class Method : uint8_t { kLora, kFull };

// Placement of weights that are in the compute dtype in their file. Mapped, they need no loading;
// in large pages they are read faster (docs/performance.md), at the same resident memory.
enum class Placement : uint8_t {
  kAuto,    // in large pages if they take less than a quarter of the available memory
  kMapped,  // used in the file
};

class Model {
 public:
  // path_or_name as in ModelSource::Open. compute: f32 or bf16. Throws Error naming a missing,
  // misshapen or unknown tensor.
  static std::unique_ptr<Model> Load(const std::string& path_or_name, DType compute,
                                     Placement placement = Placement::kAuto);
  static std::unique_ptr<Model> Load(ModelSource source, DType compute,
                                     Placement placement = Placement::kAuto);

  // Shapes without values, for a dry run (core/dry.h): every tensor has an address and no memory.
  static std::unique_ptr<Model> Skeleton(const ModelConfig& config, DType compute);

  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  Weights& weights() { return weights_; }
  DType compute() const { return compute_; }
  const std::vector<RopeTable>& ropes() const { return ropes_; }  // AttentionSpec::rope
  bool has_source() const { return source_.has_value(); }         // a skeleton does not have one
  const ModelSource& source() const { return *source_; }
  int64_t NumParameters() const;                        // a tied head counts once
  size_t OwnedBytes() const { return owned_bytes_; }    // converted or copied
  size_t MappedBytes() const { return mapped_bytes_; }  // used in the file

  // Full fine-tuning: gives every weight an f32 master copy and a gradient. Returns them in file
  // order, the tied head once.
  std::vector<Param> MakeTrainable();
  bool trainable() const { return trainable_; }
  // Identifies these values among all of this process; a trainer calls ValuesChanged.
  uint64_t version() const { return version_; }
  void ValuesChanged() { version_ = NextVersion(); }
  // Expires with the model: for owners of views of its weights, who check it before they read.
  std::weak_ptr<const void> lifetime() const { return lifetime_; }

 private:
  Model(std::optional<ModelSource> source, ModelConfig config, DType compute);
  void MakeWeights();
  Tensor LoadMatrix(const std::string& name, int64_t rows, int64_t cols);
  Tensor LoadVector(const std::string& name, int64_t size);
  void CheckShape(const std::string& name, const std::vector<int64_t>& expected) const;
  void RefuseUnknownTensors() const;
  Tensor Allocate(DType dtype, std::initializer_list<int64_t> shape);
  Param TrainMatrix(const std::string& name, Tensor* weight, Tensor* dweight);
  Param TrainVector(const std::string& name, const Tensor& weight, Tensor* dweight);

  std::optional<ModelSource> source_;
  ModelConfig config_;
  DType compute_;
  std::vector<RopeTable> ropes_;
  Weights weights_;
  TensorPool storage_;
  std::vector<std::string> used_;  // names read so far
  size_t owned_bytes_ = 0, mapped_bytes_ = 0;
  bool maps_ = false;  // Placement of what need not be converted
  bool trainable_ = false;
  uint64_t version_ = NextVersion();
  std::shared_ptr<const void> lifetime_ = std::make_shared<char>();
};

// bf16 where the CPU multiplies it natively, else f32.
DType DefaultComputeDtype();

}  // namespace lorikeet
