// Versions of the engine's libraries, and measurements of this machine: for --version and `lorikeet
// doctor`.
#pragma once
#include <string>
#include <vector>

#include "core/tensor.h"

namespace lorikeet {

std::string EngineVersions();  // "oneDNN 2.6.3"
bool EngineHasNativeBf16();

// The rate of a large square product (2048 x 2048 x 2048), best of repetitions + 1, in GFLOP/s: the
// reference of "% of peak" and utilisation. Measured with oneDNN on every CPU, although our own
// kernels may be faster: the baseline should be independent of them. 0 if the CPU does not have the
// dtype.
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
  std::vector<Check> bit_checks;  // checks of the assumptions of the bit rules
  std::string library_versions;
};
EngineProbe ProbeEngine(bool quick);
// Checks the bit rule by which sampling and training agree, on products of a few sizes, in a few
// milliseconds.
EngineProbe::Check CheckRowBits(DType dtype);

}  // namespace lorikeet
