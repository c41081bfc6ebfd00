#include "plan/step_cost.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "model/loss_head.h"
#include "plan/adapted_shapes.h"

namespace lorikeet {
namespace {

constexpr DType kF32 = DType::kF32;

// The sizes in tokens of the micro-batches that first-fit packing makes (data/packer.h), and how
// many there are of each.
std::map<int64_t, double> MicroBatches(const TrainingShape& shape, int64_t tokens) {
  const int64_t S = std::min(shape.sequence_length, tokens);
  const int64_t budget = std::max(shape.tokens_per_microbatch, S);
  const int64_t each = budget / S, rest = tokens % S;  // sequences; tokens of the shorter one
  int64_t full = tokens / S / each, last = tokens / S % each * S;
  std::map<int64_t, double> batches;
  if (full > 0 && rest > 0 && each * S + rest <= budget) {
    batches[each * S + rest] += 1;  // the first batch has room for the shorter one
    --full;
  } else {
    last += rest;
  }
  if (full > 0) batches[each * S] += static_cast<double>(full);
  if (last > 0) batches[last] += 1;
  return batches;
}

class StepLister {
 public:
  StepLister(const ModelConfig& config, const TrainingShape& shape)
      : c_(config),
        C_(shape.compute),
        S_(shape.sequence_length),
        full_(shape.method == Method::kFull),
        shared_outer_(shape.lora_shared_outer),
        linears_(AdaptedShapes(config, shape)) {}

  // Forward and backward over T tokens, `count` times.
  void ForwardBackward(int64_t T, double count);
  void Optimizer();
  std::vector<StepCall> Take() { return std::move(calls_); }

 private:
  // How a step uses a linear: whether y and dx are added to what is there, and y's dtype.
  struct Use {
    bool adds_y = false, adds_dx = false;
    DType y = kF32;
  };

  void Add(const char* part, const std::string& module, const char* what, KernelCall call,
           double count);
  void Linear(const LinearShape& linear, const Use& use, int64_t T, double count);
  void LowRank(const LinearShape& linear, int64_t T, double count);
  void Norm(const char* module, int64_t T, double count);
  void Heads(const char* module, const HeadsShape& heads, double count);
  void Attention(int64_t T, double count);
  void Mlp(int64_t T, double count);
  void Experts(int64_t T, double count);
  void Head(int64_t rows, double count);
  void Update(int64_t size, bool matrix, double count);
  void UpdateWeights();
  void UpdateBiases();

