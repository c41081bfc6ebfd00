#include "model/weights.h"

#include <algorithm>
#include <unordered_set>

#include "core/error.h"
#include "core/machine.h"
#include "kernels/cast.h"
#include "kernels/matmul/matmul.h"
#include "model/parameters.h"

namespace lorikeet {

std::vector<Linear*> LinearsOf(LayerWeights& layer) {
  std::vector<Linear*> linears = {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj};
  if (layer.experts.empty()) {
    linears.insert(linears.end(), {&layer.gate_proj, &layer.up_proj, &layer.down_proj});
    return linears;
  }
  linears.push_back(&layer.router);
  for (ExpertWeights& expert : layer.experts) {
    linears.insert(linears.end(), {&expert.gate_proj, &expert.up_proj, &expert.down_proj});
  }
  return linears;
}

std::vector<const Linear*> LinearsOf(const LayerWeights& layer) {
  const std::vector<Linear*> linears = LinearsOf(const_cast<LayerWeights&>(layer));
  return {linears.begin(), linears.end()};
}

void ForEachLinear(Weights& weights, const std::function<void(Linear&)>& fn) {
  for (LayerWeights& layer : weights.layers) {
    for (Linear* linear : LinearsOf(layer)) fn(*linear);
  }
  fn(weights.lm_head);
}

void ForEachNorm(Weights& weights, const std::function<void(Norm&)>& fn) {
  for (LayerWeights& layer : weights.layers) {
    for (Norm* norm :
         {&layer.input_layernorm, &layer.post_attention_layernorm, &layer.q_norm, &layer.k_norm}) {
      if (norm->weight) fn(*norm);
    }
  }
  fn(weights.norm);
}

DType DefaultComputeDtype() { return HasNativeBf16() ? DType::kBF16 : DType::kF32; }

std::unique_ptr<Model> Model::Load(const std::string& path_or_name, DType compute,
                                   Placement placement) {
  CHECK(compute == DType::kF32 || compute == DType::kBF16);
  if (compute == DType::kBF16 && !HasNativeBf16()) {
    Fail(ErrorCode::kUnsupported,
         "this CPU has no native bf16 products (AVX512-BF16 or AMX); use --dtype f32");
  }
  std::unique_ptr<Model> model(new Model(ModelSource::Open(path_or_name), compute));
  model->LoadWeights(placement);
  return model;
}

Model::Model(ModelSource source, DType compute)
    : source_(std::move(source)),
      config_(ReadModelConfig(source_.config(), source_.path())),
      compute_(compute),
      rope_(std::make_unique<RopeTable>(config_.head_dim, config_.rope_theta,
                                        config_.rope_scaling)) {}

Tensor Model::Own(DType dtype, std::initializer_list<int64_t> shape) {
  const Tensor tensor = storage_.Take(dtype, shape);
  owned_bytes_ += static_cast<size_t>(tensor.bytes());
  return tensor;
}

void Model::CheckShape(const std::string& name, const std::vector<int64_t>& expected) const {
  const ModelSource::Entry* entry = source_.Find(name);
  if (entry == nullptr) {
    Fail(ErrorCode::kCorruptFile, "{}: tensor '{}' is missing", source_.path(), name);
  }
  if (entry->shape != expected) {
    const auto text = [](const std::vector<int64_t>& shape) {
      std::string s;
      for (const int64_t dim : shape) s += (s.empty() ? "" : " x ") + std::to_string(dim);
      return s;
    };
    Fail(ErrorCode::kCorruptFile, "{}: tensor '{}' is {}, but config.json makes it {}",
         source_.path(), name, text(entry->shape), text(expected));
  }
}

Tensor Model::LoadMatrix(const std::string& name, int64_t rows, int64_t cols) {
  CheckShape(name, {rows, cols});
  used_.push_back(name);
  const Tensor mapped = source_.Mapped(name);
  if (maps_ && mapped && mapped.dtype == compute_) {
    mapped_bytes_ += static_cast<size_t>(mapped.bytes());
    return mapped;
  }
  const Tensor owned = Own(compute_, {rows, cols});
  source_.Read(name, compute_, owned.data);
  return owned;
}

Tensor Model::LoadVector(const std::string& name, int64_t size) {
  CheckShape(name, {size});
  used_.push_back(name);
  const Tensor owned = Own(DType::kF32, {size});
  source_.Read(name, DType::kF32, owned.data);
  return owned;
}

void Model::LoadLinear(Linear* linear, int64_t out, int64_t in, bool bias) {
  linear->weight = LoadMatrix(linear->name + ".weight", out, in);
  if (bias) linear->bias = LoadVector(linear->name + ".bias", out);
}

void Model::LoadLayer(int64_t index) {
  const ModelConfig& c = config_;
  LayerWeights& layer = weights_.layers[static_cast<size_t>(index)];
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const auto linear = [&](Linear* to, const char* module, int64_t out, int64_t in, bool bias) {
    to->name = prefix + module;
    LoadLinear(to, out, in, bias);
  };
  const auto norm = [&](Norm* to, const char* module, int64_t size) {
    to->name = prefix + module;
    to->weight = LoadVector(to->name + ".weight", size);
  };
  norm(&layer.input_layernorm, "input_layernorm", c.hidden_size);
  linear(&layer.q_proj, "self_attn.q_proj", c.q_size(), c.hidden_size, c.qkv_bias);
  linear(&layer.k_proj, "self_attn.k_proj", c.kv_size(), c.hidden_size, c.qkv_bias);
  linear(&layer.v_proj, "self_attn.v_proj", c.kv_size(), c.hidden_size, c.qkv_bias);
  linear(&layer.o_proj, "self_attn.o_proj", c.hidden_size, c.q_size(), c.o_bias);
  if (c.qk_norm) {
    norm(&layer.q_norm, "self_attn.q_norm", c.head_dim);
    norm(&layer.k_norm, "self_attn.k_norm", c.head_dim);
  }
  norm(&layer.post_attention_layernorm, "post_attention_layernorm", c.hidden_size);
  if (c.has_experts(index)) {
    LoadExperts(prefix, &layer);
    return;
  }
  linear(&layer.gate_proj, "mlp.gate_proj", c.intermediate_size, c.hidden_size, c.mlp_bias);
  linear(&layer.up_proj, "mlp.up_proj", c.intermediate_size, c.hidden_size, c.mlp_bias);
  linear(&layer.down_proj, "mlp.down_proj", c.hidden_size, c.intermediate_size, c.mlp_bias);
}

void Model::LoadExperts(const std::string& prefix, LayerWeights* layer) {
  const ModelConfig& c = config_;
  const int64_t D = c.hidden_size, F = c.moe_intermediate_size;
  const std::string block = prefix + c.expert_names->block;
  const auto linear = [&](Linear* to, const std::string& name, int64_t out, int64_t in) {
    to->name = name;
    LoadLinear(to, out, in, false);
  };
  linear(&layer->router, block + ".gate", c.num_experts, D);
  for (int64_t e = 0; e < c.num_experts; ++e) {
    const std::string name = block + ".experts." + std::to_string(e) + ".";
    ExpertWeights& expert = layer->experts.emplace_back();
    linear(&expert.gate_proj, name + c.expert_names->gate_proj, F, D);
    linear(&expert.up_proj, name + c.expert_names->up_proj, F, D);
    linear(&expert.down_proj, name + c.expert_names->down_proj, D, F);
  }
}

void Model::LoadWeights(Placement placement) {
  const ModelConfig& c = config_;
  maps_ = placement == Placement::kMapped ||
          CountParameters(c) * DTypeBytes(compute_, 1) > ReadMemory().available / 4;
  weights_.embed_tokens = LoadMatrix("model.embed_tokens.weight", c.vocab_size, c.hidden_size);
  weights_.layers.resize(static_cast<size_t>(c.num_hidden_layers));
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) LoadLayer(l);
  weights_.norm.name = "model.norm";
  weights_.norm.weight = LoadVector("model.norm.weight", c.hidden_size);
  weights_.lm_head.name = "lm_head";
  if (c.tie_word_embeddings) {
    weights_.lm_head.weight = weights_.embed_tokens;
  } else {
    LoadLinear(&weights_.lm_head, c.vocab_size, c.hidden_size, false);
  }
  RefuseUnknownTensors();
  int slot = 0;
  ForEachLinear(weights_, [&](Linear& linear) { linear.lora_slot = slot++; });
}

