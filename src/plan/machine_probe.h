// What the engine is built on and how this machine does: for --version and `lorikeet doctor`.
#pragma once
#include <string>
#include <vector>

#include "core/tensor.h"

namespace lorikeet {

std::string EngineVersions();  // "oneDNN 2.6.3"
bool EngineHasNativeBf16();

// The rate of oneDNN's large square product (2048 x 2048 x 2048), best of repetitions + 1, in
// GFLOP/s: what % of peak and utilisation refer to. oneDNN's on every CPU, also where our own
// kernels are used and may be faster: a yardstick should not be one's own. 0 when the dtype is not
// to be had.
double MeasureMatMulPeak(DType dtype, int repetitions = 5);
double MeasureReadBandwidth();  // GB/s, all threads reading memory beyond the caches

struct EngineProbe {
  struct Check {
    std::string name;
    bool ok = false;
    std::string detail;
  };
  double peak_gflops_f32 = 0, peak_gflops_bf16 = 0;  // bf16: 0 without native support
  double read_bandwidth_gbs = 0;
  std::vector<Check> bit_checks;  // the facts that the bit rules rest on, checked on the spot
  std::string library_versions;
};
EngineProbe ProbeEngine(bool quick);
// The check that sampling and training agree by: in a few milliseconds, on products of few sizes.
EngineProbe::Check CheckRowBits(DType dtype);

}  // namespace lorikeet
