#include "kernels/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "kernels/rows.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

// theta^(2i/dim), rounded to f32 at every step.
std::vector<float> Periods(int64_t dim, double theta) {
  std::vector<float> periods(static_cast<size_t>(dim / 2));
  for (int64_t i = 0; i < dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    periods[i] = static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  return periods;
}

// Long waves are stretched by factor, short ones kept, those between interpolated (Llama 3.1).
void ScaleLlama3(const RopeScaling& scaling, std::vector<float>& inv_freq) {
  const auto factor = static_cast<float>(scaling.factor);
  const auto context = static_cast<float>(scaling.original_max_position_embeddings);
  const auto low = static_cast<float>(scaling.low_freq_factor);
  const auto high = static_cast<float>(scaling.high_freq_factor);
  const auto longest_kept =
      static_cast<float>(scaling.original_max_position_embeddings / scaling.high_freq_factor);
  const auto shortest_stretched =
      static_cast<float>(scaling.original_max_position_embeddings / scaling.low_freq_factor);
  for (float& f : inv_freq) {
    const float wave = static_cast<float>(kTwoPi) / f;
    if (wave > shortest_stretched) {
      f /= factor;
    } else if (wave >= longest_kept) {
      const float smooth = (context / wave - low) / (high - low);
      f = (1.0F - smooth) * f / factor + smooth * f;
    }
  }
}

// Dimension that turns `rotations` times over the original context (YaRN, Peng et al., 2023).
double CorrectionDim(double rotations, int64_t dim, double theta, int64_t context) {
  return static_cast<double>(dim) * std::log(static_cast<double>(context) / (rotations * kTwoPi)) /
         (2.0 * std::log(theta));
}

std::vector<float> YarnInvFreq(int64_t dim, double theta, const RopeScaling& scaling) {
  const int64_t context = scaling.original_max_position_embeddings;
  double low = CorrectionDim(scaling.beta_fast, dim, theta, context);
  double high = CorrectionDim(scaling.beta_slow, dim, theta, context);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  std::vector<float> inv_freq = Periods(dim, theta);
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const float ramp =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float extrapolated = 1.0F - std::clamp(ramp, 0.0F, 1.0F);
    const float interpolation = 1.0F / (static_cast<float>(scaling.factor) * inv_freq[i]);
    const float extrapolation = 1.0F / inv_freq[i];
    inv_freq[i] = interpolation * (1.0F - extrapolated) + extrapolation * extrapolated;
  }
  return inv_freq;
}

double YarnAttentionFactor(const RopeScaling& scaling) {
  const auto scale = [&](double mscale) {
    return scaling.factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scaling.factor) + 1.0;
  };
  if (scaling.attention_factor) return *scaling.attention_factor;
  const double numerator = scaling.mscale.value_or(0.0);
  const double denominator = scaling.mscale_all_dim.value_or(0.0);
  if (numerator != 0.0 && denominator != 0.0) return scale(numerator) / scale(denominator);
  return scale(1.0);
}

// Longrope (Ding et al., 2024), for sequences that fit in the original context.
std::vector<float> LongropeInvFreq(int64_t dim, double theta, const RopeScaling& scaling) {
  std::vector<float> inv_freq = Periods(dim, theta);
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    inv_freq[i] = 1.0F / (static_cast<float>(scaling.short_factor[i]) * inv_freq[i]);
  }
  return inv_freq;
}

double LongropeAttentionFactor(const RopeScaling& scaling) {
  if (scaling.attention_factor) return *scaling.attention_factor;
  if (scaling.factor <= 1.0) return 1.0;
  const auto context = static_cast<double>(scaling.original_max_position_embeddings);
  return std::sqrt(1.0 + std::log(scaling.factor) / std::log(context));
}

void Require(bool good, const char* key, const char* needs) {
  if (!good) Fail(ErrorCode::kInvalidArgument, "config.json: rope {} must be {}", key, needs);
}

