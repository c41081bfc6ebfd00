// `lorikeet inspect adapter`: facts of an adapter on disk, and whether it has an effect.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_source.h"
#include "checkpoint/peft.h"
#include "cli/facts.h"

namespace lorikeet {

struct AdapterFacts {
  std::string path;
  std::string format;  // "peft", "mlx" or "gguf"
  LoraConfig config;
  struct Module {
    std::string name;
    int64_t in = 0, out = 0;
    int r = 0;
    double scale = 0;  // s
    double ba = 0;     // ||B A||_F
    // Largest singular values; 0 unless `spectral`.
    double spectral_a = 0, spectral_b = 0, spectral_ba = 0;
    bool zero_b = false;
    bool finite = true;
  };
  std::vector<Module> modules;
  int64_t parameters = 0, bytes = 0;
  int64_t zero_b = 0, not_finite = 0;
  // Reasons why it does not fit the given base; empty: it fits.
  bool base_given = false;
  std::string base;
  std::vector<std::string> misfits;
  double delta_of_base = 0;  // norm of all s B A / norm of the adapted weights
};

// Throws Error as ReadAnyAdapter does. base may be null.
AdapterFacts InspectAdapter(const std::string& dir, bool spectral, const ModelSource* base);

Facts AdapterReport(const AdapterFacts& facts, bool spectral);

}  // namespace lorikeet
