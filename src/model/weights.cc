#include "model/weights.h"

#include <algorithm>
#include <unordered_set>

#include "core/dry.h"
#include "core/error.h"
#include "core/machine.h"
#include "kernels/cast.h"
#include "kernels/matmul/matmul.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

BlockWeights DeclareBlock(const AttentionSpec& spec, size_t layer, const std::string& prefix,
                          const WeightVisitor& visit) {
  AttentionWeights weights;
  weights.layer = static_cast<int64_t>(layer);
  DeclareWeights(spec, prefix, visit, &weights);
  return weights;
}

BlockWeights DeclareBlock(const MlpSpec& spec, size_t, const std::string& prefix,
                          const WeightVisitor& visit) {
  MlpWeights weights;
  DeclareWeights(spec, prefix, visit, &weights);
  return weights;
}

BlockWeights DeclareBlock(const MoeSpec& spec, size_t, const std::string& prefix,
                          const WeightVisitor& visit) {
  MoeWeights weights;
  DeclareWeights(spec, prefix, visit, &weights);
  return weights;
}

BlockWeights DeclareBlock(const SharedExpertSpec& spec, size_t, const std::string& prefix,
                          const WeightVisitor& visit) {
  SharedExpertWeights weights;
  DeclareWeights(spec, prefix, visit, &weights);
  return weights;
}

}  // namespace

void DeclareWeights(const ModelConfig& config, const WeightVisitor& visit, Weights* weights) {
  const auto norm = [&](Norm* to, const std::string& name) {
    to->name = name;
    to->kind = config.norm_kind;
    to->centred = config.layer_norm;
    to->biased = config.norm_bias;
    visit.norm(to, config.hidden_size);
  };
  weights->layers.resize(config.layers.size());
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const std::string prefix = config.prefix + "layers." + std::to_string(l) + ".";
    for (const SublayerSpec& spec : config.layers[l].sublayers) {
      Sublayer& sublayer = weights->layers[l].sublayers.emplace_back();
      sublayer.multiplier = spec.multiplier;
      if (!spec.norm.empty()) norm(&sublayer.norm, prefix + spec.norm);
      for (const BlockSpec& branch : spec.branches) {
        sublayer.branches.push_back(std::visit(
            [&](const auto& block) { return DeclareBlock(block, l, prefix, visit); }, branch));
      }
      if (!spec.norm_after.empty()) norm(&sublayer.norm_after, prefix + spec.norm_after);
    }
  }
  norm(&weights->norm, config.prefix + "norm");
  weights->lm_head.name = "lm_head";
  if (config.tie_word_embeddings) return;
  visit.linear({&weights->lm_head, config.vocab_size, config.hidden_size, /*bias=*/false});
}

int64_t CountParameters(const ModelConfig& config) {
  int64_t count = config.vocab_size * config.hidden_size;  // the embedding
  Weights weights;
  DeclareWeights(
      config,
      {.linear = [&](const LinearDeclaration& d) { count += d.out * d.in + (d.bias ? d.out : 0); },
       .norm = [&](Norm* norm, int64_t size) { count += norm->biased ? 2 * size : size; }},
      &weights);
  return count;
}

DType DefaultComputeDtype() { return HasNativeBf16() ? DType::kBF16 : DType::kF32; }

std::unique_ptr<Model> Model::Load(const std::string& path_or_name, DType compute,
                                   Placement placement) {
  return Load(ModelSource::Open(path_or_name), compute, placement);
}

std::unique_ptr<Model> Model::Load(ModelSource source, DType compute, Placement placement) {
  CHECK(compute == DType::kF32 || compute == DType::kBF16);
  if (compute == DType::kBF16 && !HasNativeBf16()) {
    Fail(ErrorCode::kUnsupported,
         "this CPU has no native bf16 products (AVX512-BF16 or AMX); use --dtype f32");
  }
  ModelConfig config = ReadModelConfig(source);
  std::unique_ptr<Model> model(new Model(std::move(source), std::move(config), compute));
  model->maps_ =
      placement == Placement::kMapped ||
      CountParameters(model->config_) * DTypeBytes(compute, 1) > ReadMemory().available / 4;
  model->MakeWeights();
  model->RefuseUnknownTensors();
  return model;
}

std::unique_ptr<Model> Model::Skeleton(const ModelConfig& config, DType compute) {
  const DryScope dry;
  std::unique_ptr<Model> model(new Model(std::nullopt, config, compute));
  model->MakeWeights();
  return model;
}

Model::Model(std::optional<ModelSource> source, ModelConfig config, DType compute)
    : source_(std::move(source)), config_(std::move(config)), compute_(compute) {
  ropes_.emplace_back(config_.rotary_dim, config_.rope_theta, config_.rope_scaling);
  if (config_.has_local_rope()) {
    ropes_.emplace_back(config_.head_dim, config_.rope_local_base_freq, config_.local_rope_scaling);
  }
  if (config_.llama_4_scaling_beta > 0) {
    CHECK(!config_.has_local_rope());  // AttentionSpec::query_rope is 1
    RopeScaling of_queries = config_.rope_scaling;
    of_queries.query_beta = config_.llama_4_scaling_beta;
    ropes_.emplace_back(config_.rotary_dim, config_.rope_theta, of_queries);
  }
}

Tensor Model::Allocate(DType dtype, std::initializer_list<int64_t> shape) {
  const Tensor tensor = storage_.Take(dtype, shape);
  owned_bytes_ += static_cast<size_t>(tensor.bytes());
  return tensor;
}

