// Inverse frequencies of the rotary position embedding (Su et al., 2021) and its scalings, computed
// in the f32 steps of transformers' modeling_rope_utils, so that the angles agree for long contexts
// too.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace lorikeet {

// The `rope_scaling` (or `rope_parameters`) block of config.json.
struct RopeScaling {
  std::string type = "default";  // default | linear | llama3 | yarn | longrope
  double factor = 1.0;
  int64_t original_max_position_embeddings = 0;  // llama3, yarn, longrope
  double low_freq_factor = 1.0;                  // llama3
  double high_freq_factor = 4.0;                 // llama3
  double beta_fast = 32.0;                       // yarn
  double beta_slow = 1.0;                        // yarn
  bool truncate = true;                          // yarn
  std::optional<double> attention_factor;        // yarn, longrope; absent: from factor or mscales
  std::optional<double> mscale;                  // yarn
  std::optional<double> mscale_all_dim;          // yarn
  // > 0: cos and sin of position p are multiplied by 1 + query_beta ln(1 + floor(p / original
  // length)), the temperature of queries in Ministral 3.
  double query_beta = 0;
  // longrope: (dim/2) divisors of the frequencies, up to the original length and beyond it. The
  // second list is not computed.
  std::vector<double> short_factor, long_factor;
};

class RopeTable {
 public:
  // dim: rotary dimensions of a head (Dh, or part of it), even. Throws Error for invalid values
  // (unknown type, factor <= 0, theta <= 1, ...).
  RopeTable(int64_t dim, double theta, const RopeScaling& scaling);

  // cos and sin (T, dim/2) f32, one row per position (>= 0).
  void FillCosSin(std::span<const int32_t> positions, const Tensor& cos, const Tensor& sin) const;

  // Positions from here on need longrope's other list, and are not computed; 0: there are none.
  int64_t end() const { return end_; }

  std::span<const float> inv_freq() const { return inv_freq_; }  // (dim/2), radians per token
  float attention_factor() const { return attention_factor_; }   // multiplies cos and sin

 private:
  float QueryFactor(int64_t position) const;

  std::vector<float> inv_freq_;
  float attention_factor_ = 1.0F;
  float query_beta_ = 0;
  int64_t query_period_ = 0;  // positions
  int64_t end_ = 0;
};

}  // namespace lorikeet
