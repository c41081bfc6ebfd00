// A LoRA adapter in memory: which modules it adapts, its factors, gradients and working copies.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/peft.h"
#include "core/arena.h"
#include "model/param.h"
#include "model/weights.h"

namespace lorikeet {

class LoraAdapter {
 public:
  // A new adapter: A uniform in +-init_a/sqrt(in), keyed by (seed, module); B zero. Modules are
  // those that config.target_modules / target_regex name: module names or suffixes, a regex for
  // whole paths, or the sets "all-linear" (attention and MLP), "attention", "mlp". lm_head only
  // when named, routers of experts when named "router" or "gate". "mlp" holds the experts,
  // "experts" them alone, with ExpertRank. config.shared_outer: experts of a layer share the factor
  // on the hidden side, A of gate and up and B of down. Throws Error when a target matches nothing.
  static LoraAdapter Create(Model& model, const LoraConfig& config, uint64_t seed,
                            double init_a = 1);
  // From a folder of peft or mlx-lm, or a GGUF file. Throws Error for a pair that has no module in
  // the model or does not fit it. Experts whose factors on the hidden side are equal share them.
  static LoraAdapter Load(Model& model, const std::string& dir);

  // Pair of a linear, null when it is not adapted.
  const LoraPair* Find(const Linear& linear) const {
    const int index = slots_[static_cast<size_t>(linear.lora_slot)];
    return index < 0 ? nullptr : &pairs_[static_cast<size_t>(index)];
  }
  const std::vector<LoraPair>& pairs() const { return pairs_; }
  const LoraConfig& config() const { return config_; }
  double init_a() const { return init_a_; }  // as Create was told; 1 for one that was loaded
  int64_t NumParameters() const;             // a shared factor counts once
  size_t Bytes() const { return bytes_; }

  std::vector<Param> MakeTrainable();  // allocates gradients
  void RefreshWorkingCopies();         // after the masters changed outside OptimStep
  // peft layout: adapter_config.json and adapter_model.safetensors into dir.
  void Save(const std::string& dir) const;

 private:
  LoraAdapter(Model& model, LoraConfig config);
  LoraPair& AddPair(const Linear& linear, int64_t r, float alpha, const LoraPair* lender);
  void Redescribe();
  void Describe(const std::vector<std::string>& modules, const std::vector<std::string>& targets);
  Tensor Own(DType dtype, int64_t rows, int64_t cols);

  LoraConfig config_;
  double init_a_ = 1;
  DType compute_;
  std::vector<LoraPair> pairs_;
  std::vector<int> slots_;  // lora_slot -> index into pairs_, -1: not adapted
  TensorPool storage_;
  size_t bytes_ = 0;
};

// The rank of each expert's pairs in a new adapter: r / active experts, which keeps the share of
// adapted parameters where it is in the rest of the model, and at least 1. Their scale is alpha /
// (this rank), as of any pair of that rank.
int ExpertRank(const LoraConfig& config, const ModelConfig& model);

// The modules that a config would adapt, in order. Throws Error as Create does.
std::vector<std::string> MatchTargets(const std::vector<std::string>& modules,
                                      const LoraConfig& config);

}  // namespace lorikeet