// Written so that NaN fails too.
void Validate(int64_t dim, double theta, const RopeScaling& scaling) {
  Require(dim > 0 && dim % 2 == 0 && dim <= (1 << 20), "dimension of a head", "even and positive");
  Require(theta > 1.0 && theta < 1e30, "theta", "above 1");
  if (scaling.type == "default") return;
  if (scaling.type != "linear" && scaling.type != "llama3" && scaling.type != "yarn" &&
      scaling.type != "longrope") {
    Fail(ErrorCode::kUnsupported,
         "config.json: rope scaling type \"{}\" is not known; known are default, linear, llama3, "
         "yarn and longrope",
         scaling.type);
  }
  Require(scaling.factor > 0.0 && scaling.factor < 1e9, "factor", "a positive number");
  if (scaling.type == "linear") return;
  Require(scaling.original_max_position_embeddings > 0, "original_max_position_embeddings",
          "a positive number");
  if (scaling.type == "llama3") {
    Require(scaling.low_freq_factor > 0.0, "low_freq_factor", "a positive number");
    Require(scaling.high_freq_factor > scaling.low_freq_factor && scaling.high_freq_factor < 1e9,
            "high_freq_factor", "above low_freq_factor");
  } else if (scaling.type == "longrope") {
    Require(scaling.original_max_position_embeddings > 1, "original_max_position_embeddings",
            "above 1");
    const auto good = [](double factor) { return factor > 0.0 && factor < 1e9; };
    Require(std::ssize(scaling.short_factor) == dim / 2 &&
                std::all_of(scaling.short_factor.begin(), scaling.short_factor.end(), good),
            "short_factor", "a positive number for each pair of a head");
  } else {
    Require(scaling.beta_slow > 0.0, "beta_slow", "a positive number");
    Require(scaling.beta_fast > 0.0 && scaling.beta_fast < 1e9, "beta_fast", "a positive number");
  }
}

}  // namespace

RopeTable::RopeTable(int64_t dim, double theta, const RopeScaling& scaling)
    : query_beta_(static_cast<float>(scaling.query_beta)),
      query_period_(scaling.original_max_position_embeddings) {
  Validate(dim, theta, scaling);
  Require(query_beta_ == 0 || query_period_ > 0, "original_max_position_embeddings",
          "a positive number");
  if (scaling.type == "yarn") {
    inv_freq_ = YarnInvFreq(dim, theta, scaling);
    attention_factor_ = static_cast<float>(YarnAttentionFactor(scaling));
    return;
  }
  if (scaling.type == "longrope") {
    inv_freq_ = LongropeInvFreq(dim, theta, scaling);
    attention_factor_ = static_cast<float>(LongropeAttentionFactor(scaling));
    end_ = scaling.original_max_position_embeddings;
    return;
  }
  inv_freq_ = Periods(dim, theta);
  for (float& f : inv_freq_) f = 1.0F / f;
  if (scaling.type == "linear") {
    for (float& f : inv_freq_) f /= static_cast<float>(scaling.factor);
  } else if (scaling.type == "llama3") {
    ScaleLlama3(scaling, inv_freq_);
  }
}

float RopeTable::QueryFactor(int64_t position) const {
  if (query_beta_ == 0) return 1;
  const auto periods = static_cast<float>(position / query_period_);
  return 1 + query_beta_ * std::log(1 + periods);
}

void RopeTable::FillCosSin(std::span<const int32_t> positions, const Tensor& cos,
                           const Tensor& sin) const {
  const auto half = static_cast<int64_t>(inv_freq_.size());
  const Kernel here(
      [&] {
        return KernelCall{"FillCosSin", "", {"{} x {}", {cos.rows(), half}}, 0, BytesOf(cos, sin)};
      },
      [&]() -> Replay {
        const std::vector<int32_t> own(positions.begin(), positions.end());
        return [=, table = *this](const Relocate& at) { table.FillCosSin(own, at(cos), at(sin)); };
      });
  CHECK(cos.rank == 2 && cos.rows() == static_cast<int64_t>(positions.size()));
  CHECK(cos.cols() == half && SameShape(cos, sin));
  if (here.dry()) return;
  float* c = cos.as<float>();
  float* s = sin.as<float>();
  ParallelRanges(cos.rows(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float factor = attention_factor_ * QueryFactor(positions[t]);
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(positions[t]) * inv_freq_[i];
        c[t * half + i] = std::cos(angle) * factor;
        s[t * half + i] = std::sin(angle) * factor;
      }
    }
  });
}

}  // namespace lorikeet
