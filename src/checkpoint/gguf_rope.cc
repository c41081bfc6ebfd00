#include "checkpoint/gguf_rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr const char* kAttentionFactor = "rope.scaling.attn_factor";

// The divisor that "llama3" rope scaling gives to a frequency; transformers'
// _compute_llama3_parameters and llama.cpp's converter agree on it.
double Llama3Divisor(double frequency, double factor, double low, double high, double context) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < context / high) return 1;
  if (wavelength > context / low) return factor;
  const double smooth = (context / wavelength - low) / (high - low);
  return 1 / ((1 - smooth) / factor + smooth);
}

// Llama 3.1 and later: the file has the divisors, not the parameters that they came from. Every
// published model uses the same three, and files of this program name others; the fourth is the
// largest divisor. Verified, not assumed.
std::optional<Json> Llama3Scaling(const GgufFile& gguf, const Hyperparameters& hyper,
                                  int64_t head_dim, double theta) {
  const Tensor divisors = gguf.Find(kGgufRopeFactors);
  if (!divisors) return std::nullopt;
  const double low = hyper.Has(kGgufLowFreqFactor) ? hyper.Positive(kGgufLowFreqFactor) : 1;
  const double high = hyper.Has(kGgufHighFreqFactor) ? hyper.Positive(kGgufHighFreqFactor) : 4;
  const int64_t context = hyper.SizeOr(kGgufOriginalContext, 8192);
  const int64_t count = head_dim / 2;
  if (divisors.dtype != DType::kF32 || divisors.size() != count) {
    Fail(ErrorCode::kCorruptFile, "{}: {} is not {} f32 numbers, one for each pair of a head",
         gguf.path(), kGgufRopeFactors, count);
  }
  const auto* values = divisors.as<float>();
  if (std::all_of(values, values + count, [](float v) { return v == 1.0F; })) return std::nullopt;
  const double factor = *std::max_element(values, values + count);
  for (int64_t i = 0; i < count; ++i) {
    const double frequency =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    const double expected =
        Llama3Divisor(frequency, factor, low, high, static_cast<double>(context));
    if (!(std::abs(values[i] - expected) <= 1e-3 * expected)) {
      Fail(ErrorCode::kUnsupported,
           "{}: {} [{}] is {} where Llama 3's rule gives {:.4f}; use the model's Hugging Face "
           "folder",
           gguf.path(), kGgufRopeFactors, i, values[i], expected);
    }
  }
  return Json{{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", low},
              {"high_freq_factor", high},
              {"original_max_position_embeddings", context}};
}

// Keys of the yarn of Ministral 3. llama.cpp takes mscale for 1 and writes a mscale_all_dim of 0
// for none.
void AddMistral(const GgufFile& gguf, const Hyperparameters& hyper, Json& scaling) {
  constexpr const char *kAllDim = "rope.scaling.yarn_log_multiplier",
                       *kScale = "attention.temperature_scale",
                       *kLength = "attention.temperature_length";
  if (gguf.StringOr("general.architecture", "") != "mistral3") return;
  if (gguf.FloatOr(hyper.Key(kAllDim), 0) != 0) {
    scaling["mscale"] = 1;
    scaling["mscale_all_dim"] = hyper.Positive(kAllDim);
  }
  if (gguf.FloatOr(hyper.Key(kScale), 0) == 0) return;
  scaling["llama_4_scaling_beta"] = hyper.Positive(kScale);
  const int64_t length = scaling["original_max_position_embeddings"];
  if (hyper.SizeOr(kLength, length) == length) return;
  Fail(ErrorCode::kUnsupported, "{}: metadata {} is {}, not the original context length {}",
       gguf.path(), QuotedName(hyper.Key(kLength)), hyper.Size(kLength), length);
}

std::optional<Json> LinearOrYarn(const GgufFile& gguf, const Hyperparameters& hyper) {
  if (hyper.Has("rope.scale_linear") && !hyper.Has("rope.scaling.type")) {  // before 2023-10
    const double factor = hyper.Positive("rope.scale_linear");
    if (factor == 1) return std::nullopt;
    return Json{{"rope_type", "linear"}, {"factor", factor}};
  }
  const std::string type = gguf.StringOr(hyper.Key("rope.scaling.type"), "none");
  if (type == "none") return std::nullopt;
  if (type != "linear" && type != "yarn") {
    Fail(ErrorCode::kUnsupported, "{}: rope scaling {}; supported are none, linear and yarn",
         gguf.path(), QuotedName(type));
  }
  const double factor = hyper.Positive("rope.scaling.factor");
  if (factor == 1) return std::nullopt;
  Json scaling{{"rope_type", type}, {"factor", factor}};
  if (type == "linear") return scaling;
  scaling["original_max_position_embeddings"] = hyper.Size(kGgufOriginalContext);
  // yarn_attn_factor is config.json's attention_factor as llama.cpp's converter copies it.
  const std::pair<const char*, const char*> optional[] = {
      {"rope.scaling.yarn_attn_factor", "attention_factor"},
      {"rope.scaling.yarn_beta_fast", "beta_fast"},
      {"rope.scaling.yarn_beta_slow", "beta_slow"}};
  for (const auto& [key, hf_key] : optional) {
    if (hyper.Has(key)) scaling[hf_key] = hyper.Positive(key);
  }
  AddMistral(gguf, hyper, scaling);
  return scaling;
}

// llama.cpp multiplies by attn_factor what yarn makes of its factor; config.json has the product.
void AddAttentionMultiplier(const GgufFile& gguf, const Hyperparameters& hyper,
                            std::optional<Json>* scaling) {
  const double multiplier = hyper.Has(kAttentionFactor) ? hyper.Positive(kAttentionFactor) : 1;
  if (multiplier == 1) return;
  const bool yarn = *scaling && (**scaling)["rope_type"] == "yarn";
  if (!yarn || (*scaling)->contains("attention_factor")) {
    Fail(ErrorCode::kUnsupported, "{}: metadata {} is {} {}; not supported", gguf.path(),
         QuotedName(hyper.Key(kAttentionFactor)), multiplier,
         yarn ? "beside rope.scaling.yarn_attn_factor" : "without yarn");
  }
  const double factor = (**scaling)["factor"];
  (**scaling)["attention_factor"] = (0.1 * std::log(factor) + 1) * multiplier;
}

std::vector<double> Factors(const GgufFile& gguf, const char* name, int64_t count) {
  const Tensor factors = gguf.Find(name);
  if (!factors || factors.dtype != DType::kF32 || factors.size() != count) {
    Fail(ErrorCode::kCorruptFile, "{}: {} is not {} f32 numbers, one for each rotated pair",
         gguf.path(), name, count);
  }
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(ShortestDouble(factors.as<float>()[i]));
  return values;
}

// Phi-3 for long contexts: lists for both lengths, and the factor of attention that the converter
// has computed.
std::optional<Json> Longrope(const GgufFile& gguf, const Hyperparameters& hyper,
                             int64_t rotary_dim) {
  if (!gguf.Find(kGgufLongFactors) && !gguf.Find(kGgufShortFactors)) return std::nullopt;
  Json scaling{{"rope_type", "longrope"},
               {"short_factor", Factors(gguf, kGgufShortFactors, rotary_dim / 2)},
               {"long_factor", Factors(gguf, kGgufLongFactors, rotary_dim / 2)}};
  if (hyper.Has(kAttentionFactor)) scaling["attention_factor"] = hyper.Positive(kAttentionFactor);
  return scaling;
}

}  // namespace

