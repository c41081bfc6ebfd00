// The speed of reading prompts and of continuing them: `lorikeet bench decode`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench/bench_report.h"
#include "core/json.h"
#include "core/profile.h"
#include "model/lora.h"
#include "model/weights.h"

namespace lorikeet {

struct DecodeBenchQuery {
  int64_t batch = 1;  // sequences at once
  int64_t prompt_tokens = 128, new_tokens = 64;
  int64_t rounds = 3;
  bool profile = false;
};

struct DecodeBenchResult {
  DecodeBenchQuery query;
  DType compute = DType::kF32;
  int64_t parameters = 0;
  int64_t weight_bytes = 0;         // read for every step of decoding
  Spread prompt_tokens_per_second;  // of all sequences together
  Spread tokens_per_second;
  Spread step_seconds;               // one token for every sequence
  Spread read_bandwidth_gbs;         // measured after each round
  std::vector<Profile::Part> parts;  // of all steps of decoding, with query.profile
  int64_t decode_steps = 0;
  int64_t peak_rss_bytes = 0;

  // Share of the memory bandwidth that reading the weights once per step takes: what bounds
  // decoding of few sequences.
  double BandwidthUtilization() const;
};

// Prompts of random tokens, continued greedily without stop tokens. adapter may be null. Throws
// Error.
DecodeBenchResult BenchDecode(const Model& model, const LoraWeights* adapter,
                              const DecodeBenchQuery& query);

std::string DecodeBenchText(const DecodeBenchResult& result);
OrderedJson DecodeBenchJson(const DecodeBenchResult& result);

}  // namespace lorikeet
