// `lorikeet bench decode`: the speed of prefilling prompts and of decoding.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/bench/bench_report.h"
#include "core/json.h"
#include "core/profile.h"
#include "model/lora_weights.h"
#include "model/weights.h"

namespace lorikeet {

struct DecodeBenchQuery {
  int64_t batch = 1;  // number of sequences at once
  int64_t prompt_tokens = 128, new_tokens = 64;
  int64_t rounds = 3;
  bool profile = false;
  // Sequence i has adapters[i % size]. Empty: the base alone. With more than one, rounds alternate
  // with rounds in which all sequences have the first.
  std::vector<std::shared_ptr<const LoraWeights>> adapters = {};
};

struct DecodeBenchResult {
  DecodeBenchQuery query;
  DType compute = DType::kF32;
  int64_t parameters = 0;
  int64_t weight_bytes = 0;         // bytes of weights read per decoding step
  Spread prompt_tokens_per_second;  // prefill, all sequences together
  Spread tokens_per_second;
  Spread step_seconds;        // one token for every sequence
  Spread read_bandwidth_gbs;  // measured after each round
  // With several adapters: a step in which all sequences have one, and the bytes that the others
  // add to a step.
  Spread one_adapter_step_seconds;
  int64_t more_adapter_bytes = 0;
  std::vector<Profile::Part> parts;  // totals over all decoding steps, with query.profile
  int64_t decode_steps = 0;
  int64_t peak_rss_bytes = 0;

  // Share of the memory bandwidth used by reading the weights once per step, which bounds the
  // decoding of few sequences.
  double BandwidthUtilization() const;
  // Step time with one adapter / (that + the time to read the others' bytes): the least slowdown
  // that reading more adapters allows; and what was reached, as a share of it.
  double AdapterCeiling() const;
  double AdapterShareOfCeiling() const;
};

// Prompts of random tokens, continued greedily without stop tokens. Throws Error.
DecodeBenchResult BenchDecode(const Model& model, const DecodeBenchQuery& query);

std::string DecodeBenchText(const DecodeBenchResult& result);
OrderedJson DecodeBenchJson(const DecodeBenchResult& result);

}  // namespace lorikeet
