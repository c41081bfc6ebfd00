#include "checkpoint/fused_experts.h"

#include <fmt/core.h>

#include <cmath>
#include <stdexcept>
#include <string_view>

#include "checkpoint/adapter_pairs.h"
#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr std::string_view kGateUp = ".experts.gate_up_proj", kDown = ".experts.down_proj";

struct Names {
  const char *block, *gate, *up, *down;
};
constexpr Names kPlain = {".mlp", "gate_proj", "up_proj", "down_proj"};
constexpr Names kMixtral = {".block_sparse_moe", "w1", "w3", "w2"};

// "model.layers.0" + ".mlp" -> "model.layers.0.block_sparse_moe" if that is the name.
std::string Block(std::string_view prefix, const Names& names) {
  if (prefix.ends_with(kPlain.block)) {
    return std::string(prefix.substr(0, prefix.size() - std::string_view(kPlain.block).size())) +
           names.block;
  }
  return std::string(prefix);
}

Tensor Matrix(const Tensor& stacked, int64_t expert, int64_t begin, int64_t rows) {
  const int64_t cols = stacked.shape[2];
  const int64_t at = (expert * stacked.shape[1] + begin) * cols;
  return {static_cast<std::byte*>(stacked.data) + DTypeBytes(stacked.dtype, at),
          stacked.dtype,
          {rows, cols}};
}

bool IsZero(const Tensor& m, int64_t begin_row, int64_t rows, int64_t begin_col, int64_t cols) {
  for (int64_t i = begin_row; i < begin_row + rows; ++i) {
    for (int64_t j = begin_col; j < begin_col + cols; ++j) {
      if (m.as<float>()[i * m.cols() + j] != 0) return false;
    }
  }
  return true;
}

// One pair of a fused parameter, divided among its experts.
class FusedPair {
 public:
  explicit FusedPair(const AdapterFile::Pair& fused) : fused_(fused), r_(fused.r) {
    if (r_ < 1 || fused.a.rows() % r_ != 0 || fused.a.rows() != fused.b.cols()) {
      throw std::invalid_argument(
          fmt::format("lora_A has {} rows and lora_B {} columns where the config gives rank {} of "
                      "every expert",
                      fused.a.rows(), fused.b.cols(), r_));
    }
    experts_ = fused.a.rows() / r_;
    gate_up_ = fused.module.ends_with(kGateUp);
    if (gate_up_ && fused.b.rows() % 2 != 0) {
      throw std::invalid_argument("lora_B of gate and up has an odd number of rows");
    }
    b_ = Buffer(DType::kF32, {fused.b.rows(), fused.b.cols()});
    WidenInto(fused.b, b_.tensor());
    const int64_t out = fused.b.rows(), half = experts_ * (r_ / 2);
    diagonal_ = gate_up_ && r_ % 2 == 0 && IsZero(b_.tensor(), 0, out / 2, half, half) &&
                IsZero(b_.tensor(), out / 2, out / 2, 0, half) &&
                !IsZero(b_.tensor(), 0, out, 0, 2 * half);
  }

  std::vector<AdapterFile::Pair> Split(std::vector<Buffer>* storage) const {
    const std::string experts = fused_.module.substr(0, fused_.module.rfind('.') + 1);
    const int64_t out = fused_.b.rows();
    const int r = static_cast<int>(diagonal_ ? r_ / 2 : r_);
    std::vector<AdapterFile::Pair> pairs;
    for (int64_t e = 0; e < experts_; ++e) {
      const std::string expert = experts + std::to_string(e) + ".";
      if (!gate_up_) {
        pairs.push_back(Pair(expert + kPlain.down, e, {0, out}, {0, r}, storage));
        continue;
      }
      const int64_t up = diagonal_ ? r : 0;
      pairs.push_back(Pair(expert + kPlain.gate, e, {0, out / 2}, {0, r}, storage));
      pairs.push_back(Pair(expert + kPlain.up, e, {out / 2, out}, {up, up + r}, storage));
    }
    return pairs;
  }

 private:
  struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
  };

  // The pair of one projection of one expert: its rows of B and its part of the rank.
  AdapterFile::Pair Pair(const std::string& module, int64_t expert, Range rows, Range ranks,
                         std::vector<Buffer>* storage) const {
    storage->emplace_back(DType::kF32, std::initializer_list<int64_t>{rows.size(), ranks.size()});
    const Tensor& b = storage->back().tensor();
    for (int64_t i = 0; i < rows.size(); ++i) {
      const float* from = b_.tensor().as<float>() + (rows.begin + i) * b_.tensor().cols();
      for (int64_t k = 0; k < ranks.size(); ++k) {
        b.as<float>()[i * ranks.size() + k] = from[(ranks.begin + k) * experts_ + expert];
      }
    }
    const Tensor a = fused_.a.Rows(expert * r_ + ranks.begin, expert * r_ + ranks.end);
    return {module, a, b, fused_.alpha, static_cast<int>(ranks.size())};
  }

  const AdapterFile::Pair& fused_;
  int64_t r_, experts_ = 0;
  bool gate_up_ = false, diagonal_ = false;
  Buffer b_;
};

}  // namespace

std::vector<NamedTensor> SplitFusedExperts(const NamedTensor& whole, bool mixtral,
                                           const std::string& where) {
  const Names& names = mixtral ? kMixtral : kPlain;
  const std::string_view name = whole.name;
  if (mixtral && name.ends_with(".mlp.gate.weight")) {
    const std::string_view gate = ".gate.weight";
    return {{Block(name.substr(0, name.size() - gate.size()), names) + std::string(gate),
             whole.tensor}};
  }
  const bool gate_up = name.ends_with(kGateUp), down = name.ends_with(kDown);
  if (!gate_up && !down) return {whole};
  const Tensor& stacked = whole.tensor;
  if (stacked.rank != 3 || stacked.size() == 0 || (gate_up && stacked.shape[1] % 2 != 0)) {
    Fail(ErrorCode::kUnsupported,
         "{}: tensor {} is not a stack of the experts' matrices (experts, out, in)", where,
         QuotedName(whole.name));
  }
  const std::string experts =
      Block(name.substr(0, name.size() - (gate_up ? kGateUp : kDown).size()), names) + ".experts.";
  std::vector<NamedTensor> parts;
  for (int64_t e = 0; e < stacked.shape[0]; ++e) {
    const std::string expert = experts + std::to_string(e) + ".";
    const int64_t rows = gate_up ? stacked.shape[1] / 2 : stacked.shape[1];
    const auto add = [&](const char* projection, int64_t begin) {
      parts.push_back({expert + projection + ".weight", Matrix(stacked, e, begin, rows)});
    };
    add(gate_up ? names.gate : names.down, 0);
    if (gate_up) add(names.up, rows);
  }
  return parts;
}

std::vector<AdapterFile::Pair> SplitFusedPair(const AdapterFile::Pair& fused, bool use_rslora,
                                              std::vector<Buffer>* storage) {
  std::vector<AdapterFile::Pair> pairs = FusedPair(fused).Split(storage);
  for (AdapterFile::Pair& pair : pairs) {
    const float share = static_cast<float>(pair.r) / static_cast<float>(fused.r);
    pair.alpha *= use_rslora ? std::sqrt(share) : share;
  }
  return pairs;
}

}  // namespace lorikeet
