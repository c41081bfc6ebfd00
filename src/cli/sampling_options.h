// The sampling options of `generate` and `chat`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "options/args.h"

namespace lorikeet {

struct SamplingOptions {
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k;
  int64_t seed, max_tokens;
  std::vector<std::string> stop;

  template <class V>
  void ForEach(V& v) {
    v(max_tokens, "max_tokens", 256, "Maximum number of tokens of an answer.",
      {.group = "Sampling", .aliases = {"max_new_tokens", "n_predict"}, .min = 1});
    v(temperature, "temperature", std::nullopt,
      "Divides the logits; 0 always takes the likeliest token. If not given, as the model's "
      "generation_config.json says, else 0. So with top_p, top_k and min_p.",
      {.aliases = {"temp", "t"}, .min = 0, .max = 1000});
    v(top_p, "top_p", std::nullopt,
      "Only the smallest set of likeliest tokens with this total probability.",
      {.above = 0, .max = 1});
    v(top_k, "top_k", std::nullopt, "Only so many of the likeliest tokens; 0: all.", {.min = 0});
    v(min_p, "min_p", std::nullopt,
      "Only tokens of at least this share of the likeliest one's probability.",
      {.min = 0, .max = 1});
    v(seed, "seed", 0, "Seed of the random numbers; the same seed gives the same answer.",
      {.min = 0});
    v(stop, "stop", {}, "Texts that end an answer and are left out of it.",
      {.metavar = "TEXT", .whole = true});
  }
};

}  // namespace lorikeet