void Model::CheckShape(const std::string& name, const std::vector<int64_t>& expected) const {
  const ModelSource::Entry* entry = source_->Find(name);
  if (entry == nullptr) {
    Fail(ErrorCode::kCorruptFile, "{}: tensor '{}' is missing", source_->path(), name);
  }
  if (entry->shape != expected) {
    const auto text = [](const std::vector<int64_t>& shape) {
      std::string s;
      for (const int64_t dim : shape) s += (s.empty() ? "" : " x ") + std::to_string(dim);
      return s;
    };
    Fail(ErrorCode::kCorruptFile, "{}: tensor '{}' is {}, but config.json makes it {}",
         source_->path(), name, text(entry->shape), text(expected));
  }
}

Tensor Model::LoadMatrix(const std::string& name, int64_t rows, int64_t cols) {
  if (!source_) return Allocate(compute_, {rows, cols});
  CheckShape(name, {rows, cols});
  used_.push_back(name);
  const Tensor mapped = source_->Mapped(name);
  if (maps_ && mapped && mapped.dtype == compute_) {
    mapped_bytes_ += static_cast<size_t>(mapped.bytes());
    return mapped;
  }
  const Tensor owned = Allocate(compute_, {rows, cols});
  source_->Read(name, compute_, owned.data);
  return owned;
}

Tensor Model::LoadVector(const std::string& name, int64_t size) {
  if (!source_) return Allocate(DType::kF32, {size});
  CheckShape(name, {size});
  used_.push_back(name);
  const Tensor owned = Allocate(DType::kF32, {size});
  source_->Read(name, DType::kF32, owned.data);
  return owned;
}

void Model::MakeWeights() {
  const ModelConfig& c = config_;
  weights_.embed_tokens = LoadMatrix(c.EmbeddingName(), c.vocab_size, c.hidden_size);
  const WeightVisitor load = {.linear =
                                  [this](const LinearDeclaration& d) {
                                    d.linear->weight =
                                        LoadMatrix(d.linear->name + ".weight", d.out, d.in);
                                    if (d.bias)
                                      d.linear->bias = LoadVector(d.linear->name + ".bias", d.out);
                                  },
                              .norm =
                                  [this](Norm* norm, int64_t size) {
                                    norm->weight = LoadVector(norm->name + ".weight", size);
                                    if (norm->biased)
                                      norm->bias = LoadVector(norm->name + ".bias", size);
                                  }};
  DeclareWeights(c, load, &weights_);
  if (c.tie_word_embeddings) weights_.lm_head.weight = weights_.embed_tokens;
  int slot = 0;
  ForEachLinear(weights_, [&](Linear& linear) { linear.lora_slot = slot++; });
}

void Model::RefuseUnknownTensors() const {
  const std::unordered_set<std::string> used(used_.begin(), used_.end());
  for (const ModelSource::Entry& entry : source_->entries()) {
    // A tied head may be stored again as a copy, and old checkpoints carry the rotary table.
    const bool known = entry.other_part || used.contains(entry.name) ||
                       entry.name == "lm_head.weight" ||
                       entry.name.ends_with(".rotary_emb.inv_freq");
    if (!known) {
      Fail(ErrorCode::kUnsupported, "{}: tensor '{}' has no place in a {} model", source_->path(),
           entry.name, config_.model_type);
    }
  }
}

int64_t Model::NumParameters() const {
  int64_t count = weights_.embed_tokens.size();
  ForEachLinear(weights_, [&](const Linear& linear) {
    const bool tied = linear.weight.data == weights_.embed_tokens.data;
    count += (tied ? 0 : linear.weight.size()) + linear.bias.size();
  });
  ForEachNorm(weights_, [&](const Norm& norm) { count += norm.weight.size() + norm.bias.size(); });
  return count;
}

Param Model::TrainMatrix(const std::string& name, Tensor* weight, Tensor* dweight) {
  const int64_t rows = weight->rows(), cols = weight->cols();
  *dweight = Allocate(DType::kF32, {rows, cols});
  // A file is not written to.
  const bool mapped = source_ && source_->Mapped(name).data == weight->data;
  if (mapped) mapped_bytes_ -= static_cast<size_t>(weight->bytes());
  if (compute_ == DType::kF32) {
    if (mapped) {
      const Tensor copy = Allocate(DType::kF32, {rows, cols});
      Convert(*weight, copy);
      *weight = copy;
    }
    return {name, *weight, *dweight, Tensor()};
  }
  // From the file, not from the working copy: an f32 file keeps its precision.
  const Tensor master = Allocate(DType::kF32, {rows, cols});
  if (source_) source_->Read(name, DType::kF32, master.data);
  if (mapped) {
    *weight = Allocate(compute_, {rows, cols});
    Convert(master, *weight);
  }
  return {name, master, *dweight, *weight};
}

Param Model::TrainVector(const std::string& name, const Tensor& weight, Tensor* dweight) {
  *dweight = Allocate(DType::kF32, {weight.size()});
  return {name, weight, *dweight, Tensor()};
}

std::vector<Param> Model::MakeTrainable() {
  CHECK(!trainable_);
  trainable_ = true;
  std::vector<Param> params;
  Linear& head = weights_.lm_head;
  const bool tied = head.weight.data == weights_.embed_tokens.data;
  params.push_back(
      TrainMatrix(config_.EmbeddingName(), &weights_.embed_tokens, &weights_.dembed_tokens));
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
    if (norm.bias) params.push_back(TrainVector(norm.name + ".bias", norm.bias, &norm.dbias));
  });
  return params;
}

}  // namespace lorikeet
