#include "model/initialise.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/random.h"
#include "model/weights.h"

namespace lorikeet {
namespace {

// Box and Muller's pair for elements 2 * pair and 2 * pair + 1: a function of the seed, the name
// and the place.
struct NormalPair {
  double first, second;
};
NormalPair NormalsAt(const RandomStream& random, uint64_t pair) {
  const double radius = std::sqrt(-2 * std::log(1 - random.Uniform(2 * pair)));  // of (0, 1]
  const double angle = 2 * std::numbers::pi * random.Uniform(2 * pair + 1);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

int64_t SizeOf(const InitialTensor& tensor) {
  int64_t size = 1;
  for (const int64_t dim : tensor.shape) size *= dim;
  return size;
}

// Fills `values`: the tensor's elements from 2 * first_pair on.
void FillNormal(const InitialTensor& tensor, const RandomStream& random, int64_t first_pair,
                std::span<float> values) {
  constexpr int64_t kGrain = 4096;
  const auto value = [&](double z) { return static_cast<float>(tensor.mean + tensor.std * z); };
  ParallelRanges(
      static_cast<int64_t>(values.size() + 1) / 2, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t pair = begin; pair < end; ++pair) {
          const NormalPair z = NormalsAt(random, static_cast<uint64_t>(first_pair + pair));
          const auto i = static_cast<size_t>(2 * pair);
          values[i] = value(z.first);
          if (i + 1 < values.size()) values[i + 1] = value(z.second);
        }
      });
}

// In pieces: a large matrix is never in memory as a whole.
void MakeValues(const InitialTensor& tensor, uint64_t seed, const ByteSink& sink) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  const int64_t size = SizeOf(tensor);
  const RandomStream random(seed, "initialise", tensor.name);
  std::vector<float> values(static_cast<size_t>(std::min(size, kPiece)),
                            static_cast<float>(tensor.mean));
  for (int64_t begin = 0; begin < size; begin += kPiece) {
    const int64_t count = std::min(kPiece, size - begin);
    if (tensor.std > 0) {
      FillNormal(tensor, random, begin / 2, std::span(values).first(static_cast<size_t>(count)));
    }
    sink(values.data(), static_cast<size_t>(count) * sizeof(float));
  }
}

double StdOf(const Json& config, const std::string& where) {
  const auto range = config.find("initializer_range");
  if (range == config.end() || range->is_null()) return 0.02;
  const double std = range->is_number() ? range->get<double>() : 0;
  if (!(std > 0)) {
    Fail(ErrorCode::kInvalidArgument, "{}: initializer_range {} is no positive number", where,
         range->dump());
  }
  return std;
}

}  // namespace

std::vector<InitialTensor> InitialTensors(const ModelConfig& config, double std) {
  const double residual_std = std / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  std::vector<InitialTensor> tensors = {
      {config.EmbeddingName(), {config.vocab_size, config.hidden_size}, 0, std}};
  const auto linear = [&](const LinearDeclaration& d) {
    const double spread = d.adds_to_residual ? residual_std : std;
    tensors.push_back({d.linear->name + ".weight", {d.out, d.in}, 0, spread});
    if (d.bias) tensors.push_back({d.linear->name + ".bias", {d.out}, 0, 0});
  };
  const auto norm = [&](const Norm* to, int64_t size) {
    const double one = to->kind == NormKind::kRmsOnePlus ? 0 : 1;  // the factor of a value is 1
    tensors.push_back({to->name + ".weight", {size}, one, 0});
    if (to->biased) tensors.push_back({to->name + ".bias", {size}, 0, 0});
  };
  Weights names;
  DeclareWeights(config, {.linear = linear, .norm = norm}, &names);
  return tensors;
}

void WriteInitialModel(const Json& config, const std::string& where, uint64_t seed,
                       const std::string& dir) {
  const ModelConfig parsed = ReadModelConfig(config, where);
  const std::vector<InitialTensor> initial = InitialTensors(parsed, StdOf(config, where));
  std::vector<TensorToWrite> tensors;
  tensors.reserve(initial.size());
  for (const InitialTensor& tensor : initial) {
    tensors.push_back({tensor.name, DType::kF32, tensor.shape, nullptr});
  }
  WriteSafetensors(
      dir + "/model.safetensors", tensors, {{"format", "pt"}},
      [&](size_t index, const ByteSink& sink) { MakeValues(initial[index], seed, sink); });
  Json written = config;
  if (!written.contains("architectures")) {
    written["architectures"] = {parsed.architecture};
  }
  written.erase("dtype");
  written["torch_dtype"] = "float32";
  WriteFileAtomically(dir + "/config.json", written.dump(2) + "\n");
}

}  // namespace lorikeet
