// Test helper: a folder with a small random model of any architecture.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "core/file.h"
#include "core/random.h"
#include "model/weights.h"

namespace lorikeet {

struct Architecture {
  const char* model_type;  // llama, qwen2 (biases of q, k, v), qwen3 (norms of q and k)
  int64_t hidden, heads, kv_heads, head_dim, intermediate, layers, vocab;
  bool tied, biases;
  int64_t experts = 0, active = 0, expert_intermediate = 0;  // qwen3_moe
  std::vector<int64_t> mlp_only_layers = {};
};

// A folder with a random model of that architecture, stored as f32; removed with the object.
// Objects that exist at the same time need different names.
class RandomModel {
 public:
  RandomModel(const Architecture& a, const std::string& name)
      : folder_(std::filesystem::temp_directory_path() /
                ("lorikeet_model_" + std::to_string(getpid()) + "_" + name)) {
    std::filesystem::create_directories(folder_);
    Json config = {{"model_type", a.model_type},
                   {"hidden_size", a.hidden},
                   {"num_attention_heads", a.heads},
                   {"num_key_value_heads", a.kv_heads},
                   {"head_dim", a.head_dim},
                   {"intermediate_size", a.intermediate},
                   {"num_hidden_layers", a.layers},
                   {"vocab_size", a.vocab},
                   {"tie_word_embeddings", a.tied},
                   {"attention_bias", a.biases},
                   {"mlp_bias", a.biases}};
    if (a.experts > 0) {
      config["num_experts"] = a.experts;
      config["num_experts_per_tok"] = a.active;
      config["moe_intermediate_size"] = a.expert_intermediate;
      config["mlp_only_layers"] = a.mlp_only_layers;
      config["norm_topk_prob"] = true;
    }
    WriteFileAtomically((folder_ / "config.json").string(), config.dump());
    AddTensors(ReadModelConfig(config, "test"));
    std::vector<TensorToWrite> tensors;
    for (size_t i = 0; i < names_.size(); ++i) {
      tensors.push_back({names_[i], DType::kF32, shapes_[i], values_[i].data()});
    }
    WriteSafetensors((folder_ / "model.safetensors").string(), tensors, {});
  }
  ~RandomModel() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  RandomModel(const RandomModel&) = delete;
  RandomModel& operator=(const RandomModel&) = delete;
  std::string path() const { return folder_.string(); }
  std::unique_ptr<Model> Load(DType compute) const {
    return Model::Load(folder_.string(), compute);
  }

 private:
  void Add(const std::string& name, const std::vector<int64_t>& shape) {
    int64_t size = 1;
    for (const int64_t dim : shape) size *= dim;
    const RandomStream random(1, "memory_plan_test", name);
    std::vector<float> values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(0.2 * random.Uniform(i) - 0.1);
    }
    names_.push_back(name);
    shapes_.push_back(shape);
    values_.push_back(std::move(values));
  }
  void AddLinear(const std::string& name, int64_t out, int64_t in, bool bias) {
    Add(name + ".weight", {out, in});
    if (bias) Add(name + ".bias", {out});
  }
  void AddMlp(const std::string& prefix, int64_t F, int64_t D, bool bias) {
    AddLinear(prefix + ".gate_proj", F, D, bias);
    AddLinear(prefix + ".up_proj", F, D, bias);
    AddLinear(prefix + ".down_proj", D, F, bias);
  }
  void AddTensors(const ModelConfig& c) {
    const int64_t D = c.hidden_size, F = c.intermediate_size;
    Add("model.embed_tokens.weight", {c.vocab_size, D});
    for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
      const std::string prefix = "model.layers." + std::to_string(l) + ".";
      Add(prefix + "input_layernorm.weight", {D});
      Add(prefix + "post_attention_layernorm.weight", {D});
      if (c.qk_norm) {
        Add(prefix + "self_attn.q_norm.weight", {c.head_dim});
        Add(prefix + "self_attn.k_norm.weight", {c.head_dim});
      }
      AddLinear(prefix + "self_attn.q_proj", c.q_size(), D, c.qkv_bias);
      AddLinear(prefix + "self_attn.k_proj", c.kv_size(), D, c.qkv_bias);
      AddLinear(prefix + "self_attn.v_proj", c.kv_size(), D, c.qkv_bias);
      AddLinear(prefix + "self_attn.o_proj", D, c.q_size(), c.o_bias);
      if (c.has_experts(l)) {
        AddLinear(prefix + "mlp.gate", c.num_experts, D, false);
        for (int64_t e = 0; e < c.num_experts; ++e) {
          AddMlp(prefix + "mlp.experts." + std::to_string(e), c.moe_intermediate_size, D, false);
        }
      } else {
        AddMlp(prefix + "mlp", F, D, c.mlp_bias);
      }
    }
    Add("model.norm.weight", {D});
    if (!c.tie_word_embeddings) Add("lm_head.weight", {c.vocab_size, D});
  }

  std::filesystem::path folder_;
  std::vector<std::string> names_;
  std::vector<std::vector<int64_t>> shapes_;
  std::vector<std::vector<float>> values_;
};

}  // namespace lorikeet
