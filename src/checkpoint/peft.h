// LoRA adapters in the format of the peft library: adapter_config.json beside
// adapter_model.safetensors with base_model.model.<module>.lora_A.weight (R, in), lora_B (out, R).
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/lora_config.h"
#include "checkpoint/safetensors.h"
#include "core/arena.h"
#include "core/tensor.h"

namespace lorikeet {

struct AdapterFile {
  struct Pair {
    std::string module;  // "model.layers.0.self_attn.q_proj"
    Tensor a;            // (R, in), f32, f16 or bf16
    Tensor b;            // (out, R)
    float alpha;
    int r;
    Tensor magnitude = {};  // DoRA's: (out), the lengths of the rows; else empty
  };
  LoraConfig config;
  std::unique_ptr<TensorFile> file;  // memory of the tensors below
  std::vector<Buffer> storage;       // memory of tensors that the file has in another layout
  std::vector<Pair> pairs;           // sorted by module
  // Copies of the base's tensors, by name, that peft stores with an adapter: embedding and head,
  // what an adapter of lm_head wraps, modules_to_save. See CheckBaseCopies.
  std::map<std::string, Tensor> base_copies;
};

// Pairs of experts' fused parameters become pairs of every expert (fused_experts.h), and the config
// is changed accordingly, under the names of Qwen3-MoE. Throws Error naming file and tensor unless
// every tensor of the file is in a pair, every pair is complete, and ranks agree with the config.
AdapterFile ReadAdapter(const std::string& dir);

// Throws Error naming the tensor unless each of the adapter's base_copies equals the base's tensor
// in the copy's dtype; the copy of a head that the base does not have, its embedding. `where` names
// the adapter.
class ModelSource;
void CheckBaseCopies(const AdapterFile& adapter, const ModelSource& base, const std::string& where);

struct AdapterPairToWrite {
  std::string module;
  Tensor a, b;            // (R, in) and (out, R); f32, f16 or bf16
  Tensor magnitude = {};  // (out); with config.use_dora
};

// Writes both files into `dir` (created if absent), each atomically, the config last: a folder with
// a config is complete. The config has keys of old versions of peft only. Ranks other than config.r
// must be in rank_pattern. With `make`, tensors have no data: it makes a of pairs[i] as number 2i,
// b as 2i + 1 and the magnitude as 2N + i, N the number of pairs, when they are written.
void WriteAdapter(const std::string& dir, const LoraConfig& config,
                  const std::vector<AdapterPairToWrite>& pairs, const MakeTensor& make = {});

}  // namespace lorikeet
