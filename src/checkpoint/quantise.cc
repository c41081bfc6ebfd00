#include "checkpoint/quantise.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include "core/check.h"
#include "core/float16.h"

namespace lorikeet {
namespace {

void StoreHalf(float value, uint8_t* p) {
  const float16 half = ToFloat16(value);
  std::memcpy(p, &half, sizeof half);
}
float LoadHalf(const uint8_t* p) {
  float16 half;
  std::memcpy(&half, p, sizeof half);
  return ToFloat(half);
}

// 0 for a scale so small that its inverse is infinite: f16 stores it as 0.
float Inverse(float d) {
  const float inverse = 1.0F / d;
  return std::isfinite(inverse) ? inverse : 0.0F;
}

// The simple formats: 32 weights d q. The order of every sum and product here and below decides
// about bits.
constexpr int kBlock = 32;

// The element of the largest magnitude, the first of equal ones.
float Extreme(std::span<const float> x) {
  float largest = 0, value = 0;
  for (const float v : x) {
    if (std::abs(v) <= largest) continue;
    largest = std::abs(v);
    value = v;
  }
  return value;
}

void Q8_0(const float* x, uint8_t* p) {
  const float d = std::abs(Extreme({x, kBlock})) / 127.0F, inverse = Inverse(d);
  StoreHalf(d, p);
  for (int i = 0; i < kBlock; ++i) p[2 + i] = static_cast<uint8_t>(std::lround(x[i] * inverse));
}

// Levels of 0 to 2 `half` - 1, of which `half` is zero; the extreme element gets level 0.
struct SignedLevels {
  float d;
  std::array<uint8_t, kBlock> q;
};
SignedLevels LevelsAround(const float* x, int half) {
  SignedLevels levels;
  levels.d = Extreme({x, kBlock}) / static_cast<float>(-half);
  const float inverse = Inverse(levels.d), offset = static_cast<float>(half) + 0.5F;
  for (int i = 0; i < kBlock; ++i) {
    const auto level = static_cast<int8_t>(x[i] * inverse + offset);
    levels.q[i] = static_cast<uint8_t>(std::min<int>(2 * half - 1, level));
  }
  return levels;
}

// A nibble byte holds weights i and i + 16.
void Q4_0(const float* x, uint8_t* p) {
  const SignedLevels levels = LevelsAround(x, 8);
  StoreHalf(levels.d, p);
  for (int i = 0; i < kBlock / 2; ++i) {
    p[2 + i] = static_cast<uint8_t>(levels.q[i] | levels.q[i + 16] << 4);
  }
}

// The fifth bits of all weights are one word.
void Q5_0(const float* x, uint8_t* p) {
  const SignedLevels levels = LevelsAround(x, 16);
  StoreHalf(levels.d, p);
  uint32_t high = 0;
  for (int i = 0; i < kBlock; ++i) high |= static_cast<uint32_t>(levels.q[i] >> 4) << i;
  std::memcpy(p + 2, &high, sizeof high);
  for (int i = 0; i < kBlock / 2; ++i) {
    p[6 + i] = static_cast<uint8_t>((levels.q[i] & 15) | (levels.q[i + 16] & 15) << 4);
  }
}

// The K formats: 256 weights in groups, whose scales are themselves quantised.
constexpr int kSuper = 256;
constexpr float kNothing = 1e-15F;  // a group of smaller magnitudes counts as zeros

// To nearest even. Values beyond 2^22 wrap as in ggml, which adds 1.5 * 2^23.
int Nearest(float x) {
  return static_cast<int>(std::bit_cast<uint32_t>(x + 12582912.0F) & 0x7fffffU) - 0x400000;
}
int NearestWithin(float x, int min, int max) { return std::clamp(Nearest(x), min, max); }

// A group as scale * level + min, with min <= 0.
struct Affine {
  float scale = 0, min = 0;
};

// Candidates of the inverse scale: (max_level + first + i * step) / (max - min), i = 0 ... count.
struct Search {
  float first, step;
  int count;
};

float WeightedError(std::span<const float> x, std::span<const float> weights,
                    std::span<const uint8_t> levels, const Affine& fit) {
  float error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const float diff = fit.scale * static_cast<float>(levels[i]) + fit.min - x[i];
    error += weights[i] * (diff * diff);
  }
  return error;
}

// The weighted least-squares scale and min for given levels; false if they do not determine it.
bool FitTo(std::span<const float> x, std::span<const float> weights,
           std::span<const uint8_t> levels, float sum_w, float sum_x, Affine* fit) {
  float sum_l = 0, sum_l2 = 0, sum_xl = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto level = static_cast<float>(levels[i]);
    const float wl = weights[i] * level;
    sum_l += wl;
    sum_l2 += wl * level;
    sum_xl += wl * x[i];
  }
  const float determinant = sum_w * sum_l2 - sum_l * sum_l;
  if (!(determinant > 0)) return false;
  fit->scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
  fit->min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
  if (fit->min > 0) {
    fit->min = 0;
    fit->scale = sum_xl / sum_l2;
  }
  return true;
}