bool IsGgufRopeTensor(std::string_view name) {
  return name == kGgufRopeFactors || name == kGgufLongFactors || name == kGgufShortFactors;
}

void AddRope(const GgufFile& gguf, const Hyperparameters& hyper, bool partial, Json* config) {
  const int64_t head_dim = (*config)["head_dim"];
  const int64_t rotary_dim = hyper.SizeOr("rope.dimension_count", head_dim);
  if (partial) {
    (*config)["partial_rotary_factor"] =
        static_cast<double>(rotary_dim) / static_cast<double>(head_dim);
  }
  if (std::optional<Json> scaling = Longrope(gguf, hyper, rotary_dim)) {
    (*config)["original_max_position_embeddings"] =
        hyper.Size("rope.scaling.original_context_length");
    (*config)["rope_scaling"] = *std::move(scaling);
    return;
  }
  std::optional<Json> scaling = Llama3Scaling(gguf, hyper, rotary_dim, (*config)["rope_theta"]);
  if (!scaling) {
    scaling = LinearOrYarn(gguf, hyper);
    AddAttentionMultiplier(gguf, hyper, &scaling);
  }
  if (scaling) {
    (*config)["rope_scaling"] = *scaling;
  } else if ((*config)["model_type"] == "ministral3") {
    // Its class has yarn where the file says nothing.
    (*config)["rope_scaling"] = {{"rope_type", "default"}, {"rope_theta", (*config)["rope_theta"]}};
  }
}

}  // namespace lorikeet
