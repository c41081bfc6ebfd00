// A `LoraAdapter` is an adapter in memory: its modules and the f32 masters of their factors. With
// DoRA it reads the model's weights whenever its factors change, and then CHECKs that the model is
// still there.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/peft.h"
#include "core/arena.h"
#include "model/lora_weights.h"
#include "model/weights.h"

namespace lorikeet {

// One adapted module: its place, rank and scale, and the f32 masters of its factors.
struct LoraPair {
  std::string module;
  int slot = -1;  // Linear::lora_slot
  int64_t r = 0;
  float alpha = 0;
  float scale = 0;   // s = alpha / r, or alpha / sqrt(r)
  Tensor a, bt;      // (R, in), (R, out) f32
  Tensor magnitude;  // DoRA's (1, out) f32, the lengths of the rows of W + s B A; else empty
  Tensor weight;     // the module's W, with DoRA; a view of the model's
  // Experts may share a factor: the tensor is then that of an earlier pair of the adapter.
  bool shares_a = false, shares_b = false;
};

class LoraAdapter {
 public:
  // Creates an adapter: A uniform in +-init_a/sqrt(in), keyed by (seed, module); B zero. Its
  // modules are those in config.target_modules / target_regex: module names or suffixes, regular
  // expressions for whole paths (with any of *+?()[]{}|^$\), or the sets "all-linear" (attention
  // and MLP), "attention", "mlp" (with experts) and "experts". lm_head is adapted only if named,
  // routers only if named "router" or "gate". Experts have rank ExpertRank. config.shared_outer:
  // experts of a layer share the factor on the hidden side, A of gate and up and B of down. Throws
  // Error if a target matches nothing. config.use_dora: magnitudes are the lengths of W's rows.
  static LoraAdapter Create(const Model& model, const LoraConfig& config, uint64_t seed,
                            double init_a = 1);
  // Loads a folder of peft or mlx-lm, or a GGUF file. Throws Error for a pair that has no module in
  // the model or does not fit it. Experts whose factors on the hidden side are equal share them.
  static LoraAdapter Load(const Model& model, const std::string& dir);

  const std::vector<LoraPair>& pairs() const { return pairs_; }
  const LoraConfig& config() const { return config_; }
  double init_a() const { return init_a_; }  // argument of Create; 1 for a loaded adapter
  int64_t NumParameters() const;             // a shared factor counts once
  size_t Bytes() const { return bytes_; }    // bytes of masters and working copies

  // The factors that products read, in the compute dtype. They share this adapter's memory: while
  // it is trained (model/lora_training.h), they change with every step.
  const LoraWeights& weights() const { return *weights_; }
  std::shared_ptr<const LoraWeights> SharedWeights() const { return weights_; }

  // Writes peft's files, adapter_config.json and adapter_model.safetensors, into dir.
  void Save(const std::string& dir) const;

 private:
  friend class LoraTraining;
  LoraAdapter(const Model& model, LoraConfig config);
  // shared_from: earlier pair whose factor on the hidden side is shared; null: none.
  LoraPair& AddPair(const Linear& linear, int64_t r, float alpha, const LoraPair* shared_from);
  void Describe(const std::vector<std::string>& modules, const std::vector<std::string>& targets);
  void RewriteConfig();
  void RefreshWorkingCopies();  // after the masters changed
  void RefreshLengths();        // DoRA's gains, after the working copies changed
  Tensor Allocate(DType dtype, int64_t rows, int64_t cols);

  LoraConfig config_;
  double init_a_ = 1;
  DType compute_;
  std::vector<LoraPair> pairs_;
  std::shared_ptr<TensorPool> storage_;
  std::shared_ptr<LoraWeights> weights_;
  std::weak_ptr<const void> model_;  // Model::lifetime
  size_t bytes_ = 0;
};

// The rank of each expert's pairs in a new adapter: r / active experts, so that the share of
// adapted parameters is that of the rest of the model, and at least 1. Their scale is alpha / (this
// rank), as for any pair of that rank.
int ExpertRank(const LoraConfig& config, const ModelConfig& model);

// The modules that a config would adapt, in order. Throws Error as Create does.
std::vector<std::string> MatchTargets(const std::vector<std::string>& modules,
                                      const LoraConfig& config);

// target_modules of adapter_config.json for `targets`, a subset of `modules`. peft has no names of
// sets, so an entry is the last part of a path if every module of that name is a target, else the
// whole path.
std::vector<std::string> PeftTargets(const std::vector<std::string>& modules,
                                     const std::vector<std::string>& targets);

}  // namespace lorikeet