// The best of several fits of 32 values by levels of 0 to max_level; `best_levels` are its levels.
Affine FitAffine(std::span<const float> x, std::span<const float> weights, int max_level,
                 const Search& search, uint8_t* best_levels) {
  float min = x[0], max = x[0], sum_w = weights[0], sum_x = sum_w * x[0];
  for (size_t i = 1; i < x.size(); ++i) {
    min = std::min(min, x[i]);
    max = std::max(max, x[i]);
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  min = std::min(min, 0.0F);
  std::fill_n(best_levels, x.size(), uint8_t{0});
  if (max == min) return {0, min};
  const float range = max - min, top = static_cast<float>(max_level);
  std::array<uint8_t, kBlock> levels;
  const auto quantise = [&](float inverse) {
    for (size_t i = 0; i < x.size(); ++i) {
      levels[i] = static_cast<uint8_t>(NearestWithin(inverse * (x[i] - min), 0, max_level));
    }
  };
  quantise(top / range);
  Affine best = {1 / (top / range), min};
  std::copy_n(levels.begin(), x.size(), best_levels);
  float best_error = WeightedError(x, weights, levels, best);
  for (int i = 0; i <= search.count; ++i) {
    // ggml measures from the min of the best fit so far, over the whole range of the values.
    quantise((search.first + search.step * static_cast<float>(i) + top) / (max - min));
    Affine fit;
    if (!FitTo(x, weights, levels, sum_w, sum_x, &fit)) continue;
    const float error = WeightedError(x, weights, levels, fit);
    if (!(error < best_error)) continue;
    std::copy_n(levels.begin(), x.size(), best_levels);
    best_error = error;
    best = fit;
    min = fit.min;
  }
  return best;
}

// Q4_K and Q5_K: 8 groups of 32 with a scale and a min of 6 bits each.
struct AffineGroups {
  std::array<uint8_t, kSuper> levels;
  std::array<uint8_t, 16> header;  // d, dmin, scales[12]
};

// Stores pair `group` of 6-bit numbers; the upper bits of the last four are in the spare bits of
// the first four.
void StoreScaleAndMin(uint8_t* s, int group, int scale, int min) {
  if (group < 4) {
    s[group] = static_cast<uint8_t>(scale);
    s[group + 4] = static_cast<uint8_t>(min);
    return;
  }
  s[group + 4] = static_cast<uint8_t>((scale & 15) | (min & 15) << 4);
  s[group - 4] = static_cast<uint8_t>(s[group - 4] | (scale >> 4) << 6);
  s[group] = static_cast<uint8_t>(s[group] | (min >> 4) << 6);
}

AffineGroups QuantiseGroups(const float* x, int max_level, const Search& search) {
  constexpr int kGroups = kSuper / kBlock;
  AffineGroups out;
  std::array<Affine, kGroups> fits;
  float max_scale = 0, max_depth = 0;  // depth: -min
  for (int g = 0; g < kGroups; ++g) {
    const std::span<const float> group(x + g * kBlock, kBlock);
    float squares = 0;
    for (const float v : group) squares += v * v;
    const float root = std::sqrt(squares / kBlock);
    std::array<float, kBlock> weights;
    for (int i = 0; i < kBlock; ++i) weights[i] = root + std::abs(group[i]);
    fits[g] = FitAffine(group, weights, max_level, search, &out.levels[g * kBlock]);
    max_scale = std::max(max_scale, fits[g].scale);
    max_depth = std::max(max_depth, -fits[g].min);
  }
  const float inverse_scale = max_scale > 0 ? 63.0F / max_scale : 0.0F;
  const float inverse_depth = max_depth > 0 ? 63.0F / max_depth : 0.0F;
  StoreHalf(max_scale / 63.0F, out.header.data());
  StoreHalf(max_depth / 63.0F, out.header.data() + 2);
  const float d = LoadHalf(out.header.data()), dmin = LoadHalf(out.header.data() + 2);
  for (int g = 0; g < kGroups; ++g) {
    // As bytes: a negative scale wraps before it is bounded.
    const int scale =
        std::min<int>(63, static_cast<uint8_t>(Nearest(inverse_scale * fits[g].scale)));
    const int depth =
        std::min<int>(63, static_cast<uint8_t>(Nearest(inverse_depth * -fits[g].min)));
    StoreScaleAndMin(out.header.data() + 4, g, scale, depth);
    const float step = d * static_cast<float>(scale), shift = dmin * static_cast<float>(depth);
    if (step == 0) continue;
    for (int i = g * kBlock; i < (g + 1) * kBlock; ++i) {
      out.levels[i] = static_cast<uint8_t>(NearestWithin((x[i] + shift) / step, 0, max_level));
    }
  }
  return out;
}

// d, dmin, scales[12], quants[128]: 32 bytes hold groups 2k (low nibbles) and 2k + 1 (high).
void StoreNibbles(const AffineGroups& groups, uint8_t* quants) {
  for (int i = 0; i < kSuper / 2; ++i) {
    const uint8_t* pair = &groups.levels[i / 32 * 64 + i % 32];
    quants[i] = static_cast<uint8_t>((pair[0] & 15) | (pair[32] & 15) << 4);
  }
}

void Q4_K(const float* x, uint8_t* p) {
  const AffineGroups groups = QuantiseGroups(x, 15, {-1.0F, 0.1F, 20});
  std::copy(groups.header.begin(), groups.header.end(), p);
  StoreNibbles(groups, p + 16);
}

// As Q4_K with the fifth bits, high_bits[32], before the quants: bit `group` of byte i.
void Q5_K(const float* x, uint8_t* p) {
  const AffineGroups groups = QuantiseGroups(x, 31, {-0.5F, 0.1F, 15});
  std::copy(groups.header.begin(), groups.header.end(), p);
  std::fill_n(p + 16, 32, uint8_t{0});
  for (int i = 0; i < kSuper; ++i) {
    p[16 + i % 32] = static_cast<uint8_t>(p[16 + i % 32] | (groups.levels[i] >> 4) << (i / 32));
  }
  StoreNibbles(groups, p + 48);
}

// The best scale of 16 values by levels of -32 to 31, stored plus 32; each value has its square as
// weight.
float FitScale(std::span<const float> x, uint8_t* levels) {
  constexpr int kHalf = 32;
  const float extreme = Extreme(x);
  if (std::abs(extreme) < kNothing) {
    std::fill_n(levels, x.size(), uint8_t{0});
    return 0;
  }
  const auto level = [](float v) { return NearestWithin(v, -kHalf, kHalf - 1); };
  const auto store = [&](float inverse) {
    for (size_t i = 0; i < x.size(); ++i) {
      levels[i] = static_cast<uint8_t>(kHalf + level(inverse * x[i]));
    }
  };
  float sum_lx = 0, sum_l2 = 0;
  const auto sum = [&](float inverse) {
    sum_lx = sum_l2 = 0;
    for (const float v : x) {
      const auto l = static_cast<float>(level(inverse * v));
      const float w = v * v;
      sum_lx += w * v * l;
      sum_l2 += w * l * l;
    }
  };
  float inverse = -static_cast<float>(kHalf) / extreme;
  store(inverse);
  sum(inverse);
  float scale = sum_l2 != 0 ? sum_lx / sum_l2 : 0.0F, best = scale * sum_lx;
  for (int i = -9; i <= 9; ++i) {
    if (i == 0) continue;
    inverse = -(static_cast<float>(kHalf) + 0.1F * static_cast<float>(i)) / extreme;
    sum(inverse);
    if (!(sum_l2 > 0 && sum_lx * sum_lx > best * sum_l2)) continue;
    store(inverse);
    scale = sum_lx / sum_l2;
    best = scale * sum_lx;
  }
  return scale;
}

// low[128] (4 bits), high[64] (2 bits), scales[16] (8 bits, signed), d.
void Q6_K(const float* x, uint8_t* p) {
  constexpr int kGroup = 16, kGroups = kSuper / kGroup;
  std::array<uint8_t, kSuper> levels;
  std::array<float, kGroups> scales;
  for (int g = 0; g < kGroups; ++g) {
    scales[g] = FitScale({x + g * kGroup, kGroup}, &levels[g * kGroup]);
  }
  const float extreme = Extreme(scales);
  std::fill_n(p, 210, uint8_t{0});
  if (std::abs(extreme) < kNothing) return;
  const float inverse = -128.0F / extreme;
  StoreHalf(1 / inverse, p + 208);
  const float d = LoadHalf(p + 208);
  for (int g = 0; g < kGroups; ++g) {
    const auto scale = static_cast<int8_t>(std::min(127, Nearest(inverse * scales[g])));
    p[192 + g] = static_cast<uint8_t>(scale);
    const float step = d * static_cast<float>(scale);
    if (step == 0) continue;
    for (int i = g * kGroup; i < (g + 1) * kGroup; ++i) {
      levels[i] = static_cast<uint8_t>(32 + NearestWithin(x[i] / step, -32, 31));
    }
  }
  for (int i = 0; i < kSuper; ++i) {
    const int half = i / 128, r = i % 128;
    uint8_t &low = p[half * 64 + r % 64], &high = p[128 + half * 32 + r % 32];
    low = static_cast<uint8_t>(low | (levels[i] & 15) << (r / 64 * 4));
    high = static_cast<uint8_t>(high | (levels[i] >> 4) << (r / 32 * 2));
  }
}

struct BlockFormat {
  DType dtype;
  void (*block)(const float* x, uint8_t* p);
};
constexpr BlockFormat kFormats[] = {{DType::kQ8_0, Q8_0}, {DType::kQ4_0, Q4_0},
                                    {DType::kQ5_0, Q5_0}, {DType::kQ4_K, Q4_K},
                                    {DType::kQ5_K, Q5_K}, {DType::kQ6_K, Q6_K}};

const BlockFormat* FormatOf(DType dtype) {
  const auto* const format = std::ranges::find(kFormats, dtype, &BlockFormat::dtype);
  return format == std::end(kFormats) ? nullptr : format;
}

}  // namespace

bool CanQuantise(DType dtype) { return FormatOf(dtype) != nullptr; }

void QuantiseRow(DType dtype, const float* src, int64_t count, std::byte* dst) {
  const BlockFormat* format = FormatOf(dtype);
  CHECK(format != nullptr);
  const int64_t elements = DTypeBlock(dtype), bytes = DTypeBytes(dtype, elements);
  CHECK(count % elements == 0);
  auto* p = reinterpret_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < count / elements; ++i) format->block(src + i * elements, p + i * bytes);
}

}  // namespace lorikeet