void Model::RefuseUnknownTensors() const {
  const std::unordered_set<std::string> used(used_.begin(), used_.end());
  for (const ModelSource::Entry& entry : source_.entries()) {
    // A tied head may be stored again, and old checkpoints carry the rotary table.
    const bool known = used.contains(entry.name) || entry.name == "lm_head.weight" ||
                       entry.name.ends_with(".rotary_emb.inv_freq");
    if (!known) {
      Fail(ErrorCode::kUnsupported, "{}: tensor '{}' has no place in a {} model", source_.path(),
           entry.name, config_.model_type);
    }
  }
}

int64_t Model::NumParameters() const {
  int64_t count = weights_.embed_tokens.size();
  auto& weights = const_cast<Weights&>(weights_);
  ForEachLinear(weights, [&](Linear& linear) {
    const bool tied = linear.weight.data == weights_.embed_tokens.data;
    count += (tied ? 0 : linear.weight.size()) + linear.bias.size();
  });
  ForEachNorm(weights, [&](Norm& norm) { count += norm.weight.size(); });
  return count;
}

Param Model::TrainMatrix(const std::string& name, Tensor* weight, Tensor* dweight) {
  const int64_t rows = weight->rows(), cols = weight->cols();
  *dweight = Own(DType::kF32, {rows, cols});
  const bool mapped = source_.Mapped(name).data == weight->data;  // a file is not written to
  if (mapped) mapped_bytes_ -= static_cast<size_t>(weight->bytes());
  if (compute_ == DType::kF32) {
    if (mapped) {
      const Tensor copy = Own(DType::kF32, {rows, cols});
      Convert(*weight, copy);
      *weight = copy;
    }
    return {name, *weight, *dweight, Tensor()};
  }
  // From the file, not from the working copy: an f32 file keeps its precision.
  const Tensor master = Own(DType::kF32, {rows, cols});
  source_.Read(name, DType::kF32, master.data);
  if (mapped) {
    *weight = Own(compute_, {rows, cols});
    Convert(master, *weight);
  }
  return {name, master, *dweight, *weight};
}

Param Model::TrainVector(const std::string& name, const Tensor& weight, Tensor* dweight) {
  *dweight = Own(DType::kF32, {weight.size()});
  return {name, weight, *dweight, Tensor()};
}

std::vector<Param> Model::MakeTrainable() {
  CHECK(!trainable_);
  trainable_ = true;
  std::vector<Param> params;
  Linear& head = weights_.lm_head;
  const bool tied = head.weight.data == weights_.embed_tokens.data;
  params.push_back(
      TrainMatrix("model.embed_tokens.weight", &weights_.embed_tokens, &weights_.dembed_tokens));
  if (tied) {
    head.weight = weights_.embed_tokens;
    head.dweight = weights_.dembed_tokens;
  }
  ForEachLinear(weights_, [&](Linear& linear) {
    if (&linear == &head && tied) return;
    params.push_back(TrainMatrix(linear.name + ".weight", &linear.weight, &linear.dweight));
    if (linear.bias) {
      params.push_back(TrainVector(linear.name + ".bias", linear.bias, &linear.dbias));
    }
  });
  ForEachNorm(weights_, [&](Norm& norm) {
    params.push_back(TrainVector(norm.name + ".weight", norm.weight, &norm.dweight));
  });
  return params;
}

}  // namespace lorikeet
