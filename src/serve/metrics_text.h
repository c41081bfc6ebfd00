// GET /metrics: figures of the server in the text format of Prometheus, version 0.0.4.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "serve/engine_turns.h"
#include "serve/sampling_service.h"

namespace lorikeet {

struct ServerFigures {
  SamplingStats sampling;
  TurnTimes turns;
  int64_t adapters = 0;
  size_t adapter_bytes = 0;
  int64_t connections = 0;
  std::map<int, int64_t> answers_by_status;
};

std::string MetricsText(const ServerFigures& figures);

}  // namespace lorikeet