  const ModelConfig& c_;
  const DType C_;
  const int64_t S_;
  const bool full_, shared_outer_;
  const LinearShapes linears_;
  std::vector<StepCall> calls_;
};

void StepLister::Add(const char* part, const std::string& module, const char* what, KernelCall call,
                     double count) {
  StepCall step{part, what, {}, std::move(call), 0};
  auto at = std::find_if(calls_.begin(), calls_.end(),
                         [&](const StepCall& other) { return SameCall(step, other); });
  if (at == calls_.end()) at = calls_.insert(calls_.end(), std::move(step));
  at->count += count;
  const std::string name = module.substr(module.rfind('.') + 1);  // npos + 1 is 0
  std::vector<std::string>& modules = at->modules;
  if (!name.empty() && std::find(modules.begin(), modules.end(), name) == modules.end()) {
    modules.push_back(name);
  }
}

// Mirrors model/linear.cc, where the low-rank part of y and dx is added within the base product.
void StepLister::Linear(const LinearShape& linear, const Use& use, int64_t T, double count) {
  const char* part = linear.name == "lm_head" ? "head products" : "base products";
  const ProductShape y{MatMulKind::kNT, T, linear.out, linear.in, C_, use.y, use.adds_y};
  const ProductShape dx{MatMulKind::kNN, T, linear.in, linear.out, C_, kF32, use.adds_dx};
  const int64_t r = linear.r;
  Add(part, linear.name, "y", r > 0 ? MatMulSumCall(y, r) : MatMulCall(y), count);
  Add(part, linear.name, "dx", r > 0 ? MatMulSumCall(dx, r) : MatMulCall(dx), count);
  if (r > 0) LowRank(linear, T, count);
  if (!full_) return;
  const ProductShape dw{MatMulKind::kTN, linear.out, linear.in, T, C_, kF32, true};
  Add(part, linear.name, "dW", MatMulCall(dw), count);
}

void StepLister::LowRank(const LinearShape& linear, int64_t T, double count) {
  const int64_t r = linear.r;
  const auto add = [&](const char* what, const ProductShape& product) {
    Add("low-rank products", linear.name, what, MatMulCall(product), count);
  };
  add("x A^T", {MatMulKind::kNT, T, r, linear.in, C_, kF32, false});
  add("dy B", {MatMulKind::kNT, T, r, linear.out, C_, kF32, false});
  add("dA", {MatMulKind::kNN, r, linear.in, T, C_, kF32, true});
  add("dB", {MatMulKind::kNN, r, linear.out, T, C_, kF32, true});
  Add("low-rank casts", "", "x A^T, dy B", ScaleCastTransposeCall(T, r, C_), 2 * count);
}

void StepLister::Norm(const char* module, int64_t T, double count) {
  Add("norms", module, "forward", RmsNormForwardCall(T, c_.hidden_size, C_), count);
  Add("norms", module, "backward", RmsNormBackwardCall(T, c_.hidden_size, C_, full_), count);
}

void StepLister::Heads(const char* module, const HeadsShape& heads, double count) {
  Add("heads and rope", module, "split", SplitHeadsForwardCall(heads, C_), count);
  Add("heads and rope", module, "backward", SplitHeadsBackwardCall(heads, C_, full_), count);
}

void StepLister::Attention(int64_t T, double count) {
  const int64_t K = c_.num_key_value_heads, G = c_.group(), Dh = c_.head_dim;
  const auto& linear = linears_.layer;
  Norm("input_layernorm", T, count);
  Add("norms", "input_layernorm", "again", RmsNormScaleCall(T, c_.hidden_size, C_), count);
  Add("casts", "o_proj", "dy", ConvertCall(T, c_.hidden_size, C_), count);
  Linear(linear[kQ], {}, T, count);
  Linear(linear[kK], {.adds_dx = true}, T, count);
  Linear(linear[kV], {.adds_dx = true}, T, count);
  Linear(linear[kO], {.adds_y = true}, T, count);
  Heads("q_proj", {T, K, G, Dh, true, c_.qk_norm}, count);
  Heads("k_proj", {T, K, 1, Dh, true, c_.qk_norm}, count);
  Heads("v_proj", {T, K, 1, Dh, false, false}, count);
  const AttentionCallShape attention{T, std::min(S_, T), {K, G, Dh, 1.0F}};
  Add("attention forward", "", "forward", AttentionForwardCall(attention, C_), count);
  Add("attention backward", "", "backward", AttentionBackwardCall(attention, C_), count);
}

void StepLister::Mlp(int64_t T, double count) {
  const int64_t F = c_.intermediate_size;
  const auto& linear = linears_.layer;
  const DType y = c_.mlp_bias ? kF32 : C_;  // a bias is added in f32
  Norm("post_attention_layernorm", T, count);
  Add("norms", "post_attention_layernorm", "again", RmsNormScaleCall(T, c_.hidden_size, C_), count);
  Add("casts", "down_proj", "dy", ConvertCall(T, c_.hidden_size, C_), count);
  Linear(linear[kGate], {.y = y}, T, count);
  Linear(linear[kUp], {.adds_dx = true, .y = y}, T, count);
  Linear(linear[kDown], {.adds_y = true}, T, count);
  Add("swiglu", "", "forward",
      c_.mlp_bias ? SwigluForwardCall(T, F, C_) : SwigluRecomputeCall(T, F, C_), count);
  Add("swiglu", "", "backward", SwigluBackwardCall(T, F, C_), count);
}

// Mirrors model/moe.cc.
void StepLister::Experts(int64_t T, double count) {
  const int64_t D = c_.hidden_size, F = c_.moe_intermediate_size, E = c_.num_experts;
  const int64_t k = c_.num_experts_per_tok, rows = std::max<int64_t>(1, T * k / E);
  const double runs = count * static_cast<double>(T * k) / static_cast<double>(rows);
  Norm("post_attention_layernorm", T, count);
  Add("norms", "post_attention_layernorm", "again", RmsNormScaleCall(T, D, C_), count);
  Linear(linears_.router, {.adds_dx = true}, T, count);
  Add("routing", "", "choose", RouteForwardCall({T, E, k}), count);
  Add("routing", "", "choose backward", RouteBackwardCall({T, E, k}, C_), count);
  Add("routing", "", "x", GatherRowsCall(T, rows, D, C_, C_), 2 * runs);
  Add("routing", "", "dy", GatherRowsCall(T, rows, D, kF32, C_), runs);
  Add("routing", "", "y, dx", AddToRowsCall(T, rows, D), 2 * runs);
  Linear(linears_.expert[0], {.y = C_}, rows, runs);
  Linear(linears_.expert[1], {.adds_dx = true, .y = C_}, rows, runs);
  Linear(linears_.expert[2], {}, rows, runs);
  Add("swiglu", "", "forward", WeightedSwigluForwardCall(rows, F, C_), runs);
  Add("swiglu", "", "backward", WeightedSwigluBackwardCall(rows, F, C_), runs);
}

void StepLister::Head(int64_t rows, double count) {
  Norm("norm", rows, count);
  Linear(linears_.head, {}, rows, count);
  Add("cross-entropy", "", "forward", TargetLogprobsCall(rows, c_.vocab_size), count);
  Add("cross-entropy", "", "backward", LogprobBackwardCall(rows, c_.vocab_size, C_), count);
}

void StepLister::ForwardBackward(int64_t T, double count) {
  const auto layers = static_cast<double>(c_.num_hidden_layers);
  const auto expert_layers = static_cast<double>(c_.num_expert_layers());
  Add("embedding", "", "forward", EmbeddingForwardCall(T, c_.vocab_size, c_.hidden_size, C_),
      count);
  Attention(T, layers * count);
  if (expert_layers < layers) Mlp(T, (layers - expert_layers) * count);
  if (expert_layers > 0) Experts(T, expert_layers * count);
  const int64_t chunk = std::min(T, HeadChunkRows(c_)), chunks = T / chunk;
  Head(chunk, static_cast<double>(chunks) * count);
  if (T % chunk > 0) Head(T % chunk, count);
  if (full_) {
    Add("embedding", "", "backward", EmbeddingBackwardCall(T, c_.vocab_size, c_.hidden_size),
        count);
  }
}

// matrix: what products read is a copy of its own where they run in bf16.
void StepLister::Update(int64_t size, bool matrix, double count) {
  Add("optimizer", "", "gradient norm", SumOfSquaresCall(size), count);
  Add("optimizer", "", "update", AdamWCall(size, matrix && C_ != kF32), count);
}

void StepLister::Optimizer() {
  const auto low_rank = [&](int64_t r, int64_t width, int64_t count) {
    if (r > 0) Update(r * width, true, static_cast<double>(count));
  };
  ForEachShape(c_, linears_, [&](const LinearShape& linear, int64_t count, int64_t) {
    const bool shares = shared_outer_ && linear.name.find(".experts.") != std::string::npos;
    const bool down = &linear == &linears_.expert[2];
    low_rank(linear.r, linear.in, shares && !down ? c_.num_expert_layers() : count);
    low_rank(linear.r, linear.out, shares && down ? c_.num_expert_layers() : count);
  });
  low_rank(linears_.head.r, linears_.head.in, 1);
  low_rank(linears_.head.r, linears_.head.out, 1);
  if (!full_) return;
  UpdateWeights();
  UpdateBiases();
}

void StepLister::UpdateWeights() {
  const auto layers = static_cast<double>(c_.num_hidden_layers);
  Update(c_.vocab_size * c_.hidden_size, true, c_.tie_word_embeddings ? 1 : 2);
  ForEachShape(c_, linears_, [&](const LinearShape& linear, int64_t count, int64_t) {
    Update(linear.in * linear.out, true, static_cast<double>(count));
  });
  Update(c_.hidden_size, false, 2 * layers + 1);
  if (c_.qk_norm) Update(c_.head_dim, false, 2 * layers);
}

void StepLister::UpdateBiases() {
  const auto layers = static_cast<double>(c_.num_hidden_layers);
  if (c_.qkv_bias) Update(c_.q_size(), false, layers);
  if (c_.qkv_bias) Update(c_.kv_size(), false, 2 * layers);
  if (c_.o_bias) Update(c_.hidden_size, false, layers);
  if (c_.mlp_bias) Update(c_.intermediate_size, false, 2 * layers);
  if (c_.mlp_bias) Update(c_.hidden_size, false, layers);
}

}  // namespace

std::string StepCall::Name() const {
  return modules.empty() ? what : fmt::format("{} {}", fmt::join(modules, ", "), what);
}

bool SameCall(const StepCall& a, const StepCall& b) {
  return a.part == b.part && a.what == b.what && a.call.kernel == b.call.kernel &&
         a.call.shape == b.call.shape;
}

std::vector<StepCall> StepCalls(const ModelConfig& config, const TrainingShape& shape,
                                int64_t tokens) {
  StepLister lister(config, shape);
  for (const auto& [T, count] : MicroBatches(shape, tokens)) lister.ForwardBackward(T, count);
  lister.Optimizer();
  return lister.Take();
}

std::vector<PartCost> StepCost(const ModelConfig& config, const TrainingShape& shape,
                               int64_t tokens) {
  std::vector<PartCost> costs;
  for (const StepCall& step : StepCalls(config, shape, tokens)) {
    auto at = std::find_if(costs.begin(), costs.end(),
                           [&](const PartCost& cost) { return cost.part == step.part; });
    if (at == costs.end()) at = costs.insert(costs.end(), {step.part, 0, 0, 0});
    at->calls += step.count;
    at->flops += step.count * step.call.flops;
    at->bytes += step.count * step.call.bytes;
  }
  return costs;
}

RooflinePoint UnderRoofline(double flops, double bytes, double seconds, const Ceilings& ceilings) {
  const double computing = flops / (ceilings.matmul_gflops * 1e9);
  const double moving = bytes / (ceilings.read_gbs * 1e9);
  RooflinePoint point;
  point.gflops = flops / seconds * 1e-9;
  point.gbs = bytes / seconds * 1e-9;
  point.compute_bound = computing > moving;
  point.ideal_seconds = std::max(computing, moving);
  point.share_of_ceiling = point.ideal_seconds / seconds;
  return point;
}

}  // namespace lorikeet
