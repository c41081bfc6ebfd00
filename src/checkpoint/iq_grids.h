// Tables of GGUF's IQ formats. A row is one word: the levels of eight weights in 2 bits each, or of
// four weights in 4 bits each, the first weight in the lowest bits.
#pragma once
#include <cstdint>

namespace lorikeet {

extern const uint16_t kIq2XxsGrid[256];
extern const uint16_t kIq2XsGrid[512];
extern const uint16_t kIq2SGrid[1024];
extern const uint16_t kIq3XxsGrid[256];
extern const uint16_t kIq3SGrid[512];
extern const uint16_t kIq1SGrid[2048];  // IQ1_M's too

}  // namespace lorikeet
